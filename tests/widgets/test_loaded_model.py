"""Docks know weights by what they are, not by their name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_sam.batch import segmenters
from napari_sam.model.build import build_from_spec
from napari_sam.model.registry import ModelRow, register_user_model
from napari_sam.model.sam import Sam
from napari_sam.model.weights_files import weights_mark
from napari_sam.widgets.loaded_model import LoadedModel
from napari_sam.widgets.prompt_dock import PromptDock


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_spec_vit: Any) -> Callable[[int], None]:
    """Put other weights under the name `mine`, as training anew under that name does."""
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    seeds = [0]

    def load(name: str, **_: Any) -> Sam:
        model = build_from_spec(tiny_spec_vit, seed=seeds[0])
        model.name = name
        return model

    monkeypatch.setattr("napari_sam.model.load.load_model", load)
    monkeypatch.setattr(segmenters, "load_model", load)

    def train_(seed: int) -> None:
        seeds[0] = seed
        register_user_model(ModelRow(name="mine", architecture="vit_b", known_hash=f"sha256:{seed}", file="mine.pt"))

    train_(1)
    return train_


def quiet(_text: str) -> Callable[[int, int], None]:
    return lambda *_: None


def test_docks_take_the_new_weights_of_a_name(train: Callable[[int], None]) -> None:
    dock, other = LoadedModel(), LoadedModel()
    old = dock.get("mine", quiet)
    assert dock.get("mine", quiet) is old
    assert other.get("mine", quiet) is old  # shared
    train(2)
    new = dock.get("mine", quiet)
    assert new.fingerprint != old.fingerprint
    assert other.get("mine", quiet) is new
    assert LoadedModel().get("mine", quiet) is new


def test_batches_take_the_new_weights_of_a_name(train: Callable[[int], None]) -> None:
    def load() -> Sam:
        return segmenters._load("mine", "", "cpu", "float32", weights_mark("mine"))

    old = load()
    assert load() is old
    train(2)
    assert load().fingerprint != old.fingerprint


def test_an_open_dock_predicts_with_the_new_weights(
    open_dock: Callable[..., PromptDock], train: Callable[[int], None], noise: npt.NDArray[np.uint16]
) -> None:
    dock = open_dock(noise, model="mine")
    dock.add_point((20, 22))
    dock.wait_idle()
    before = dock.candidates
    train(2)
    dock.add_point((24, 26))
    dock.wait_idle()
    dock.viewer.layers["SAM points"].data = np.array([[20.0, 22.0]])
    dock.wait_idle()
    after = dock.candidates
    assert [each.score for each in after] != [each.score for each in before]
    fresh = open_dock(noise, model="mine")
    fresh.add_point((20, 22))
    fresh.wait_idle()
    assert [each.score for each in fresh.candidates] == pytest.approx([each.score for each in after])


def test_a_file_is_known_by_its_time(tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.write_bytes(b"one")
    first = weights_mark("vit_b", checkpoint=str(file))
    file.with_suffix(".new").write_bytes(b"two")
    file.with_suffix(".new").replace(file)
    assert weights_mark("vit_b", checkpoint=str(file)) != first
    assert weights_mark("cells")
    assert weights_mark("vit_b") != weights_mark("vit_l")


def test_a_fingerprint_follows_the_weights(tiny_spec_vit: Any) -> None:
    model, other = build_from_spec(tiny_spec_vit, seed=1), build_from_spec(tiny_spec_vit, seed=2)
    first = model.fingerprint
    model.load_state_dict(other.state_dict())
    assert model.fingerprint == other.fingerprint != first
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert model.fingerprint not in (first, other.fingerprint)

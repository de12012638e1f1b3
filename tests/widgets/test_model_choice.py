"""The list of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sam.errors import DownloadError
from napari_sam.model.registry import MODELS, find_model
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def pick(dock: PromptDock, name: str) -> None:
    index = dock._form.model.findData(name)
    dock._form.model.setCurrentIndex(index)
    dock._form.model.activated.emit(index)


def test_sizes_of_downloads_are_shown(open_dock: OpenDock, cache: Path, tiny_cell_model: Sam) -> None:
    dock = open_dock()
    texts = [dock._form.model.itemText(i) for i in range(dock._form.model.count())]
    assert texts[0] == "cells"
    assert "vit_b (download 375 MB)" in texts
    assert texts[-1] == "cell_tiny (from a script)"
    assert len(texts) == len(MODELS) + 1
    assert dock._form.model.currentText() == texts[-1]
    cache.mkdir(parents=True)
    (cache / find_model("vit_b").file).write_bytes(b"")
    dock._models.refresh()
    assert dock._form.model.itemText(texts.index("vit_b (download 375 MB)")) == "vit_b"
    dock.set_model("vit_t_lm")
    assert dock._form.model.currentText() == "vit_t_lm (download)"


def test_a_picked_model_is_fetched_with_progress(
    open_dock: OpenDock, tiny_vit_model: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load_model(name: str, *, progress: Callable[[int, int], None]) -> Sam:
        asked.append(name)
        for done in (0, 50, 100):
            progress(done, 100)
        return tiny_vit_model

    monkeypatch.setattr("napari_sam.model.load.load_model", load_model)
    dock = open_dock(np.random.default_rng(0).random((30, 30)))
    seen: list[Any] = []
    dock._session.service.progressed.connect(lambda *answer: seen.append(answer))
    pick(dock, "mobile_sam")
    dock.add_point((10, 10))
    dock.wait_idle()
    assert asked == ["mobile_sam"]
    assert (50, 100, "Downloading mobile_sam") in seen
    assert len(dock.candidates) == 3


def test_a_download_that_fails_is_said_in_one_sentence(open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_model(name: str, *, progress: Callable[[int, int], None]) -> Sam:
        raise DownloadError(f"{name} could not be fetched: put the file into the folder yourself.")

    monkeypatch.setattr("napari_sam.model.load.load_model", load_model)
    dock = open_dock(np.random.default_rng(0).random((30, 30)))
    pick(dock, "vit_h")
    with pytest.raises(DownloadError):
        dock.wait_idle()
    assert dock.status == "vit_h could not be fetched: put the file into the folder yourself."

"""The result is in the model list, loads as any other, and its card tells what it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.model.load import load_model
from napari_sam.model.registry import user_models
from napari_sam.training.finetune_result import FinetuneRecord, card_file, save_finetuned
from napari_sam.training.finetune_score import HeldOutScore
from napari_sam.training.finetune_settings import finetune_settings


@pytest.fixture
def model(tiny_spec_cell, monkeypatch, tmp_path):
    spec = dataclasses.replace(tiny_spec_cell, architecture="cells")
    monkeypatch.setitem(SPECS, "cells", spec)
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    return build_from_spec(spec, seed=5)


def record(scored: bool = True) -> FinetuneRecord:
    labels = np.zeros((8, 8), np.int32)
    labels[2, 2], labels[5, 5:7] = 4, 9
    sample = Sample(image=np.zeros((8, 8, 3), np.uint8), labels=labels)
    scores = [HeldOutScore(one_click=0.4321, box=0.6, objects=11), HeldOutScore(one_click=0.7654, box=0.8, objects=11)]
    return FinetuneRecord.of(
        [sample, sample],
        [sample],
        base="cells",
        data=["my/axons"],
        settings=finetune_settings("lora", {"rank": 3}),
        before=scores[0] if scored else None,
        after=scores[1] if scored else None,
        seconds=120.0,
    )


def test_the_result_loads_by_name_and_has_a_card(model):
    row = save_finetuned(model, "axons", record())
    assert load_model("axons", device="cpu").fingerprint == model.fingerprint
    assert row.about == "fine-tuned from cells"
    assert [found.name for found in user_models()] == ["axons"]
    card = card_file(row).read_text()
    for said in (
        "# axons", "from `cells`", "my/axons", "2 images with 4 objects", "1 held-out images", "BSD-3-Clause",
        "| one click | 0.432 | 0.765 |", "| box | 0.600 | 0.800 |", "- rank: 3", "- mode: lora",
        "**Licence**", row.known_hash,
    ):  # fmt: skip
        assert said in card


def test_an_own_name_is_replaced_a_listed_one_is_not(model):
    save_finetuned(model, "mine", record())
    other = build_from_spec(model.spec, seed=6)
    save_finetuned(other, "mine", record(scored=False))
    assert load_model("mine", device="cpu").fingerprint == other.fingerprint
    assert "nothing was measured" in card_file(user_models()[0]).read_text()
    for name in ("cells", "vit_b"):
        with pytest.raises(InputError, match="belongs to a model"):
            save_finetuned(model, name, record())
    for name in ("../up", "a b", ""):
        with pytest.raises(InputError, match="not usable"):
            save_finetuned(model, name, record())
    assert [row.name for row in user_models()] == ["mine"]


def test_the_card_says_when_nothing_was_gained(model):
    before = record().before
    same = dataclasses.replace(record(), after=before)
    assert (same.gained, record().gained, record(scored=False).gained) == (False, True, True)
    assert "Nothing was gained" in card_file(save_finetuned(model, "same", same)).read_text()
    assert "Nothing was gained" not in card_file(save_finetuned(model, "better", record())).read_text()

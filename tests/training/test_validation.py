"""Held-out images decide which weights are kept, and when a run ends."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from safetensors import safe_open

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.model.build import SPECS
from napari_sam.training import loop
from napari_sam.training.loop import train
from napari_sam.training.validation import score_samples

CONFIG = TrainingConfig(
    architecture="cell_tiny",
    synthetic=1.0,
    steps=12,
    batch=1,
    prompts=2,
    rounds=1,
    warmup=1,
    cooldown=0,
    save_every=5,
    precision="float32",
    validate_every=2,
    patience=2,
)


@pytest.fixture
def scores(monkeypatch, tiny_spec_cell):
    monkeypatch.setitem(SPECS, "cell_tiny", tiny_spec_cell)
    given = [0.3, 0.5, 0.4, 0.5, 0.9]
    waiting = iter(given)
    monkeypatch.setattr(loop, "score_samples", lambda model, samples: next(waiting))
    return given


HELD_OUT = [Sample(image=np.zeros((8, 8, 3), np.uint8), labels=np.ones((8, 8), np.int32))]


def test_a_run_ends_when_it_gets_no_better_and_keeps_the_best(scores, tmp_path):
    events = list(train(CONFIG, [], np.zeros(0), tmp_path / "run", held_out=HELD_OUT))
    assert [event.score for event in events if event.score is not None] == scores[:4]
    assert [event.step for event in events if event.stopped] == [8]  # 0.4 and 0.5 are not above 0.5
    assert len(events) == 8
    with safe_open(tmp_path / "run" / "best.safetensors", "pt") as file:
        assert file.metadata()["step"] == "4"
        assert file.metadata()["score"] == "0.5000"
    with (tmp_path / "run" / "scores.csv").open() as stream:
        assert [(row["step"], row["one_click"]) for row in csv.DictReader(stream)] == [
            ("2", "0.3"), ("4", "0.5"), ("6", "0.4"), ("8", "0.5")]  # fmt: skip


def test_patience_survives_a_stop(scores, tmp_path):
    for event in train(CONFIG, [], np.zeros(0), tmp_path / "run", held_out=HELD_OUT):
        if event.step == 6:
            break
    events = list(train(CONFIG, [], np.zeros(0), tmp_path / "run", held_out=HELD_OUT, resume=True))
    assert [event.step for event in events] == [7, 8]
    assert events[-1].stopped


def test_the_score_is_the_mean_iou_of_one_click(tiny_cell_model, monkeypatch):
    sample = synthetic_sample(np.random.default_rng(3), (60, 60), "nuclei")
    value = score_samples(tiny_cell_model, [sample])
    assert 0 < value < 1
    assert score_samples(tiny_cell_model, [sample]) == value
    assert score_samples(tiny_cell_model, []) == 0

"""Settings come from preset, file and overrides, and wrong ones are named."""

from __future__ import annotations

import pytest

from napari_sam.config.training import TrainingConfig, load_training_config
from napari_sam.errors import InputError


def test_later_sources_win(tmp_path):
    file = tmp_path / "train.toml"
    file.write_text('data = ["a"]\nsteps = 77\nlr = 1\n')
    config = load_training_config(file, {"steps": 5, "batch": None}, "cells")
    assert config.steps == 5
    assert config.lr == 1.0
    assert config.data == ("a",)
    assert config.random_rounds
    assert config.batch == TrainingConfig(synthetic=1.0).batch


def test_paper_preset_plays_eleven_rounds():
    assert load_training_config(None, {"synthetic": 1.0}, "paper").rounds == 11


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"speed": 3}, "speed"),
        ({"steps": "many"}, "steps"),
        ({"steps": 0}, "steps"),
        ({"lr": -1.0}, "lr"),
        ({"ema": 1.0}, "ema"),
        ({"scale": [2.0, 1.0]}, "scale"),
        ({"precision": "half"}, "precision"),
        ({"synthetic": 1.5}, "synthetic"),
        ({"random_rounds": 1}, "random_rounds"),
        ({"synthetic": 0.5}, "images/"),
    ],
)
def test_wrong_settings_are_named(values, names):
    with pytest.raises(InputError, match=names):
        load_training_config(None, {"synthetic": 1.0, **values})


def test_unreadable_files_and_presets_are_named(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("steps = = 3")
    for file in (broken, tmp_path / "missing.toml"):
        with pytest.raises(InputError, match=file.name):
            load_training_config(file, {})
    with pytest.raises(InputError, match="preset"):
        load_training_config(None, {}, "fast")

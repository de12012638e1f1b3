"""Settings of training the CLIP: merged, checked, explained."""

from __future__ import annotations

import pytest

from napari_sam.config.text_training import TEXT_PRESETS, TextTrainingConfig, load_text_training_config
from napari_sam.errors import InputError


def test_later_sources_win(tmp_path):
    file = tmp_path / "text.toml"
    file.write_text("steps = 7\nlr = 0.01\n")
    found = load_text_training_config(file, {"lr": 0.5, "seed": None}, "quick")
    assert (found.steps, found.lr, found.seed, found.batch) == (7, 0.5, 0, TEXT_PRESETS["quick"]["batch"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 1}, "batch is 1"),
        ({"batch": 8, "texts": 9}, "texts is 9: give at most the 8 of batch"),
        ({"hold_out": 1}, "hold_out is 1"),
        ({"zeroed": 0.7, "blurred": 0.4}, "blurred is 0.4"),
        ({"zeroed": float("nan")}, "zeroed is nan"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"scenes": 0}, "No training data"),
        ({"scene_size": 10}, "scene_size is 10"),
    ],
)
def test_what_cannot_be_used_is_named(changes, says):
    with pytest.raises(InputError, match=says):
        TextTrainingConfig(**changes)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="quick"):
        load_text_training_config(None, {}, "slow")
    with pytest.raises(InputError, match="stepz"):
        load_text_training_config(None, {"stepz": 1})

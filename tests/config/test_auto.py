"""Settings of automatic segmentation: presets, ranks, and one sentence for what is wrong."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, strategies as st

from napari_sam.config.auto import AUTO_PRESETS, AutoSettings, load_auto_settings, parse_condition
from napari_sam.errors import InputError

NAN = float("nan")


def test_the_defaults_are_the_authors():
    import inspect

    from segment_anything import SamAutomaticMaskGenerator

    theirs = inspect.signature(SamAutomaticMaskGenerator).parameters
    ours = dataclasses.asdict(AutoSettings())
    same = set(theirs) & set(ours) - {"points_per_batch"}  # that one follows the device
    assert len(same) == 10
    assert {name: ours[name] for name in same} == {name: theirs[name].default for name in same}


@pytest.mark.parametrize("preset", AUTO_PRESETS)
def test_presets_are_valid_and_say_only_what_differs(preset):
    settings = load_auto_settings(preset)
    defaults = AutoSettings()
    assert all(getattr(settings, name) == value for name, value in AUTO_PRESETS[preset].items())
    assert all(getattr(defaults, name) != value for name, value in AUTO_PRESETS[preset].items())


def test_later_sources_win_and_none_means_not_given(tmp_path):
    file = tmp_path / "auto.toml"
    file.write_text('points_per_side = 8\npred_iou_thresh = 1\nconditions = ["area<50"]\n')
    settings = load_auto_settings("cells", file, {"points_per_side": 4, "pred_iou_thresh": None})
    assert settings.points_per_side == 4
    assert settings.pred_iou_thresh == 1.0
    assert isinstance(settings.pred_iou_thresh, float)
    assert settings.conditions == ("area<50",)
    assert settings.min_area == AUTO_PRESETS["cells"]["min_area"]


@pytest.mark.parametrize("name", ["pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"])
def test_thresholds_are_shares(name):
    for value in (-0.01, 1.01, NAN, math.inf, "0.5", None, True, [0.5]):
        with pytest.raises(InputError, match=f"Setting {name} is "):
            AutoSettings().changed(**{name: value})
    for value in (0, 0.0, 1, 0.5):
        assert getattr(AutoSettings().changed(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"points_per_side": 0}, "points_per_side is 0"),
        ({"points_per_side": -3}, "points_per_side is -3"),
        ({"points_per_side": 2.5}, "points_per_side is 2.5"),
        ({"points_per_side": True}, "points_per_side is True"),
        ({"points_per_batch": -1}, "points_per_batch is -1"),
        ({"crop_n_layers": -1}, "crop_n_layers is -1"),
        ({"crop_n_layers": 5}, "at most 4"),
        ({"crop_overlap_ratio": 1.0}, "crop_overlap_ratio is 1.0"),
        ({"crop_overlap_ratio": NAN}, "crop_overlap_ratio is nan"),
        ({"crop_n_points_downscale_factor": 0}, "crop_n_points_downscale_factor is 0"),
        ({"stability_score_offset": -1.0}, "stability_score_offset is -1.0"),
        ({"stability_score_offset": NAN}, "stability_score_offset is nan"),
        ({"min_mask_region_area": -1}, "min_mask_region_area is -1"),
        ({"min_area": -1}, "min_area is -1"),
        ({"min_area": 10, "max_area": 5}, "max_area is 5"),
        ({"mode": "quick"}, "exact, fast"),
        ({"rank_by": "size"}, "predicted_iou, stability_score"),
        ({"overlap": "larger"}, "smaller, score, whole"),
        ({"nesting": "twig"}, "all, leaf, root"),
        ({"remove_background": 1}, "remove_background is 1"),
        ({"conditions": "area>3"}, "conditions is 'area>3'"),
        ({"conditions": ["area=3"]}, "area=3"),
        ({"conditions": [3]}, "condition 3 "),
        ({"dots": 3}, "Unknown automatic setting 'dots'"),
        ({"points": "everywhere"}, "grid, objects"),
    ],
)
def test_wrong_settings_are_named_in_one_sentence(values, names):
    with pytest.raises(InputError, match=names) as caught:
        load_auto_settings("natural", None, values)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message


def test_unreadable_files_and_presets_are_named(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("mode = = 3")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (broken, binary, tmp_path / "missing.toml", tmp_path):
        with pytest.raises(InputError, match=file.name):
            load_auto_settings("natural", file)
    with pytest.raises(InputError, match="natural, cells, tissue"):
        load_auto_settings("plants")


def test_no_upper_limit_and_equal_limits_are_fine():
    assert AutoSettings(min_area=10, max_area=0).max_area == 0
    assert AutoSettings(min_area=10, max_area=10).max_area == 10


def test_changing_leaves_the_old_and_checks_the_new():
    settings = AutoSettings(points_per_side=8)
    changed = settings.changed(mode="fast", conditions=["area>3"])
    assert (settings.mode, changed.mode, changed.points_per_side) == ("exact", "fast", 8)
    assert hash(changed) == hash(settings.changed(mode="fast", conditions=("area>3",)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.mode = "fast"


def test_points_in_layers_are_at_least_one():
    settings = AutoSettings(points_per_side=5, crop_n_points_downscale_factor=2)
    assert [settings.points_in_layer(layer) for layer in range(5)] == [5, 2, 1, 1, 1]


@given(
    st.from_regex(r"[a-z_][a-z_0-9-]*", fullmatch=True),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " ", "  "]),
)
def test_conditions_are_read_as_written(name, sign, number, space):
    assert parse_condition(f"{space}{name}{space}{sign}{space}{number!r}{space}") == (name, sign, number)


@pytest.mark.parametrize(
    "text", ["", "area", "area>", ">3", "area==3", "area=>3", "area>3<4", "area>1.2.3", "area>.", "area>nan", "3>area"]
)
def test_other_forms_of_conditions_are_refused(text):
    with pytest.raises(InputError, match="is not understood"):
        parse_condition(text)

"""The settings of automatic segmentation in plain words: for forms, command line and documentation alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from napari_sam.config.settings import describe_fields

__all__ = ["AUTO_WORDS", "SettingWords", "applies", "as_numbers", "setting_help"]


class SettingWords(NamedTuple):
    """Hold the name of a setting, the word for its value 0 (empty: none), and when it counts (empty: always)."""

    name: str
    zero: str = ""
    when: str = ""


_CLOSER = "only with closer looks"
AUTO_WORDS: dict[str, SettingWords] = {
    "points": SettingWords("Search by"),
    "object_size": SettingWords("Object size", "automatic", "only when it searches by objects"),
    "points_per_side": SettingWords("Grid points a side", "", "only when it searches by grid"),
    "points_per_batch": SettingWords("Points at once", "automatic"),
    "pred_iou_thresh": SettingWords("Score from", "any"),
    "stability_score_thresh": SettingWords("Stability from", "any"),
    "stability_score_offset": SettingWords("Stability step", "", "only with a least stability"),
    "rank_by": SettingWords("The better has more"),
    "box_nms_thresh": SettingWords("Same object from"),
    "crop_nms_thresh": SettingWords("… across views"),
    "crop_n_layers": SettingWords("Closer looks", "none"),
    "crop_overlap_ratio": SettingWords("… overlap by", "", _CLOSER),
    "crop_n_points_downscale_factor": SettingWords("… points divided by", "", f"{_CLOSER}, when it searches by grid"),
    "min_mask_region_area": SettingWords("Holes, specks below", "keep all"),
    "mode": SettingWords("Mode"),
    "overlap": SettingWords("Shared pixels go to"),
    "nesting": SettingWords("Of nested objects"),
    "min_area": SettingWords("Pixels from", "any"),
    "max_area": SettingWords("Pixels up to", "any"),
    "remove_background": SettingWords("Remove background"),
    "conditions": SettingWords("Conditions"),
}


def applies(name: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether a setting counts beside the others."""
    grid, closer = settings["points"] == "grid", settings["crop_n_layers"] > 0
    return {
        "object_size": not grid,
        "points_per_side": grid,
        "stability_score_offset": settings["stability_score_thresh"] > 0,
        "crop_overlap_ratio": closer,
        "crop_n_points_downscale_factor": closer and grid,
    }.get(name, True)


def as_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with 0 in place of the words for it, as object_size "automatic"."""
    return {
        name: 0 if name in AUTO_WORDS and value and value == AUTO_WORDS[name].zero else value
        for name, value in values.items()
    }


def setting_help(name: str) -> str:
    """Say in a sentence or two what a setting is, what its 0 is called, and when it counts."""
    from napari_sam.config.auto import AutoSettings

    words, text = AUTO_WORDS[name], describe_fields(AutoSettings)[name]
    zero = f" 0 is {words.zero}." if words.zero and not re.search(r"\b0\b", text) else ""
    when = f" Counts {words.when}." if words.when else ""
    return f"{words.name.lstrip('… ')}: {text}{zero}{when}"

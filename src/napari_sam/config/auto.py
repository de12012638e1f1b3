"""Settings of automatic segmentation: one field each, shared by form, command line, TOML file and scripts."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.config.auto_words import as_numbers
from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError

__all__ = ["AUTO_PRESETS", "AutoSettings", "load_auto_settings", "parse_condition"]

CHOICES = {
    "points": ("grid", "objects"),
    "rank_by": ("predicted_iou", "stability_score"),
    "mode": ("exact", "fast"),
    "overlap": ("smaller", "score", "whole"),
    "nesting": ("all", "leaf", "root"),
}


@dataclass(frozen=True, kw_only=True)
class AutoSettings:
    """Hold every setting of automatic segmentation (SAM, section 5 and appendix B).

    Parameters
    ----------
    points
        Where to ask: on a "grid" (the paper's way), or once for each of the "objects" that the model's object head
        sees, which is faster and finds the small ones; models without such a head take the grid.
    object_size
        Usual diameter of the objects in pixels, which decides how closely the model looks; 0 or "automatic" estimates
        it.
    points_per_side
        Points along the long and the short side of what the model sees at once; 32 means 1024 prompts. Given without
        `points` it means the grid.
    points_per_batch
        Prompts decoded at once; 0 chooses what the device does best. Results do not depend on it.
    pred_iou_thresh
        Masks of a lower predicted IoU are dropped; 0 keeps all.
    stability_score_thresh, stability_score_offset
        Masks are dropped whose area changes more when the cut through the logits moves by the offset; 0 keeps all.
    rank_by
        Which of two masks is the better one: that of the higher "predicted_iou" (the authors' rule), or of the higher
        "stability_score", for models that judge their masks poorly.
    box_nms_thresh, crop_nms_thresh
        Of masks whose boxes overlap by more than this IoU the better one stays: within one crop, and between crops.
    crop_n_layers
        Layers of smaller crops to look at besides: layer i has 2^i crops along each side. Models that look through
        windows look at windows of half the size for each layer.
    crop_overlap_ratio
        Overlap of the crops of layer 1 as a share of the image's short side; it halves with every layer.
    crop_n_points_downscale_factor
        The points along a side of layer i are divided by the i-th power of this.
    min_mask_region_area
        Holes and islands of fewer pixels are removed; 0 leaves masks as they are.
    mode
        "exact" (the authors' records) or "fast" (points under masks found already are skipped; see
        docs/performance.md for what that costs).
    overlap
        Who gets a pixel in the label image that several masks cover: the "smaller" mask, the better one
        ("score"), or "whole": a mask that a better one overlaps is dropped, so that every object is whole.
    nesting
        Which masks become labels: "all", "leaf" (those that contain no other) or "root" (those in no other).
    min_area, max_area
        Pixels an object must and may have; a max_area of 0 is no limit.
    remove_background
        Whether to drop masks that cover more than half of the image or touch at least three of its borders.
    conditions
        What objects must fulfil, as "eccentricity<0.9" or "intensity_mean>=20": a property of
        `skimage.measure.regionprops`, or predicted_iou or stability_score, then <, <=, > or >=, then a number.
    """

    points: str = "grid"
    object_size: float = 0.0
    points_per_side: int = 32
    points_per_batch: int = 0
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    rank_by: str = "predicted_iou"
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0
    mode: str = "exact"
    overlap: str = "smaller"
    nesting: str = "all"
    min_area: int = 0
    max_area: int = 0
    remove_background: bool = False
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        for name in ("points_per_side", "crop_n_points_downscale_factor"):
            self._check(name, getattr(self, name) >= 1, "a whole number of at least 1")
        for name in ("points_per_batch", "crop_n_layers", "min_mask_region_area", "min_area", "max_area"):
            self._check(name, getattr(self, name) >= 0, "a whole number of at least 0")
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"):
            self._check(name, 0 <= getattr(self, name) <= 1, "a number from 0 to 1")
        self._check("object_size", 0 <= self.object_size <= 1e5, "a number of pixels from 0 (automatic) to 100000")
        self._check("points_per_side", self.points_per_side <= 1024, "at most 1024 (that is a million prompts)")
        self._check("crop_n_layers", self.crop_n_layers <= 4, "at most 4 (layer 4 has 256 crops)")
        self._check("stability_score_offset", self.stability_score_offset >= 0, "a number of at least 0")
        self._check("crop_overlap_ratio", 0 <= self.crop_overlap_ratio < 1, "a number from 0 to below 1")
        if self.max_area and self.max_area < self.min_area:
            raise InputError(
                f"Setting max_area is {self.max_area}: give 0 (no limit) or at least min_area ({self.min_area})."
            )
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"Setting {name} is {getattr(self, name)!r}: choose one of {', '.join(allowed)}.")
        for condition in self.conditions:
            parse_condition(condition)

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:  # NaN is not good either
            raise InputError(f"Setting {name} is {getattr(self, name)}: give {allowed}.")

    def changed(self, **changes: Any) -> AutoSettings:
        """Return the same settings with some changed, checking names and types."""
        return settings_from(AutoSettings, dataclasses.asdict(self) | as_numbers(changes), "automatic")

    def points_in_layer(self, layer: int) -> int:
        """Return the points along each side in a layer of crops, at least 1."""
        return max(1, int(self.points_per_side / self.crop_n_points_downscale_factor**layer))


# What differs from the defaults, which are the authors' for natural images. "cells" and "tissue" fit the bundled model.
_OBJECTS: dict[str, Any] = {
    "points": "objects",
    "points_per_side": 16,
    "pred_iou_thresh": 0.65,
    "stability_score_thresh": 0.6,
    "box_nms_thresh": 0.3,
    "crop_nms_thresh": 0.3,
    "overlap": "score",
    "remove_background": True,
}
AUTO_PRESETS: dict[str, dict[str, Any]] = {
    "natural": {},
    "cells": {**_OBJECTS, "min_mask_region_area": 15, "min_area": 15},
    "tissue": {**_OBJECTS, "min_mask_region_area": 30, "min_area": 30},
}


def load_auto_settings(
    preset: str = "natural", file: Path | None = None, overrides: dict[str, Any] | None = None
) -> AutoSettings:
    """Merge a preset, a TOML file and overrides (None means not given), the later ones first in rank.

    Who gives `points_per_side` and not `points` means the grid.

    Raises
    ------
    InputError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    if preset not in AUTO_PRESETS:
        raise InputError(f"Unknown preset {preset!r}: choose one of {', '.join(AUTO_PRESETS)}.")
    given = {} if file is None else read_settings_file(file, "automatic")
    given |= {key: value for key, value in (overrides or {}).items() if value is not None}
    if "points_per_side" in given:
        given = {"points": "grid"} | given
    return settings_from(AutoSettings, AUTO_PRESETS[preset] | as_numbers(given), "automatic")


def parse_condition(condition: str) -> tuple[str, str, float]:
    """Split "area>=20" into the property, the comparison and the number.

    Raises
    ------
    InputError
        If it has another form.
    """
    found = re.fullmatch(r"\s*([a-z_][a-z_0-9-]*)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*", str(condition))
    try:
        if found is not None:
            return found[1], found[2], float(found[3])
    except ValueError:  # such as 1.2.3
        pass
    raise InputError(f"The condition {condition!r} is not understood: write it like eccentricity<0.9 or area>=20.")

"""Settings of a batch job: one field each, shared by form, command line and scripts, and recorded beside the labels."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_sam.config.auto import AutoSettings
from napari_sam.config.settings import settings_from
from napari_sam.config.text import TextSettings
from napari_sam.errors import InputError

__all__ = ["BatchSettings"]

CHOICES = {
    "mode": ("auto", "prompts", "text"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "link": ("", "z", "t"),
    "seeds": ("box", "point"),
}


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """Hold every setting that decides the labels of a batch job; how many workers there are is none of them.

    Parameters
    ----------
    mode
        What is segmented: everything ("auto"), the objects of a table or of a label image of seeds ("prompts"), or
        what is named ("text").
    model, checkpoint
        Name of the model, and a weights file to use instead of the registered one ("" for none).
    device, precision, threads
        Where and how a worker computes. Sums differ in the last bit with the number of threads, so it is a setting.
    label
        Name of the labels inside the OME-Zarr image.
    tile, overlap
        Side of the tiles and what neighbours share, in pixels; no object smaller than the overlap is cut.
    normalization
        "auto", "none" or "LOW,HIGH"; decided once for all planes of the image.
    channels
        Names or numbers of one to three channels; none for all.
    level, pixel_size
        Level of the pyramid, 0 the finest; or the size of a pixel to look for, in the image's units (0 for none).
    link, link_threshold, link_gap
        Axis along which objects become one ("" for none, "z" or "t"), the overlap (IoU) that is needed, and over
        how many missing planes.
    prompts, seeds
        Table of prompts (.csv, .geojson) or label image of seeds, and whether a seed stands for its "box" or for one
        "point" in its middle.
    text
        What to look for in the mode "text".
    clip, clip_checkpoint
        Name of the CLIP that reads the texts, of a table as well, and a weights file to use instead of the registered
        one ("" for none).
    retries
        How often a unit that failed is tried again.
    auto
        Settings of automatic segmentation.
    ranking
        Settings of choosing by text among what automatic segmentation finds.
    """

    mode: str = "auto"
    model: str = "cells"
    checkpoint: str = ""
    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    label: str = "cells"
    tile: int = 2048
    overlap: int = 192
    normalization: str = "auto"
    channels: tuple[str | int, ...] = ()
    level: int = 0
    pixel_size: float = 0.0
    link: str = ""
    link_threshold: float = 0.5
    link_gap: int = 1
    prompts: str = ""
    seeds: str = "box"
    text: tuple[str, ...] = ()
    clip: str = "bundled"
    clip_checkpoint: str = ""
    retries: int = 2
    auto: AutoSettings = dataclasses.field(default=AutoSettings())
    ranking: TextSettings = dataclasses.field(default=TextSettings())

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                shown = ", ".join(word or '""' for word in allowed)
                raise InputError(f"Setting {name} is {getattr(self, name)!r}: choose one of {shown}.")
        self._check("threads", 1 <= self.threads <= 1024, "a whole number of at least 1")
        self._check("tile", self.tile >= 64, "at least 64 pixels")
        self._check("overlap", 0 <= self.overlap <= self.tile // 2, f"0 to half of the tile ({self.tile // 2})")
        self._check("level", self.level >= 0, "a whole number of at least 0")
        self._check("pixel_size", 0 <= self.pixel_size < math.inf, "a number of at least 0")
        self._check("link_threshold", 0 < self.link_threshold <= 1, "a number above 0, up to 1")
        self._check("link_gap", 0 <= self.link_gap <= 16, "a whole number from 0 to 16")
        self._check("retries", 0 <= self.retries <= 100, "a whole number from 0 to 100")
        if not self.label or self.label.startswith(".") or set(self.label) & set("/\\:"):
            raise InputError(f"The label's name is {self.label!r}: give one without slashes, colons or a leading dot.")
        if self.mode == "prompts" and not self.prompts:
            raise InputError("Mode prompts has nothing to go by: give a table or a label image of seeds as prompts.")
        if self.mode != "prompts" and self.prompts:
            raise InputError(f"Prompts are given ({self.prompts}) but the mode is {self.mode}: choose mode prompts.")
        if self.mode == "text" and not any(self.text):
            raise InputError("Mode text has nothing to look for: give a text, such as bright round nuclei.")
        if self.mode != "text" and self.text:
            raise InputError(f"A text is given ({self.text[0]}) but the mode is {self.mode}: choose mode text.")
        if len({*self.text}) < len(self.text):
            raise InputError("The same text is given twice: leave one out.")
        if self.mode == "prompts" and self.link:
            raise InputError("Mode prompts keeps the ids of the prompts, so nothing can be linked: leave link out.")
        if self.level and self.pixel_size:
            raise InputError("Both a level and a pixel size are given: leave one out.")
        self.stretch  # noqa: B018 - the check is in there

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:  # NaN is not good either
            raise InputError(f"Setting {name} is {getattr(self, name)}: give {allowed}.")

    @property
    def stretch(self) -> str | tuple[float, float]:
        """The normalisation as `Predictor.set_image` takes it: "auto", "none" or (low, high).

        Raises
        ------
        InputError
            If it is another.
        """
        if self.normalization in ("auto", "none"):
            return self.normalization
        try:
            low, high = (float(part) for part in self.normalization.split(","))
        except ValueError:
            low = high = math.nan
        if not (low < high and math.isfinite(low) and math.isfinite(high)):
            raise InputError(f"The normalization is {self.normalization!r}: give auto, none or LOW,HIGH (rising).")
        return low, high

    def changed(self, **changes: Any) -> BatchSettings:
        """Return the same settings with some changed, checking names and types.

        `auto` and `ranking` may be mappings of the settings that differ, and `normalization` a pair of numbers.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | changes
        for name in ("auto", "ranking"):
            if isinstance(values[name], Mapping):
                values[name] = getattr(self, name).changed(**values[name])
        if isinstance(values["normalization"], tuple | list):
            values["normalization"] = ",".join(repr(float(value)) for value in values["normalization"])
        return settings_from(BatchSettings, values, "batch")

    def as_record(self) -> dict[str, Any]:
        """Return all settings as plain values that JSON gives back unchanged."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

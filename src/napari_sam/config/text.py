"""Settings of segmentation by text: one field each, shared by form, command line, TOML file and scripts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError

__all__ = ["ROUTES", "STOP_WORDS", "VIEWS", "TextSettings", "check_route", "load_text_settings"]

VIEWS = ("keep", "blur", "zero")
ROUTES = ("rank", "prompt")

_STOP_WORDS = """
a an all and any are as at be been being both but by can do each every few find for from get has have having how i if
in into is it its just many me more most my no not of off on one ones only or other our out over please segment show so
some such than that the their them then there these they this thing things those to too under up very was we were what
when where which while who whose why will with without you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())  # they say nothing of an object


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Hold every setting of ranking masks by texts.

    Parameters
    ----------
    views
        What becomes of the pixels around the mask in its crops: "keep", "blur" or "zero"; the vectors of several are
        averaged.
    expansion
        Side of the crop as a multiple of the mask's box.
    templates
        Sentences around a text, {} in its place; the vectors of several are averaged.
    contrasts
        Whether a text also competes with the same text in which "small" is "large", "round" is "elongated" and so on,
        and one with "not" with the same text without it.
    negatives
        Texts that every text competes with, besides.
    exclusive
        Whether texts compete with one another, so that an object goes to the text that fits it best, or may go to
        several.
    threshold
        Least score of an object, from 0 to 1.
    top_k
        At most so many objects for each text, the best; 0 is no limit.
    temperature
        Above 1 scores are less sure, below 1 surer.
    min_area
        Least pixels of an object that is looked at.
    batch_size
        Crops encoded at once; 0 chooses what the device does best. Results do not depend on it.
    """

    views: tuple[str, ...] = ("keep", "zero")
    expansion: float = 1.5
    templates: tuple[str, ...] = ("{}", "an image of {}")
    contrasts: bool = True
    negatives: tuple[str, ...] = ("background", "debris")
    exclusive: bool = True
    threshold: float = 0.5
    top_k: int = 0
    temperature: float = 1.0
    min_area: int = 0
    batch_size: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        known = bool(self.views) and all(view in VIEWS for view in self.views)
        self._check("views", known, f"one or more of {', '.join(VIEWS)}")
        self._check("expansion", 1 <= self.expansion <= 2, "a number from 1 to 2")
        self._check("threshold", 0 <= self.threshold <= 1, "a number from 0 to 1")
        self._check("temperature", 0 < self.temperature <= 100, "a number above 0, at most 100")
        self._check(
            "templates",
            bool(self.templates) and all(isinstance(text, str) and "{}" in text for text in self.templates),
            "one or more sentences with {} in the place of the text",
        )
        self._check(
            "negatives", all(isinstance(text, str) and text.strip() for text in self.negatives), "texts, or none at all"
        )
        for name in ("top_k", "min_area", "batch_size"):
            self._check(name, getattr(self, name) >= 0, "a whole number of at least 0")

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:  # NaN is not good either
            raise InputError(f"Setting {name} is {getattr(self, name)!r}: give {allowed}.")

    def changed(self, **changes: Any) -> TextSettings:
        """Return the same settings with some changed, checking names and types."""
        return settings_from(TextSettings, dataclasses.asdict(self) | changes, "text")


def load_text_settings(file: Path | None = None, overrides: dict[str, Any] | None = None) -> TextSettings:
    """Merge a TOML file and overrides (None means not given), the later ones first in rank.

    Raises
    ------
    InputError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    values = read_settings_file(file, "text") if file is not None else {}
    values.update({key: value for key, value in (overrides or {}).items() if value is not None})
    return settings_from(TextSettings, values, "text")


def check_route(route: str) -> None:
    """Check the way from texts to masks.

    Raises
    ------
    InputError
        If there is no such way.
    """
    if route not in ROUTES:
        raise InputError(f"Unknown route {route!r} from texts to masks: choose one of {', '.join(ROUTES)}.")

"""Settings of training a text head: one field each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError

__all__ = ["TextHeadConfig", "load_text_head_config"]


@dataclass(frozen=True, kw_only=True)
class TextHeadConfig:
    """Hold every setting of a run.

    Parameters
    ----------
    synthetic
        Fraction of the crops that are synthetic scenes.
    steps, batch, prompts
        Optimizer steps, crops a step, objects a crop.
    captions
        How often an object is named by a caption instead of a crop of it (the paper: never).
    decoder
        Whether prompts with a text get a mask decoder of their own, a copy that learns, too. Points and boxes without
        a text stay exactly what they are either way.
    decoder_lr
        Of that copy, as a share of `lr`.
    focal_weight
        Weight of the focal against the dice loss.
    scale
        Smallest and largest random zoom of a crop of an image.
    lr, weight_decay
        AdamW, over one cycle.
    precision
        "bfloat16" (autocast) or "float32".
    seed
        Of weights, crops and names.
    threads
        CPU threads; 0 leaves the default.
    """

    synthetic: float = 0.5
    steps: int = 2500
    batch: int = 2
    prompts: int = 6
    captions: float = 0.75
    decoder: bool = True
    decoder_lr: float = 0.3
    focal_weight: float = 5.0
    scale: tuple[float, float] = (0.6, 2.0)
    lr: float = 2e-3
    weight_decay: float = 0.01
    precision: str = "bfloat16"
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        for name in ("steps", "batch", "prompts"):
            self._check(name, getattr(self, name) >= 1, "a whole number of at least 1")
        for name in ("synthetic", "captions", "decoder_lr"):
            self._check(name, 0 <= getattr(self, name) <= 1, "a fraction from 0 to 1")
        for name in ("focal_weight", "weight_decay", "threads"):
            self._check(name, getattr(self, name) >= 0, "a number of at least 0")
        self._check("precision", self.precision in ("float32", "bfloat16"), "float32 or bfloat16")
        self._check("lr", self.lr > 0, "a number above 0")
        self._check("scale", 0 < self.scale[0] <= self.scale[1], "two zooms above 0, the smaller first")

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:
            raise InputError(f"Setting {name} is {getattr(self, name)!r}: give {allowed}.")


def load_text_head_config(file: Path | None = None, overrides: dict[str, Any] | None = None) -> TextHeadConfig:
    """Merge a TOML file and overrides (None means not given), the later ones first in rank.

    Raises
    ------
    InputError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    values = read_settings_file(file, "text head") if file is not None else {}
    values.update({key: value for key, value in (overrides or {}).items() if value is not None})
    return settings_from(TextHeadConfig, values, "text head")

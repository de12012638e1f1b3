"""Settings of the image encoder's pre-training: one field each, shared by TOML file, command line and presets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError

__all__ = ["PRETRAINING_PRESETS", "PretrainingConfig", "load_pretraining_config"]


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """Hold every setting of a pre-training run.

    Parameters
    ----------
    architecture
        A key of `model.build.SPECS`.
    data
        Folders of pictures; labels are not looked at.
    synthetic
        Fraction of the crops that are drawn by the synthetic generator.
    mask_ratio
        Share of a crop's patches that is hidden (He et al. 2022: 0.75).
    patch
        Side of a patch in pixels; for a ViT its own, 16.
    decoder_width, decoder_depth
        Channels and residual blocks of the decoder, which is thrown away afterwards.
    augment
        How often the intensities of a crop are changed at random (He et al.: never); crops are always turned and
        flipped.
    start
        A registered model or a weights file to start from; "" starts at random.
    steps, batch
        Optimizer steps, crops a step.
    lr, weight_decay, clip
        AdamW; gradient norm limit. The rate rises over `warmup` steps, then falls to zero as a cosine.
    warmup
        See `lr`.
    scale
        Smallest and largest random zoom of a crop.
    precision
        "bfloat16" (autocast) or "float32".
    seed
        Of weights, crops and hidden patches.
    threads
        CPU threads; 0 leaves the default.
    workers
        Processes that make batches ahead of time.
    save_every
        Steps between checkpoints.
    """

    architecture: str = "cells"
    data: tuple[str, ...] = ()
    synthetic: float = 0.0
    mask_ratio: float = 0.75
    patch: int = 16
    decoder_width: int = 128
    decoder_depth: int = 2
    augment: float = 0.0
    start: str = ""
    steps: int = 4000
    batch: int = 8
    lr: float = 5e-4
    weight_decay: float = 0.05
    clip: float = 1.0
    warmup: int = 100
    scale: tuple[float, float] = (0.6, 2.0)
    precision: str = "bfloat16"
    seed: int = 0
    threads: int = 0
    workers: int = 0
    save_every: int = 100

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        for name in ("patch", "decoder_width", "steps", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a whole number of at least 1.")
        for name in ("decoder_depth", "warmup", "threads", "workers", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a whole number of at least 0.")
        for name in ("synthetic", "augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a fraction from 0 to 1.")
        if not 0 < self.mask_ratio < 1:
            raise InputError(f"Setting mask_ratio is {self.mask_ratio}: give a fraction between 0 and 1.")
        if not self.weight_decay >= 0:
            raise InputError(f"Setting weight_decay is {self.weight_decay}: give a number of at least 0.")
        if not (self.lr > 0 and self.clip > 0):
            raise InputError(f"Settings lr and clip are {self.lr} and {self.clip}: give numbers above 0.")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise InputError(f"Setting scale is {self.scale}: give two zooms above 0, the smaller first.")
        if self.precision not in ("float32", "bfloat16"):
            raise InputError(f"Setting precision is {self.precision!r}: choose float32 or bfloat16.")
        if not self.data and self.synthetic < 1:
            raise InputError("No images to pre-train on: name folders of pictures with data, or set synthetic to 1.")


# What differs from the defaults. "paper" is He et al.'s optimizer for a ViT-B, with a batch for one large GPU.
PRETRAINING_PRESETS: dict[str, dict[str, Any]] = {
    "cells": {"augment": 0.5, "lr": 1e-3},
    "paper": {
        "architecture": "vit_b",
        "decoder_width": 512,
        "decoder_depth": 4,
        "steps": 100_000,
        "batch": 64,
        "lr": 1.5e-4,
        "warmup": 4000,
        "scale": (0.5, 2.0),
        "save_every": 500,
    },
    "quick": {"steps": 20, "batch": 2, "decoder_width": 32, "decoder_depth": 1, "warmup": 5, "save_every": 10},
}


def load_pretraining_config(file: Path | None, overrides: dict[str, Any], preset: str = "cells") -> PretrainingConfig:
    """Merge a preset, a TOML file and overrides, the later ones first in rank; overrides that are None say nothing.

    Raises
    ------
    InputError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    if preset not in PRETRAINING_PRESETS:
        raise InputError(f"Unknown preset {preset!r}: choose one of {', '.join(PRETRAINING_PRESETS)}.")
    values: dict[str, Any] = dict(PRETRAINING_PRESETS[preset])
    if file is not None:
        values.update(read_settings_file(file, "pre-training"))
    values.update({key: value for key, value in overrides.items() if value is not None})
    return settings_from(PretrainingConfig, values, "pre-training")

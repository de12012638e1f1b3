"""Settings of a training run: one field each, shared by TOML file, command line and presets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError

__all__ = ["PRESETS", "TrainingConfig", "load_training_config"]

SCHEDULES = ("linear", "cosine", "steps")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Hold every setting of a training run.

    Parameters
    ----------
    architecture
        A key of `model.build.SPECS`.
    data
        Folders with `images/` and `labels/`.
    synthetic
        Fraction of the crops that are drawn by the synthetic generator.
    steps, batch, prompts
        Optimizer steps, crops a step, objects a crop (the paper: at most 64 masks an image).
    rounds
        Rounds of prompt simulation at most (the paper: 11).
    random_rounds
        Whether a step plays a random number of rounds from 1 to `rounds`, more often few, instead of all of them.
    drop_mask
        How often a later round leaves out the earlier mask (the paper: never), so that points given at once work too.
    deep
        How often a simulated click lies in the inner part of the object or of the error (the paper: never more than by
        chance), as people click.
    focal_weight, focal_alpha
        Weight of the focal against the dice loss (the paper: 20), and of foreground against background in it (usual:
        0.25); small objects want less of the one and more of the other.
    quality_weight
        Weight of the squared error of the predicted IoU (the paper: 1).
    objects_weight
        Weight of the object head's loss, for architectures that have one.
    clumps
        How often an object's target is the whole clump that it belongs to: what else a click there may mean.
    text_rounds
        How often a step begins with a text in place of a point or a box (what a CLIP says of the mask); 0: never, and
        the model gets no text head.
    text_clip
        Name of that CLIP.
    start
        A registered model or a weights file to start from; what it lacks starts at random.
    lr, weight_decay, clip
        AdamW; gradient norm limit.
    schedule, warmup, cooldown
        Linear warm-up steps, then "linear": constant, with the last `cooldown` steps linearly down to zero; "cosine";
        or "steps": a tenth after 2/3 and again after 26/27 of the run, as the paper.
    layer_decay
        Factor of the rate from one layer of the image encoder to the one before (the paper: 0.8), 1 for none.
    drop_path
        How often the last block of the image encoder is left out in training, earlier ones less (the paper: 0.4).
    accumulate
        Turns in which a process works through its crops of a batch; more turns need less memory.
    ema
        Decay of the moving average of the weights, which is what gets saved as the model.
    scale
        Smallest and largest random zoom of a crop.
    focus, share
        How often a crop is cut around one object instead, and the smallest and largest share of its side that the
        object then takes: objects of every size at every scale.
    minutes
        Time after which the run ends, 0 for none. The rate then follows the share of the time that is over (constant,
        falling to zero over the last 60 %), whatever `schedule` says.
    precision
        "bfloat16" (autocast) or "float32".
    seed
        Of weights, crops, prompts.
    threads
        CPU threads; 0 leaves the default.
    workers
        Processes that make batches ahead of time.
    save_every
        Steps between checkpoints.
    validate_every, patience
        Steps between validations on held-out images, 0 for none; the run ends after `patience` of them without a better
        score, 0: never.
    """

    architecture: str = "cells"
    data: tuple[str, ...] = ()
    synthetic: float = 0.2
    steps: int = 4000
    batch: int = 6
    prompts: int = 8
    rounds: int = 11
    random_rounds: bool = False
    drop_mask: float = 0.0
    deep: float = 0.0
    focal_weight: float = 20.0
    focal_alpha: float = 0.25
    quality_weight: float = 1.0
    objects_weight: float = 1.0
    clumps: float = 0.0
    text_rounds: float = 0.0
    text_clip: str = "bundled"
    start: str = ""
    lr: float = 4e-4
    weight_decay: float = 0.1
    schedule: str = "linear"
    warmup: int = 250
    cooldown: int = 1000
    clip: float = 1.0
    layer_decay: float = 1.0
    drop_path: float = 0.0
    accumulate: int = 1
    ema: float = 0.998
    scale: tuple[float, float] = (0.6, 2.0)
    focus: float = 0.0
    share: tuple[float, float] = (0.06, 0.8)
    minutes: float = 0.0
    precision: str = "bfloat16"
    seed: int = 0
    threads: int = 0
    workers: int = 0
    save_every: int = 100
    validate_every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        for name in ("steps", "batch", "prompts", "rounds", "save_every", "accumulate"):
            if getattr(self, name) < 1:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a whole number of at least 1.")
        for name in ("warmup", "cooldown", "threads", "workers", "validate_every", "patience"):
            if getattr(self, name) < 0:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a whole number of at least 0.")
        for name in ("synthetic", "drop_path", "drop_mask", "clumps", "text_rounds", "focus", "deep"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a fraction from 0 to 1.")
        for name in ("focal_weight", "quality_weight", "objects_weight", "weight_decay", "minutes"):
            if not getattr(self, name) >= 0:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a number of at least 0.")
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"Setting layer_decay is {self.layer_decay}: give a number above 0, at most 1.")
        if self.schedule not in SCHEDULES:
            raise InputError(f"Setting schedule is {self.schedule!r}: choose one of {', '.join(SCHEDULES)}.")
        if self.lr <= 0 or self.clip <= 0:
            raise InputError(f"Settings lr and clip are {self.lr} and {self.clip}: give numbers above 0.")
        if not 0 <= self.ema < 1:
            raise InputError(f"Setting ema is {self.ema}: give a number from 0 (no averaging) to below 1.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise InputError(f"Setting scale is {self.scale}: give two zooms above 0, the smaller first.")
        if not 0 < self.share[0] <= self.share[1]:
            raise InputError(f"Setting share is {self.share}: give two shares above 0, the smaller first.")
        if self.precision not in ("float32", "bfloat16"):
            raise InputError(f"Setting precision is {self.precision!r}: choose float32 or bfloat16.")
        if not self.data and self.synthetic < 1:
            raise InputError("No training data given: name folders with images/ and labels/, or set synthetic to 1.")


# What differs from the defaults. "paper" plays the paper's 11 rounds; "cells" spends its CPU minutes on more crops.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "cells": {
        "steps": 6000,
        "cooldown": 1000,
        "prompts": 6,
        "rounds": 4,
        "random_rounds": True,
        "drop_mask": 0.2,
        "focal_weight": 5.0,
        "focal_alpha": 0.5,
        "quality_weight": 2.0,
        "clumps": 0.1,
        "lr": 5e-4,
        "weight_decay": 0.05,
        "warmup": 100,
        "scale": (0.6, 2.5),
    },
    "cells_drawing": {  # of the next bundled weights
        "architecture": "cells_drawing",
        "steps": 6000,
        "cooldown": 1000,
        "synthetic": 0.12,
        "prompts": 8,
        "rounds": 4,
        "random_rounds": True,
        "drop_mask": 0.2,
        "deep": 0.5,
        "focal_weight": 5.0,
        "focal_alpha": 0.5,
        "quality_weight": 2.0,
        "clumps": 0.1,
        "focus": 0.6,
        "lr": 4e-4,
        "weight_decay": 0.05,
        "warmup": 150,
        "scale": (0.6, 2.5),
    },
    "quick": {"steps": 20, "batch": 2, "prompts": 4, "rounds": 2, "warmup": 5, "cooldown": 5, "save_every": 10},
}


def load_training_config(file: Path | None, overrides: dict[str, Any], preset: str = "cells") -> TrainingConfig:
    """Merge a preset, a TOML file and overrides, the later ones first in rank.

    Raises
    ------
    InputError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    if preset not in PRESETS:
        raise InputError(f"Unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    values: dict[str, Any] = dict(PRESETS[preset])
    if file is not None:
        values.update(read_settings_file(file, "training"))
    values.update({key: value for key, value in overrides.items() if value is not None})
    return training_config_from(values)


def training_config_from(values: dict[str, Any]) -> TrainingConfig:
    """Make a config of plain values, checking names and types."""
    return settings_from(TrainingConfig, values, "training")

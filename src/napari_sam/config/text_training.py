"""Settings of training the bundled CLIP on captioned crops: one field each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError

__all__ = ["TEXT_PRESETS", "TextTrainingConfig", "load_text_training_config"]


@dataclass(frozen=True, kw_only=True)
class TextTrainingConfig:
    """Hold every setting of a run.

    Parameters
    ----------
    architecture
        A name of `model.clip_towers.find_clip_spec`.
    data
        Sources of labelled images, see `data.sources`.
    hold_out
        Of each of `data` every so-many-th image is left for evaluation; 0 trains on all. A folder named "train" is used
        whole, of one named "val" or "test" nothing.
    scenes, scene_size
        Synthetic scenes beside them, and their side in pixels.
    objects
        At most so many objects of an image.
    steps, batch, texts
        Optimizer steps, crops a step, captions a step.
    zeroed, blurred
        How often the surroundings of an object are zeroed, or blurred, in its crop.
    noise
        Standard deviation in gray levels of what is added to crops; half of it shifts their brightness.
    lr, weight_decay, warmup, clip
        AdamW with linear warm-up, then half a cosine to zero; gradient norm limit.
    ema
        Decay of the moving average of the weights, which is what gets saved.
    precision
        "bfloat16" (autocast) or "float32".
    seed
        Of objects, weights, crops and captions.
    threads
        CPU threads; 0 leaves the default.
    save_every
        Steps between checkpoints.
    """

    architecture: str = "clip_bundled"
    data: tuple[str, ...] = ()
    hold_out: int = 5
    scenes: int = 1000
    scene_size: int = 256
    objects: int = 40
    steps: int = 4000
    batch: int = 128
    texts: int = 96
    zeroed: float = 0.4
    blurred: float = 0.1
    noise: float = 4.0
    lr: float = 1e-3
    weight_decay: float = 0.1
    warmup: int = 200
    clip: float = 1.0
    ema: float = 0.998
    precision: str = "bfloat16"
    seed: int = 0
    threads: int = 0
    save_every: int = 100

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        for name in ("steps", "objects", "save_every"):
            self._check(name, getattr(self, name) >= 1, "a whole number of at least 1")
        for name in ("batch", "texts"):
            self._check(name, getattr(self, name) >= 2, "a whole number of at least 2")
        self._check("texts", self.texts <= self.batch, f"at most the {self.batch} of batch")
        for name in ("scenes", "warmup", "threads"):
            self._check(name, getattr(self, name) >= 0, "a whole number of at least 0")
        self._check("hold_out", self.hold_out == 0 or self.hold_out >= 2, "0, or a whole number of at least 2")
        self._check("scene_size", self.scene_size >= 64, "at least 64 pixels")
        for name in ("zeroed", "blurred"):
            self._check(name, 0 <= getattr(self, name) <= 1, "a fraction from 0 to 1")
        self._check("blurred", self.zeroed + self.blurred <= 1, "a fraction that with zeroed makes at most 1")
        for name in ("noise", "weight_decay"):
            self._check(name, getattr(self, name) >= 0, "a number of at least 0")
        for name in ("lr", "clip"):
            self._check(name, getattr(self, name) > 0, "a number above 0")
        self._check("ema", 0 <= self.ema < 1, "a number from 0 (no averaging) to below 1")
        self._check("precision", self.precision in ("float32", "bfloat16"), "float32 or bfloat16")
        if not self.data and not self.scenes:
            raise InputError("No training data given: name folders with images/ and labels/, or set scenes above 0.")

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:
            raise InputError(f"Setting {name} is {getattr(self, name)!r}: give {allowed}.")


# What differs from the defaults.
TEXT_PRESETS: dict[str, dict[str, Any]] = {
    "bundled": {},
    "quick": {
        "scenes": 10,
        "scene_size": 96,
        "objects": 10,
        "steps": 4,
        "batch": 16,
        "texts": 8,
        "warmup": 2,
        "save_every": 2,
    },
}


def load_text_training_config(
    file: Path | None, overrides: dict[str, Any], preset: str = "bundled"
) -> TextTrainingConfig:
    """Merge a preset, a TOML file and overrides (None means not given), the later ones first in rank.

    Raises
    ------
    InputError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    if preset not in TEXT_PRESETS:
        raise InputError(f"Unknown preset {preset!r}: choose one of {', '.join(TEXT_PRESETS)}.")
    values: dict[str, Any] = dict(TEXT_PRESETS[preset])
    if file is not None:
        values.update(read_settings_file(file, "text training"))
    values.update({key: value for key, value in overrides.items() if value is not None})
    return settings_from(TextTrainingConfig, values, "text training")

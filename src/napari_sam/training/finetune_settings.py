"""Settings of fine-tuning: one field each, shared by form, command line and scripts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.config.settings import settings_from
from napari_sam.config.training import PRESETS, TrainingConfig, training_config_from
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam

__all__ = ["FINETUNE_PRESETS", "MODES", "FinetuneSettings", "finetune_settings", "step_config"]

MODES = ("decoder", "lora", "all")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """Hold every setting of fine-tuning.

    Parameters
    ----------
    mode
        What learns: "decoder" (the encoder stays, each view is encoded once), "lora" (low-rank adapters on the encoder,
        and the decoder), or "all".
    steps, batch, prompts
        Optimizer steps at most, views a step, objects a view.
    rounds
        Rounds of simulated prompts a step at most; more often few.
    views
        Mode "decoder": fixed views (crops, turned and flipped) made of each image; 0 makes 12 for a model that looks
        through windows and 4 for one that sees whole images, whose encoder is slow.
    lr, encoder_lr
        Learning rates of the decoder and of what learns in the encoder.
    weight_decay, warmup, clip
        AdamW; linear warm-up steps; gradient norm limit. The rates fall to a tenth along half a cosine.
    rank
        Mode "lora": rank of the adapters.
    score_every, patience
        Steps between scores on the held-out images; scores without a better one after which it stops (0: never).
    score_objects
        Objects a held-out image that are scored, at most.
    minutes
        Stop after so many minutes of learning; getting ready does not count, and 0 is no limit.
    complete_labels
        Whether every object in the images is labelled; if not, the model's object head is left as it is.
    seed
        Of views, prompts and scores.
    """

    mode: str = "decoder"
    steps: int = 300
    batch: int = 4
    prompts: int = 8
    rounds: int = 4
    views: int = 0
    lr: float = 2e-4
    encoder_lr: float = 5e-4
    weight_decay: float = 0.01
    warmup: int = 20
    clip: float = 1.0
    rank: int = 8
    score_every: int = 50
    patience: int = 4
    score_objects: int = 30
    minutes: float = 0.0
    complete_labels: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting, its value and what is allowed.
        """
        if self.mode not in MODES:
            raise InputError(f"Setting mode is {self.mode!r}: choose one of {', '.join(MODES)}.")
        for name in ("steps", "batch", "prompts", "rounds", "rank", "score_every", "score_objects"):
            if not getattr(self, name) >= 1:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a whole number of at least 1.")
        for name in ("views", "warmup", "patience", "minutes", "weight_decay"):
            if not getattr(self, name) >= 0:  # NaN is not good either
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a number of at least 0.")
        for name in ("lr", "encoder_lr", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"Setting {name} is {getattr(self, name)}: give a number above 0.")

    def views_of_each(self, model: Sam) -> int:
        """Return how many fixed views are made of each image for a model."""
        return self.views or (12 if model.spec.windowed else 4)

    def changed(self, **changes: Any) -> FinetuneSettings:
        """Return the same settings with some changed, checking names and types."""
        return settings_from(FinetuneSettings, dataclasses.asdict(self) | changes, "fine-tuning")


# What differs from the defaults.
FINETUNE_PRESETS: dict[str, dict[str, Any]] = {
    "decoder": {},
    "lora": {"steps": 200, "batch": 2, "score_every": 25},
    "all": {"steps": 200, "batch": 2, "encoder_lr": 5e-5, "score_every": 25},
}


def finetune_settings(mode: str = "decoder", overrides: dict[str, Any] | None = None) -> FinetuneSettings:
    """Return the settings of a mode with some changed (None means not given).

    Raises
    ------
    InputError
        If the mode or a setting is unknown, or a value is out of range.
    """
    values: dict[str, Any] = {"mode": mode, **FINETUNE_PRESETS.get(mode, {})}
    values.update({key: value for key, value in (overrides or {}).items() if value is not None})
    return settings_from(FinetuneSettings, values, "fine-tuning")


def step_config(settings: FinetuneSettings, model: Sam) -> TrainingConfig:
    """Return what `training_step` reads: the rounds and losses of training on small objects, with these settings."""
    return training_config_from(
        {
            **PRESETS["cells"],
            "architecture": model.spec.architecture,
            "data": ("fine-tuning",),
            "synthetic": 0.0,
            "steps": settings.steps,
            "batch": settings.batch,
            "prompts": settings.prompts,
            "rounds": settings.rounds,
            "lr": settings.lr,
            "clip": settings.clip,
            "objects_weight": 1.0 if settings.complete_labels else 0.0,
            "precision": "bfloat16" if model.precision == "bfloat16" else "float32",
            "seed": settings.seed,
        }
    )

"""Learning rates: over the steps of a run, and over the depth of the encoder (SAM, appendix A)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from napari_sam.config.training import TrainingConfig
from napari_sam.model.sam import Sam

__all__ = ["cosine_rate", "learning_rate", "make_optimizer", "set_learning_rate"]

DROPS = (2 / 3, 26 / 27)  # of the run: the paper's drops at 60,000 and 86,666 of 90,000 steps
DROP = 0.1
PRETRAINED_RATE = 0.1  # of features that were learnt on far more pictures than there are here
TIMED_FALL = 0.6  # of the time of a run that has one: over which the rate falls


def cosine_rate(lr: float, step: int, *, warmup: int, steps: int) -> float:
    """Return the rate of a step (from 1) of so many: linear warm-up, then half a cosine down to zero."""
    if step <= warmup:
        return lr * step / warmup
    return lr * (0.5 + 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup + 1)))


def learning_rate(config: TrainingConfig, step: int, minutes: float = 0.0) -> float:
    """Return the rate of a step (from 1): linear warm-up, then the schedule of the config.

    Parameters
    ----------
    minutes
        How long the run has taken, which decides where the config sets a time.
    """
    rising = min(1.0, step / config.warmup) if config.warmup else 1.0
    if config.minutes:
        return config.lr * rising * min(1.0, max(0.0, 1 - minutes / config.minutes) / TIMED_FALL)
    if config.schedule == "cosine":
        falling = 0.5 + 0.5 * math.cos(
            math.pi * max(0, step - config.warmup) / max(1, config.steps - config.warmup + 1)
        )
    elif config.schedule == "steps":
        falling = DROP ** sum(step > drop * config.steps for drop in DROPS)
    else:
        left = config.steps - step + 1
        falling = min(1.0, left / config.cooldown) if config.cooldown else 1.0
    return config.lr * min(rising, falling) if config.schedule == "linear" else config.lr * rising * falling


def make_optimizer(model: Sam, config: TrainingConfig) -> torch.optim.AdamW:
    """Make an AdamW that decays matrices and kernels only, not biases, norms, positions or tokens.

    With `layer_decay` the encoder's layers learn the slower the farther they are from its end.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    depth = _depths(model)
    deepest = len(model.encoder_steps())
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        matrix = parameter.ndim >= 2 and not any(part in name for part in ("embed", "token"))
        decay = config.weight_decay if matrix else 0.0
        scale = config.layer_decay ** (deepest - depth.get(name, deepest))
        scale *= PRETRAINED_RATE if name.startswith("image_encoder.lite.") else 1.0
        group = groups.setdefault((decay, scale), {"params": [], "weight_decay": decay, "scale": scale})
        group["params"].append(parameter)
    return torch.optim.AdamW(list(groups.values()), lr=config.lr, betas=(0.9, 0.999))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate of every group, each with its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def _depths(model: Sam) -> dict[str, int]:
    """Return how many of the encoder's steps come before each of its parameters; those of no step come first."""
    of_step = {id(p): number for number, step in enumerate(model.encoder_steps(), 1) for p in _parameters(step)}
    return {
        f"image_encoder.{name}": of_step.get(id(parameter), 0)
        for name, parameter in model.image_encoder.named_parameters()
    }


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters())

"""The training loop: a generator of progress that can be stopped and resumed at any step."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.data.sampler import make_batch
from napari_sam.errors import InputError
from napari_sam.model.build import build_model
from napari_sam.model.sam import Sam
from napari_sam.training.initialization import point_tokens_at_their_place, start_from
from napari_sam.training.run_folder import RunFolder, save_weights
from napari_sam.training.step import StepResult, training_step

__all__ = ["TrainingProgress", "learning_rate", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Report one finished step of `total`."""

    step: int
    total: int
    result: StepResult
    lr: float
    seconds: float


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate of a step (from 1): linear warm-up, constant, linear cool-down to zero."""
    rising = min(1.0, step / config.warmup) if config.warmup else 1.0
    left = config.steps - step + 1
    falling = min(1.0, left / config.cooldown) if config.cooldown else 1.0
    return config.lr * min(rising, falling)


def train(
    config: TrainingConfig,
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    folder: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
) -> Iterator[TrainingProgress]:
    """Train a model from scratch, or go on with a run.

    Every step's batch and prompts follow from the seed and the step's number alone, so a run that was killed and
    resumed has the same losses as one that was not. Stopping loses at most the steps since the last checkpoint.

    Parameters
    ----------
    config
        All settings.
    samples, weights
        Images and how often each is drawn.
    folder
        Of the run: state, log, and in the end `model.safetensors` with the averaged weights.
    resume
        Whether to go on with the run that `folder` holds.
    device
        Of the model.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    run = RunFolder(folder)
    state = run.open(config, resume=resume)
    model = build_model(config.architecture, seed=config.seed)
    if state is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            point_tokens_at_their_place(model)
        if config.start:
            start_from(model, config.start)
    model = model.to(device).train()
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    optimizer = _optimizer(model, config)
    step = 0
    if state is not None:
        step = int(state["step"])
        model.load_state_dict(state["model"])
        average = {key: value.to(device) for key, value in state["average"].items()}
        optimizer.load_state_dict(state["optimizer"])
    while step < config.steps:
        step += 1
        started = time.perf_counter()
        lr = learning_rate(config, step)
        batch = make_batch(samples, weights, config, model.img_size, step)
        optimizer.zero_grad()
        result = training_step(model, batch, config, step)
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip))
        if not np.isfinite(norm):
            raise InputError(
                f"The gradient of step {step} is not finite: lower the setting lr ({config.lr}) and resume."
            )
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        _update_average(average, model, min(config.ema, step / (step + 10)))
        run.log({"step": step, "lr": lr, "norm": round(norm, 4), **dataclasses.asdict(result)})
        if step % config.save_every == 0 or step == config.steps:
            _save(run, config, model, average, optimizer, step)
        seconds = time.perf_counter() - started
        yield TrainingProgress(step=step, total=config.steps, result=result, lr=lr, seconds=seconds)


def _save(
    run: RunFolder,
    config: TrainingConfig,
    model: Sam,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    state: dict[str, Any] = {
        "step": step,
        "model": model.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
    }
    run.save(state)
    save_weights(average, run.model_file, {"architecture": config.architecture, "step": str(step)})


def _optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Decay matrices and kernels only, not biases, norms, positions or tokens."""
    decay: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and not any(part in name for part in ("embed", "token"))
        (decay if matrix else plain).append(parameter)
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.999))


@torch.no_grad()
def _update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)

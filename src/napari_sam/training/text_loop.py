"""Training a small CLIP on captioned crops: a generator of progress, resumable at any step."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.config.caption_words import vocabulary
from napari_sam.config.text_training import TextTrainingConfig
from napari_sam.data.caption_crops import CaptionCrops
from napari_sam.data.captions import FALSE, TRUE
from napari_sam.errors import InputError
from napari_sam.losses.contrastive import contrastive_loss
from napari_sam.model.clip import build_clip, save_clip
from napari_sam.model.clip_towers import encode_short
from napari_sam.training.run_folder import RunFolder
from napari_sam.training.schedule import cosine_rate
from napari_sam.training.text_batches import TextBatch, make_text_batch

__all__ = ["TextProgress", "train_text"]

LARGEST_SCALE = 50.0  # of cosines
BETAS = (0.9, 0.98)


@dataclass(frozen=True, kw_only=True)
class TextProgress:
    """Report one finished step of `total`.

    Parameters
    ----------
    step, total
        How far the run is.
    loss
        See `losses.contrastive`.
    order
        Share of pairs of images, one of which a caption is true of and one not, that the cosines put in the right
        order.
    lr, seconds
        The step's rate and its time.
    """

    step: int
    total: int
    loss: float
    order: float
    lr: float
    seconds: float


def train_text(
    config: TextTrainingConfig, crops: CaptionCrops, folder: Path, *, resume: bool = False, device: str = "cpu"
) -> Iterator[TextProgress]:
    """Train a CLIP, or go on with a run.

    Every step's crops and captions follow from the seed and the step's number alone, so a run that was killed and
    resumed has the same losses as one that was not.

    Parameters
    ----------
    config
        All settings.
    crops
        From `data.caption_crops`.
    folder
        Of the run: settings, log, state, and `model.safetensors` with the averaged weights, which `load_clip` takes.
    resume
        Whether to go on with the run that `folder` holds.
    device
        Of the model.

    Raises
    ------
    InputError
        If the folder holds another run, or the gradients are no numbers any more.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    run = _Run(config, RunFolder(folder), device, resume=resume)
    weights = crops.weights
    for step in range(run.step + 1, config.steps + 1):
        started = time.perf_counter()
        lr = cosine_rate(config.lr, step, warmup=config.warmup, steps=config.steps)
        loss, order = run.update(step, lr, make_text_batch(crops, weights, config, step))
        if step % config.save_every == 0 or step == config.steps:
            run.save()
        seconds = time.perf_counter() - started
        yield TextProgress(step=step, total=config.steps, loss=loss, order=order, lr=lr, seconds=seconds)


class _Run:
    """What changes from step to step: model, its average, optimizer."""

    def __init__(self, config: TextTrainingConfig, folder: RunFolder, device: str, *, resume: bool) -> None:
        self.config, self.folder = config, folder
        state = folder.open(cast("Any", config), resume=resume)  # any frozen dataclass of settings will do
        self.clip = build_clip(config.seed, architecture=config.architecture)
        self.towers: Any = self.clip.towers.to(device).train()
        self.optimizer = _make_optimizer(self.towers, config)
        self.average = {key: value.detach().clone() for key, value in self.towers.state_dict().items()}
        self.step = 0
        if state is not None:
            self.step = int(state["step"])
            self.towers.load_state_dict(state["model"])
            self.average = {key: value.to(device) for key, value in state["average"].items()}
            self.optimizer.load_state_dict(state["optimizer"])

    def update(self, step: int, lr: float, batch: TextBatch) -> tuple[float, float]:
        """Take an optimizer step; return the loss and the share of pairs in the right order before it."""
        tokens = self.clip.tokenize(batch.texts)
        pixels = self.clip.preprocess(batch.images)
        device = self.clip.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            images = self.towers.encode_image(pixels)
            texts = encode_short(self.towers, tokens)
        truth = torch.from_numpy(batch.truth).to(device)
        cosines = F.normalize(images.float(), dim=-1) @ F.normalize(texts.float(), dim=-1).T
        loss = contrastive_loss(self.towers.logit_scale.exp() * cosines, truth == TRUE, truth == FALSE)
        self.optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.towers.parameters(), self.config.clip))
        if not np.isfinite(norm):
            raise InputError(
                f"The gradient of step {step} is not finite: lower the setting lr ({self.config.lr}) and resume."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step = step
        with torch.no_grad():
            self.towers.logit_scale.clamp_(0, math.log(LARGEST_SCALE))
            decay = min(self.config.ema, step / (step + 10))
            for key, value in self.towers.state_dict().items():
                self.average[key].lerp_(value, 1 - decay) if value.is_floating_point() else None
        value, order = float(loss.detach()), _order(cosines.detach(), truth)
        scale = float(self.towers.logit_scale.detach().exp())
        self.folder.log({"step": step, "lr": lr, "norm": round(norm, 4), "loss": value, "order": order, "scale": scale})
        return value, order

    def save(self) -> None:
        """Write what is needed to go on, and the model."""
        state = {
            "step": self.step,
            "model": self.towers.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        self.folder.save(state)
        averaged = build_clip(self.config.seed, architecture=self.config.architecture)
        averaged.towers.load_state_dict(self.average)
        part = self.folder.model_file.with_suffix(".part")
        save_clip(averaged, part, vocabulary=vocabulary())
        os.replace(part, self.folder.model_file)


def _order(cosines: Tensor, truth: Tensor) -> float:
    """Return the mean over captions of the area under the ROC curve."""
    shares = []
    for column, states in zip(cosines.T, truth.T, strict=True):
        good, bad = column[states == TRUE], column[states == FALSE]
        if len(good) and len(bad):
            shares.append((good[:, None] > bad).float().mean())
    return float(torch.stack(shares).mean()) if shares else 0.5


def _make_optimizer(towers: nn.Module, config: TextTrainingConfig) -> torch.optim.AdamW:
    """Make an AdamW that decays matrices and kernels only, not biases, norms, positions, tokens or the scale."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in towers.named_parameters():
        (decayed if parameter.ndim >= 2 and "embedding" not in name else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=BETAS, eps=1e-6)

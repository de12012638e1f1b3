"""Pre-training of an image encoder on images without labels: a generator of progress, resumable at any step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_sam.config.pretraining import PretrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.model.build import build_model
from napari_sam.training.initialization import start_from
from napari_sam.training.mae_batches import MaskedBatch, stream_masked_batches
from napari_sam.training.mae_loss import masked_pixel_loss
from napari_sam.training.mae_model import MaskedAutoencoder
from napari_sam.training.run_folder import RunFolder, save_weights
from napari_sam.training.schedule import cosine_rate

__all__ = ["PretrainingProgress", "pretrain"]

BETAS = (0.9, 0.95)  # He et al.
ENCODER = "image_encoder."


@dataclass(frozen=True, kw_only=True)
class PretrainingProgress:
    """Report one finished step of `total`.

    Parameters
    ----------
    step, total
        How far the run is.
    loss
        Mean squared error on hidden patches; painting each patch's mean gives about 1.
    lr, seconds
        The step's rate and its time.
    """

    step: int
    total: int
    loss: float
    lr: float
    seconds: float


def pretrain(
    config: PretrainingConfig,
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    folder: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
) -> Iterator[PretrainingProgress]:
    """Pre-train an image encoder, or go on with a run.

    Every step's crops and hidden patches follow from the seed and the step's number alone, so a run that was killed and
    resumed has the same losses as one that was not.

    Parameters
    ----------
    config
        All settings.
    samples, weights
        Images and how often each is drawn.
    folder
        Of the run: settings, log, state, and `model.safetensors` with the encoder's weights, from which training can
        start (`TrainingConfig.start`).
    resume
        Whether to go on with the run that `folder` holds.
    device
        Of the model.

    Raises
    ------
    InputError
        If the folder holds another run, or the losses are no numbers any more.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    run = _Run(config, RunFolder(folder), device, resume=resume)
    steps = range(run.step + 1, config.steps + 1)
    for step, batch in stream_masked_batches(samples, weights, config, run.model.img_size, steps):
        started = time.perf_counter()
        lr = cosine_rate(config.lr, step, warmup=config.warmup, steps=config.steps)
        loss = run.update(step, lr, batch)
        if step % config.save_every == 0 or step == config.steps:
            run.save()
        seconds = time.perf_counter() - started
        yield PretrainingProgress(step=step, total=config.steps, loss=loss, lr=lr, seconds=seconds)


class _Run:
    """What changes from step to step: encoder, decoder, optimizer."""

    def __init__(self, config: PretrainingConfig, folder: RunFolder, device: str, *, resume: bool) -> None:
        self.config, self.folder = config, folder
        self.model = build_model(config.architecture, seed=config.seed)
        if config.start and not (resume and folder.state_file.exists()):
            start_from(self.model, config.start)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.autoencoder = MaskedAutoencoder(
                self.model, patch=config.patch, width=config.decoder_width, depth=config.decoder_depth
            )
        state = folder.open(cast("Any", config), resume=resume)  # any frozen dataclass of settings will do
        self.model.to(device)
        self.autoencoder.to(device).train()
        self.optimizer = _make_optimizer(self.autoencoder, config)
        self.step = 0
        if state is not None:
            self.step = int(state["step"])
            self.autoencoder.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])

    def update(self, step: int, lr: float, batch: MaskedBatch) -> float:
        """Take an optimizer step and return the loss before it."""
        device = self.model.device
        images = torch.from_numpy(batch.images).to(device).permute(0, 3, 1, 2)  # [b, s, s, 3] -> [b, 3, s, s]
        hidden = torch.from_numpy(batch.hidden).to(device)
        pixels = self.model.preprocess(images)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            painted = self.autoencoder(pixels, hidden)
        loss = masked_pixel_loss(painted.float(), pixels, hidden)
        self.optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.autoencoder.parameters(), self.config.clip))
        if not np.isfinite(norm):
            raise InputError(
                f"The gradient of step {step} is not finite: lower the setting lr ({self.config.lr}) and resume."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step = step
        value = float(loss.detach())
        self.folder.log({"step": step, "lr": lr, "norm": round(norm, 4), "loss": value})
        return value

    def save(self) -> None:
        """Write what is needed to go on, and the encoder."""
        state = {
            "step": self.step,
            "model": self.autoencoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        self.folder.save(state)
        encoder = {key: value for key, value in self.autoencoder.state_dict().items() if key.startswith(ENCODER)}
        about = {"architecture": self.config.architecture, "step": str(self.step), "pretrained": "masked patches"}
        save_weights(encoder, self.folder.model_file, about)


def _make_optimizer(model: nn.Module, config: PretrainingConfig) -> torch.optim.AdamW:
    """Make an AdamW that decays matrices and kernels only, not biases, norms, positions or the placeholder."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (decayed if parameter.ndim >= 2 and "pos_embed" not in name else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=BETAS)

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
from napari_sam.errors import InputError
from napari_sam.model.build import build_model
from napari_sam.model.clip import load_clip
from napari_sam.model.sam import Sam
from napari_sam.training.batches import stream_batches
from napari_sam.training.initialization import point_tokens_at_their_place, start_from
from napari_sam.training.run_folder import RunFolder, save_weights
from napari_sam.training.schedule import learning_rate, make_optimizer, set_learning_rate
from napari_sam.training.step import StepResult, training_step
from napari_sam.training.team import Team, join_team
from napari_sam.training.text_rounds import new_text_head
from napari_sam.training.validation import score_samples

__all__ = ["TrainingProgress", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Report one finished step of `total`.

    Parameters
    ----------
    step, total
        How far the run is.
    result
        Losses and IoUs of the step.
    lr, seconds
        Its rate and its time.
    score
        Mean IoU of one click on the held-out images, if this step was followed by a validation.
    stopped
        Whether the run ends here because that did not improve for `patience` validations, or its minutes are over.
    """

    step: int
    total: int
    result: StepResult
    lr: float
    seconds: float
    score: float | None = None
    stopped: bool = False


def train(
    config: TrainingConfig,
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    folder: Path,
    *,
    held_out: Sequence[Sample] = (),
    resume: bool = False,
    device: str = "cpu",
) -> Iterator[TrainingProgress]:
    """Train a model, or go on with a run.

    Every step's batch and prompts follow from the seed and the step's number alone, so a run that was killed and
    resumed has the same losses as one that was not. Stopping loses at most the steps since the last checkpoint. Under
    `torchrun` the processes share each batch.

    Parameters
    ----------
    config
        All settings.
    samples, weights
        Images and how often each is drawn.
    folder
        Of the run: state, log, `model.safetensors` with the averaged weights, and `best.safetensors` with those that
        did best on the held-out images.
    held_out
        Images for validation, every `validate_every` steps.
    resume
        Whether to go on with the run that `folder` holds.
    device
        Of the model.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    team = join_team(device)
    parts = team.parts(config.batch, config.accumulate)
    run = _Run(config, RunFolder(folder), team, device, resume=resume)
    crops = range(parts[0].start, parts[-1].stop)
    steps = range(run.step + 1, config.steps + 1)
    last = None  # when the step before was done; the first one waits for what all others share
    for step, batch in stream_batches(samples, weights, config, run.model.img_size, steps, crops):
        started = time.perf_counter()
        lr = learning_rate(config, step, run.seconds / 60)
        run.optimizer.zero_grad()
        done = [
            training_step(
                run.model, batch.crops(part.start - crops.start, len(part)), config, step, part.start, run.clip
            )
            for part in parts
        ]
        result = team.mean(StepResult.mean(done))
        run.update(step, lr, result)
        score = None
        if held_out and config.validate_every and (step % config.validate_every == 0 or step == config.steps):
            score = run.validate(held_out)
        now = time.perf_counter()
        seconds, run.seconds, last = now - started, run.seconds + (0 if last is None else now - last), now
        stopped = bool(config.patience) and run.fruitless >= config.patience
        stopped |= bool(config.minutes) and run.seconds >= 60 * config.minutes
        if step % config.save_every == 0 or step == config.steps or score is not None or stopped:
            run.save()
        yield TrainingProgress(
            step=step, total=config.steps, result=result, lr=lr, seconds=seconds, score=score, stopped=stopped
        )
        if stopped:
            return


class _Run:
    """What changes from step to step: model, its average, optimizer, best score."""

    def __init__(self, config: TrainingConfig, folder: RunFolder, team: Team, device: str, *, resume: bool) -> None:
        self.config, self.folder, self.team = config, folder, team
        self.state = folder.open(config, resume=resume, writes=team.leads)
        team.wait()
        model = build_model(config.architecture, seed=config.seed)
        self.clip = load_clip(config.text_clip, device=device) if config.text_rounds else None
        if self.clip is not None:
            new_text_head(model, self.clip, config.seed)
        if self.state is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                point_tokens_at_their_place(model)
            if config.start:
                start_from(model, config.start)
        self.model: Sam = model.to(device).train()
        if device.startswith("cuda"):
            self.model.to(memory_format=torch.channels_last)
        self.model.set_drop_path(config.drop_path)
        self.optimizer = make_optimizer(self.model, config)
        self.average = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        self.step, self.best, self.fruitless, self.seconds = 0, -1.0, 0, 0.0
        if self.state is not None:
            self.step = int(self.state["step"])
            self.seconds = float(self.state.get("seconds", 0.0))
            self.best, self.fruitless = float(self.state["best"]), int(self.state["fruitless"])
            self.model.load_state_dict(self.state["model"])
            self.average = {key: value.to(device) for key, value in self.state["average"].items()}
            self.optimizer.load_state_dict(self.state["optimizer"])

    def update(self, step: int, lr: float, result: StepResult) -> None:
        """Take an optimizer step with the gradients that are there."""
        self.team.sum_gradients(self.model.parameters())
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip))
        if not np.isfinite(norm):
            raise InputError(
                f"The gradient of step {step} is not finite: lower the setting lr ({self.config.lr}) and resume."
            )
        set_learning_rate(self.optimizer, lr)
        self.optimizer.step()
        self.step = step
        _update_average(self.average, self.model, min(self.config.ema, step / (step + 10)))
        if self.team.leads:
            row = {"step": step, "lr": lr, "norm": round(norm, 4), **dataclasses.asdict(result)}
            self.folder.log(row)

    def validate(self, held_out: Sequence[Sample]) -> float:
        """Score the averaged weights on held-out images, and keep them if they are the best so far."""
        own = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        score = score_samples(self.model, held_out)
        self.model.load_state_dict(own)
        self.model.train()
        self.fruitless = 0 if score > self.best else self.fruitless + 1
        if score > self.best:
            self.best = score
            if self.team.leads:
                save_weights(self.average, self.folder.best_file, self._metadata() | {"score": f"{score:.4f}"})
        if self.team.leads:
            self.folder.log_score(self.step, score)
        return score

    def save(self) -> None:
        """Write what is needed to go on, and the model."""
        if not self.team.leads:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "best": self.best,
            "fruitless": self.fruitless,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        self.folder.save(state)
        save_weights(self.average, self.folder.model_file, self._metadata())

    def _metadata(self) -> dict[str, str]:
        return {"architecture": self.config.architecture, "step": str(self.step)}


@torch.no_grad()
def _update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)

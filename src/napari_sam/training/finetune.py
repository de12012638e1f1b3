"""Fine-tuning on a user's own images: a generator of progress; whoever stops it keeps the best weights so far."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from napari_sam.data.sample import Sample
from napari_sam.data.sampler import Batch
from napari_sam.errors import InputError
from napari_sam.model.lora import add_adapters, merge_adapters
from napari_sam.model.sam import Sam
from napari_sam.training.finetune_cache import EncodeOnce
from napari_sam.training.finetune_score import HeldOutScore, mean_score, score_images
from napari_sam.training.finetune_settings import FinetuneSettings, step_config
from napari_sam.training.finetune_views import MIN_AREA, batch_of_views, drawn_views, fixed_views, has_views
from napari_sam.training.memory_estimate import free_memory
from napari_sam.training.step import training_step

__all__ = ["FinetuneProgress", "finetune"]

CACHE_SHARE = 0.25  # of the free memory, for remembered embeddings
LOWEST_RATE = 0.1  # of the rate, at the end


@dataclass(frozen=True, kw_only=True)
class FinetuneProgress:
    """Report where fine-tuning is.

    Parameters
    ----------
    stage
        "scoring" (`step` held-out images of `total`), "encoding" (views) or "training" (optimizer steps).
    step, total
        Done and in all, of the stage.
    loss
        Of the last optimizer step; None before the first.
    score
        On the held-out images, where this report ends a scoring; else None.
    before, best
        The first score and the best so far; None without held-out images, or before they are known.
    seconds, learnt_for, eta
        Since the start, since the first optimizer step began (0 before), and what is left at this rate (None as long
        as nobody knows).
    """

    stage: str
    step: int
    total: int
    loss: float | None = None
    score: HeldOutScore | None = None
    before: HeldOutScore | None = None
    best: HeldOutScore | None = None
    seconds: float
    learnt_for: float = 0.0
    eta: float | None = None


@torch.enable_grad()
def finetune(
    model: Sam, samples: Sequence[Sample], settings: FinetuneSettings, *, held_out: Sequence[Sample] = ()
) -> Iterator[FinetuneProgress]:
    """Teach a model a user's images; it is changed in place.

    When the iteration ends, by itself or because the caller stops it (`close()`, `break`), the model holds the weights
    of the best score on the held-out images, those it began with included; without held-out images the last ones.
    Adapters are merged by then: the model is an ordinary one.

    Parameters
    ----------
    model
        On its device. Nobody else may use it meanwhile.
    samples
        Images (H, W, 3) uint8, normalised as the predictor does, and labels (`data.sample_store.load_samples`); those
        without an object, or with nothing but specks, are passed over.
    settings
        See `FinetuneSettings`.
    held_out
        Images to score on, which are not learnt from.

    Raises
    ------
    InputError
        If the images cannot be learnt from, or the loss is not finite.
    """
    samples = _useful(model, samples, held_out)
    run = _Run(model, settings, held_out)
    with _prepared(model, settings):
        try:
            yield from run.score()
            count = settings.views_of_each(model) if settings.mode == "decoder" else 0
            views = fixed_views(samples, model.spec, count, settings.seed)
            yield from run.encode(views)
            yield from run.train(samples, views)
        finally:
            run.restore_best()


def _useful(model: Sam, samples: Sequence[Sample], held_out: Sequence[Sample]) -> list[Sample]:
    """Return the samples that hold objects, after a check of everything."""
    if model.spec.preprocess != "sam":
        raise InputError(f"{model.name} takes its images in another way than SAM: fine-tune vit_b or cells instead.")
    useful = [sample for sample in samples if has_views(sample, model.spec)]
    if not useful:
        raise InputError(
            f"None of the {len(samples)} images has a labelled object of at least {MIN_AREA} pixels at the model's "
            "scale to learn from: label some objects, or enlarge the images."
        )
    if held_out and not any(sample.labels.any() for sample in held_out):
        raise InputError("The held-out images have no labelled object: hold out labelled images, or none.")
    return useful


@contextmanager
def _prepared(model: Sam, settings: FinetuneSettings) -> Iterator[None]:
    """Freeze what does not learn; afterwards leave an ordinary model."""
    encoder = model.image_encoder
    learnt = {name: p.requires_grad for name, p in model.named_parameters()}
    model.eval()  # running statistics of a few images would spoil those of MobileSAM
    model.requires_grad_(True)
    for part in filter(None, (model.text_head, model.text_decoder)):
        part.requires_grad_(False)
    before = model.fingerprint if model.text_head is not None else ""
    once: EncodeOnce | None = None
    if settings.mode == "decoder":
        encoder.requires_grad_(False)
        once = EncodeOnce(encoder, memory=int(CACHE_SHARE * free_memory(torch.device("cpu"))))
        model.image_encoder = once
    elif settings.mode == "lora":
        add_adapters(model, rank=settings.rank, seed=settings.seed)
    try:
        yield
    finally:
        if once is not None:
            once.close()
            model.image_encoder = encoder
        merge_adapters(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(learnt[name])
            parameter.grad = None
        model._fingerprint = None  # of other weights
        if before and model.fingerprint != before:  # texts were learnt with the weights of before
            model.drop_text_head()


@dataclass
class _Run:
    """What a run knows: the model, the clock, the scores, the best weights."""

    model: Sam
    settings: FinetuneSettings
    held_out: Sequence[Sample]
    started: float = field(default_factory=time.monotonic)
    learning_since: float | None = None
    loss: float | None = None
    before: HeldOutScore | None = None
    best: HeldOutScore | None = None
    stale: int = 0  # scores since the best
    _weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def learnt_for(self) -> float:
        """Seconds of learning, which the limit of time is about: getting ready does not count."""
        return 0.0 if self.learning_since is None else time.monotonic() - self.learning_since

    def score(self) -> Iterator[FinetuneProgress]:
        """Score the model on the held-out images and keep the weights if they are the best."""
        ious: list[tuple[float, float]] = []
        limits = {"max_objects": self.settings.score_objects, "seed": self.settings.seed}
        for number, found in enumerate(score_images(self.model, self.held_out, **limits)):
            ious += found
            if number + 1 < len(self.held_out):
                yield self._report("scoring", number + 1, len(self.held_out))
        if not ious:
            return
        score = mean_score(ious)
        self.before = self.before or score
        self.stale += 1
        if self.best is None or score.mean > self.best.mean:
            self.best, self.stale = score, 0
            self._weights = {name: p.detach().clone() for name, p in self._learning()}
        yield self._report("scoring", len(self.held_out), len(self.held_out), score=score)

    def encode(self, views: Sequence[Sample]) -> Iterator[FinetuneProgress]:
        """Have the encoder meet every view once."""
        started = self.seconds
        for number, view in enumerate(views, 1):
            self.model.encode(torch.from_numpy(view.image)[None].permute(0, 3, 1, 2))  # [1, s, s, 3] -> [1, 3, s, s]
            eta = (self.seconds - started) / number * (len(views) - number)
            yield self._report("encoding", number, len(views), eta=eta)

    def train(self, samples: Sequence[Sample], views: Sequence[Sample]) -> Iterator[FinetuneProgress]:
        """Take all steps, scoring every so often."""
        settings = self.settings
        optimizer = _optimizer(self.model, settings)
        rates = [group["lr"] for group in optimizer.param_groups]
        self.learning_since = time.monotonic()
        for step in range(1, settings.steps + 1):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * _rate_factor(settings, step)
            self._step(optimizer, self._batch(samples, views, step), step)
            late = bool(settings.minutes) and self.learnt_for > 60 * settings.minutes
            if step % settings.score_every == 0 or step == settings.steps or late:
                yield from self.score()
            eta = self.learnt_for / step * (settings.steps - step)
            if settings.minutes:
                eta = min(eta, max(0.0, 60 * settings.minutes - self.learnt_for))
            yield self._report("training", step, settings.steps, eta=eta)
            if late or (settings.patience and self.stale >= settings.patience):
                return

    def restore_best(self) -> None:
        """Give the model its best weights back; without scores it keeps the last ones."""
        with torch.no_grad():
            for name, parameter in self._learning():
                if name in self._weights:
                    parameter.copy_(self._weights[name])

    def _batch(self, samples: Sequence[Sample], views: Sequence[Sample], step: int) -> Batch:
        rng = np.random.default_rng([self.settings.seed, step])
        batch = self.settings.batch
        if views:
            chosen = [views[i] for i in rng.choice(len(views), batch, replace=len(views) < batch)]
        else:
            chosen = drawn_views(samples, self.model.spec, batch, rng)
        return batch_of_views(chosen, self.model, self.settings.prompts, rng)

    def _step(self, optimizer: torch.optim.Optimizer, batch: Batch, step: int) -> None:
        optimizer.zero_grad()
        result = training_step(self.model, batch, step_config(self.settings, self.model), step)
        norm = float(nn.utils.clip_grad_norm_((p for _, p in self._learning()), self.settings.clip))
        if not math.isfinite(norm):
            raise InputError(
                f"The gradient of step {step} is not finite: lower lr ({self.settings.lr}) and start again."
            )
        optimizer.step()
        self.loss = result.loss

    def _learning(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)

    def _report(
        self, stage: str, step: int, total: int, score: HeldOutScore | None = None, eta: float | None = None
    ) -> FinetuneProgress:
        known = {"loss": self.loss, "score": score, "before": self.before, "best": self.best}
        clocks = {"seconds": self.seconds, "learnt_for": self.learnt_for, "eta": eta}
        return FinetuneProgress(stage=stage, step=step, total=total, **clocks, **known)  # type: ignore[arg-type]


def _optimizer(model: Sam, settings: FinetuneSettings) -> torch.optim.AdamW:
    """Give encoder and decoder their rates; decay matrices and kernels only, not biases, norms and tokens."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            matrix = parameter.ndim >= 2 and not any(part in name for part in ("embed", "token"))
            groups.setdefault((name.startswith("image_encoder."), matrix), []).append(parameter)
    return torch.optim.AdamW(
        {
            "params": parameters,
            "lr": settings.encoder_lr if encoder else settings.lr,
            "weight_decay": settings.weight_decay if matrix else 0.0,
        }
        for (encoder, matrix), parameters in groups.items()
    )


def _rate_factor(settings: FinetuneSettings, step: int) -> float:
    """Return the share of the rate in a step (from 1): linear warm-up, then half a cosine down to a tenth."""
    rising = min(1.0, step / settings.warmup) if settings.warmup else 1.0
    falling = 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))
    return rising * (LOWEST_RATE + (1 - LOWEST_RATE) * falling)

"""One training step: encode the crops once, play the rounds of prompts, learn from each (SAM, appendix A)."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sampler import Batch
from napari_sam.losses.masks import mask_iou, sam_loss
from napari_sam.losses.objects import object_loss
from napari_sam.model.clip import Clip
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.training.prompt_simulation import Chance, PromptState, Round, plan_rounds
from napari_sam.training.text_rounds import NamedObjects, named_objects, objects_of_masks, text_loss, text_tokens

__all__ = ["StepResult", "training_step"]


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Report a step.

    Parameters
    ----------
    loss
        Mean of its rounds.
    objects
        Loss of the object head.
    box
        Whether the first prompt was a box.
    rounds
        How many were played.
    first_iou, last_iou
        Mean IoU after the first and the last round.
    """

    loss: float
    objects: float
    box: bool
    rounds: int
    first_iou: float
    last_iou: float

    @classmethod
    def mean(cls, parts: list[StepResult]) -> StepResult:
        """Put the reports of a batch's equal parts together."""
        loss, objects, box, rounds, first, last = (sum(values) / len(parts) for values in zip(*map(astuple, parts)))  # noqa: B905
        return cls(loss=loss, objects=objects, box=bool(box), rounds=round(rounds), first_iou=first, last_iou=last)


def training_step(
    model: Sam, batch: Batch, config: TrainingConfig, step: int, first: int = 0, clip: Clip | None = None
) -> StepResult:
    """Add the gradients of one batch, or of a part of it, to the model's parameters.

    The embedding is cut off from the encoder while the rounds run: each round frees its own graph, and the encoder runs
    backward once with the sum of their gradients. Memory does not grow with the rounds, and the gradient is the same.

    Parameters
    ----------
    model
        In training mode.
    batch
        All crops of the step or some of them.
    config
        Of the run; `batch` and `prompts` tell the size of the whole.
    step
        Its number, which decides on all that is random.
    first
        Number of the part's first crop. Gradients are scaled so that those of all parts add up to the whole's.
    clip
        For steps that begin with a text, where `config.text_rounds` asks for them; the model then has a text head.
    """
    images = torch.from_numpy(batch.images).to(model.device).permute(0, 3, 1, 2)  # [b, s, s, 3] -> [b, 3, s, s]
    share = len(images) / config.batch
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    chance = Chance(generator=generator, start=first * config.prompts, total=config.batch * config.prompts)
    target = _target(torch.from_numpy(batch.masks).to(model.device), model.mask_size)
    with _autocast(model, config), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed * 1_000_003 + step * 1009 + first)  # of drop path
        encoded = model.encode(images)
    leaf = _detach(encoded)
    state = PromptState(target=target, img_size=model.img_size, chance=chance, deep=config.deep)
    rounds = plan_rounds(_round_count(config, generator), generator)
    box = chance.once() < 0.5
    named = None
    if clip is not None and chance.once() < config.text_rounds:
        named = _name(clip, batch, model, (config.seed, step, first))
    count = len(rounds) + (named is not None)
    weights = {"focal": config.focal_weight, "alpha": config.focal_alpha, "quality": config.quality_weight}
    total, ious = 0.0, []
    if named is not None and named.valid.any():
        with _autocast(model, config):
            loss = text_loss(model, leaf, named, **weights) / count
        (share * loss).backward()
        total = float(loss.detach())
    for number, this in enumerate(rounds):
        logits, iou = _play(model, leaf, state, this, config, box=box, first=number == 0, named=named)
        loss = sam_loss(logits, iou, target, **weights) / count
        (share * loss).backward()
        total += float(loss.detach())
        state.feed_back(logits, iou)
        assert state.logits is not None  # noqa: S101 - for the type checker
        ious.append(float(mask_iou(state.logits[:, 0], target).mean()))
    objects = 0.0
    if model.object_head is not None and config.objects_weight:
        with _autocast(model, config):
            maps = model.find_objects(leaf)
        truth, complete = (torch.from_numpy(array).to(model.device) for array in (batch.objects, batch.complete))
        loss = config.objects_weight * object_loss(maps, truth, complete)
        (share * loss).backward()
        objects = float(loss.detach())
    _backward_through_encoder(encoded, leaf)
    return StepResult(loss=total, objects=objects, box=box, rounds=len(rounds), first_iou=ious[0], last_iou=ious[-1])


def _name(clip: Clip, batch: Batch, model: Sam, seed: tuple[int, ...]) -> NamedObjects:
    """Let the CLIP name the masks of a batch; objects that were not drawn are nobody's."""
    rng = np.random.default_rng(seed)
    parts = []
    for image, masks, maps in zip(batch.images, batch.masks, batch.objects, strict=True):
        foreground = maps[0].repeat(2, axis=0).repeat(2, axis=1) > 0
        others = foreground & ~masks.any(axis=0)
        found = objects_of_masks(image, masks)
        parts.append(named_objects(clip, found, range(len(masks)), model.mask_size, rng, others=others))
    return NamedObjects.join(parts).to(model.device)


def _play(
    model: Sam,
    leaf: ImageEmbedding,
    state: PromptState,
    this: Round,
    config: TrainingConfig,
    *,
    box: bool,
    first: bool,
    named: NamedObjects | None,
) -> tuple[Tensor, Tensor]:
    """Add the round's prompt and return the (n, c, m, m) logits and (n, c) predicted IoUs."""
    if this.kind == "first":
        state.add_first(box=box)
    elif this.kind == "point":
        state.add_correction()
    arguments = state.prompts()
    if not first and config.drop_mask and state.chance.once() < config.drop_mask:
        arguments["masks"] = None  # several prompts given at once come without an earlier mask
    with _autocast(model, config):
        if named is not None:
            arguments["texts"] = text_tokens(model, named)
        several = first and not box and named is None
        logits, iou = model.decode(leaf, multimask=several, **arguments)  # type: ignore[arg-type]
    return logits.float(), iou.float()


def _round_count(config: TrainingConfig, generator: torch.Generator) -> int:
    if not config.random_rounds:
        return config.rounds
    # 1, 2, ... rounds with falling probability: many first prompts, some long interactions
    chance = 1.0 / torch.arange(1, config.rounds + 1)
    return int(torch.multinomial(chance, 1, generator=generator)) + 1


def _target(masks: Tensor, size: int) -> Tensor:
    """Shrink (B, P, S, S) bool masks to (B * P, size, size) coverage in [0, 1]."""
    flat = masks.flatten(0, 1).float()  # [b, p, s, s] -> [b*p, s, s]
    return F.adaptive_avg_pool2d(flat[:, None], size)[:, 0]


def _autocast(model: Sam, config: TrainingConfig) -> torch.autocast:
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16")


def _detach(encoded: ImageEmbedding) -> ImageEmbedding:
    return ImageEmbedding(
        encoded.features.detach().requires_grad_(), tuple(s.detach().requires_grad_() for s in encoded.skips)
    )


def _backward_through_encoder(encoded: ImageEmbedding, leaf: ImageEmbedding) -> None:
    outputs = [encoded.features, *encoded.skips]
    gradients = [leaf.features.grad, *(s.grad for s in leaf.skips)]
    pairs = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None and o.requires_grad]
    if pairs:
        torch.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])

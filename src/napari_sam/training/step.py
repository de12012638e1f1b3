"""One training step: encode the crops once, play the rounds of prompts, learn from each (SAM, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sampler import Batch
from napari_sam.losses.masks import mask_iou, sam_loss
from napari_sam.losses.objects import object_loss
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.training.prompt_simulation import PromptState, plan_rounds

__all__ = ["StepResult", "training_step"]


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Report a step: mean loss of its rounds, loss of the object head, kind of first prompt, mean IoU after the first and the last round."""

    loss: float
    objects: float
    box: bool
    rounds: int
    first_iou: float
    last_iou: float


def training_step(model: Sam, batch: Batch, config: TrainingConfig, step: int) -> StepResult:
    """Add the gradients of one batch to the model's parameters.

    The embedding is cut off from the encoder while the rounds run: each round frees its own graph, and the encoder runs
    backward once with the sum of their gradients. Memory does not grow with the rounds, and the gradient is the same.
    """
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    device = model.device
    images = torch.from_numpy(batch.images).to(device).permute(0, 3, 1, 2)  # [b, s, s, 3] -> [b, 3, s, s]
    target = _target(torch.from_numpy(batch.masks).to(device), model.mask_size)
    with _autocast(model, config):
        encoded = model.encode(images)
    leaf = _detach(encoded)
    state = PromptState(target=target, img_size=model.img_size, generator=generator)
    rounds = plan_rounds(_round_count(config, generator), generator)
    box = bool(torch.rand(1, generator=generator) < 0.5)
    total, ious = 0.0, []
    for number, this in enumerate(rounds):
        if this.kind == "first":
            state.add_first(box=box)
        elif this.kind == "point":
            state.add_correction()
        arguments = state.prompts()
        if number and config.drop_mask and torch.rand(1, generator=generator) < config.drop_mask:
            arguments["masks"] = None  # several prompts given at once come without an earlier mask
        with _autocast(model, config):
            logits, iou = model.decode(leaf, multimask=number == 0 and not box, **arguments)  # type: ignore[arg-type]
        logits, iou = logits.float(), iou.float()
        weights = {"focal": config.focal_weight, "alpha": config.focal_alpha, "quality": config.quality_weight}
        loss = sam_loss(logits, iou, target, **weights) / len(rounds)
        loss.backward()
        total += float(loss.detach())
        state.feed_back(logits, iou)
        assert state.logits is not None  # noqa: S101 - for the type checker
        ious.append(float(mask_iou(state.logits[:, 0], target).mean()))
    objects = 0.0
    if model.object_head is not None and config.objects_weight:
        with _autocast(model, config):
            maps = model.find_objects(leaf)
        loss = config.objects_weight * object_loss(maps, torch.from_numpy(batch.objects).to(device))
        loss.backward()
        objects = float(loss.detach())
    _backward_through_encoder(encoded, leaf)
    return StepResult(loss=total, objects=objects, box=box, rounds=len(rounds), first_iou=ious[0], last_iou=ious[-1])


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

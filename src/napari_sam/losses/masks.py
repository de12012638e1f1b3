"""The paper's losses: focal and dice on masks, squared error on the predicted IoU (SAM, section 3 and appendix A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["FOCAL_WEIGHT", "dice_loss", "focal_loss", "mask_iou", "sam_loss"]

FOCAL_WEIGHT = 20.0  # focal : dice = 20 : 1


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the mean focal loss of each mask: (...,) for (..., h, w) logits and targets in [0, 1]."""
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    miss = probability + target - 2 * probability * target  # 1 - probability of the right answer
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (weight * cross_entropy * miss**gamma).mean(dim=(-2, -1))


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the dice loss of each mask: (...,) for (..., h, w) logits and targets in [0, 1]."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * target).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))
    return 1 - (overlap + 1) / (total + 1)


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Return the IoU of each thresholded mask: (...,) for (..., h, w)."""
    mask, truth = logits > 0, target > 0.5
    union = (mask | truth).sum(dim=(-2, -1))
    return (mask & truth).sum(dim=(-2, -1)) / union.clamp(min=1)


def sam_loss(
    logits: Tensor,
    predicted_iou: Tensor,
    target: Tensor,
    *,
    focal: float = FOCAL_WEIGHT,
    alpha: float = 0.25,
    quality: float = 1.0,
) -> Tensor:
    """Return the loss of n prompts: the best of c masks counts, and every mask's predicted IoU.

    Parameters
    ----------
    logits
        (n, c, h, w).
    predicted_iou
        (n, c).
    target
        (n, h, w) in [0, 1].
    focal
        Weight of the focal against the dice loss; 20 in the paper.
    alpha
        Weight of foreground against background pixels in the focal loss.
    quality
        Weight of the squared error of the predicted IoU; 1 in the paper.
    """
    truth = target[:, None].expand_as(logits)
    mask_loss = focal * focal_loss(logits, truth, alpha) + dice_loss(logits, truth)  # [n, c]
    with torch.no_grad():
        iou = mask_iou(logits, truth)
    return mask_loss.min(dim=1).values.mean() + quality * (predicted_iou - iou).square().mean()

"""Losses against slow references, and the rule that only the best of several masks counts."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sam.losses.masks import FOCAL_WEIGHT, dice_loss, focal_loss, mask_iou, sam_loss


def slow_focal(logits: torch.Tensor, target: torch.Tensor, alpha: float, gamma: float) -> float:
    total = 0.0
    for z, t in zip(logits.ravel().tolist(), target.ravel().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        right = p if t == 1 else 1 - p
        weight = alpha if t == 1 else 1 - alpha
        total -= weight * (1 - right) ** gamma * math.log(right)
    return total / logits.numel()


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 5, 7, generator=generator), (torch.rand(2, 5, 7, generator=generator) > 0.6).float()


def test_focal_equals_the_definition_pixel_by_pixel(masks):
    logits, target = masks
    loss = focal_loss(logits, target, alpha=0.25, gamma=2.0)
    for i in range(2):
        assert float(loss[i]) == pytest.approx(slow_focal(logits[i], target[i], 0.25, 2.0), rel=1e-5)


def test_dice_equals_the_definition(masks):
    logits, target = masks
    p = 1 / (1 + torch.exp(-logits[0]))
    expected = 1 - (2 * float((p * target[0]).sum()) + 1) / (float(p.sum() + target[0].sum()) + 1)
    assert float(dice_loss(logits, target)[0]) == pytest.approx(expected, rel=1e-6)


def test_gradients_match_finite_differences(masks):
    logits, target = (m.double() for m in masks)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, target), (logits,))
    assert torch.autograd.gradcheck(lambda z: dice_loss(z, target), (logits,))


def test_iou_counts_pixels():
    logits = torch.tensor([[[1.0, 1.0, -1.0, -1.0]]])
    target = torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])
    assert float(mask_iou(logits, target)) == pytest.approx(1 / 3)
    assert float(mask_iou(-torch.ones(1, 2, 2), torch.zeros(1, 2, 2))) == 0.0


def test_only_the_best_of_three_masks_learns():
    target = torch.zeros(1, 4, 4)
    target[:, 1:3, 1:3] = 1
    good = (target * 2 - 1) * 3
    logits = torch.stack([-good, good, torch.zeros(1, 4, 4)], dim=1).requires_grad_()
    sam_loss(logits, torch.zeros(1, 3), target).backward()
    assert logits.grad is not None
    per_mask = logits.grad.abs().sum(dim=(0, 2, 3))
    assert per_mask[1] > 0
    assert per_mask[0] == per_mask[2] == 0


def test_every_predicted_iou_learns_its_own_mask():
    target = torch.zeros(1, 4, 4)
    target[:, :2] = 1
    logits = torch.stack([(target * 2 - 1) * 9, (1 - target * 2) * 9], dim=1)
    right, wrong = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    difference = sam_loss(logits, wrong, target) - sam_loss(logits, right, target)
    assert float(difference) == pytest.approx(1.0, abs=1e-5)


def test_focal_weighs_twenty_times_dice():
    assert FOCAL_WEIGHT == 20
    target = torch.ones(1, 2, 2)
    logits = torch.zeros(1, 1, 2, 2)
    expected = 20 * 0.25 * 0.25 * math.log(2) + (1 - (2 * 2 + 1) / (2 + 4 + 1))
    assert float(sam_loss(logits, torch.zeros(1, 1), target)) == pytest.approx(expected, rel=1e-5)

"""Windows around objects, and what a model gets right in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.data.sample import PAD_COLOUR, Sample
from napari_sam.training.window_score import SHARE, Windows, cut_windows, score_windows


def discs() -> Sample:
    rows, cols = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), np.int32)
    for number, (row, col, radius) in enumerate([(30, 40, 12), (80, 120, 20), (4, 150, 6)], start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    return Sample(image=np.repeat((labels * 60)[..., None], 3, -1).astype(np.uint8), labels=labels)


def test_each_object_takes_its_share_of_its_window():
    windows = cut_windows([discs()], 64)
    assert windows.images.shape == (3, 64, 64, 3)
    padded = [(image == PAD_COLOUR).all(-1).any() for image in windows.images]
    assert padded == [True] * 3  # all lie near the border, and the padding is no copy of the image
    for image, mask, (x, y) in zip(windows.images, windows.masks, windows.points, strict=True):
        assert mask[round(float(y)), round(float(x))]
        assert np.ptp(np.nonzero(mask)[1]) + 1 == pytest.approx(SHARE * 64, abs=4)
        assert float(np.median(image[mask][:, 0])) in (60, 120, 180)


def test_specks_are_left_out_and_the_number_is_limited():
    sample = discs()
    assert len(cut_windows([sample], 64, objects=2).images) == 2
    speck = Sample(image=sample.image, labels=(np.arange(120 * 160).reshape(120, 160) == 5000).astype(np.int32))
    assert len(cut_windows([speck], 64).images) == 0


class Oracle:
    """Answers with the truth for boxes, with one right and two empty masks for points, and knows which is right."""

    device = torch.device("cpu")

    def __init__(self, windows: Windows) -> None:
        self.masks = torch.from_numpy(windows.masks).float() * 20 - 10

    def encode(self, images):
        return images

    def decode(self, images, *, points=None, boxes=None, multimask):
        right = self.masks[:, None]
        if not multimask:
            return right, torch.ones(len(right), 1)
        wrong = torch.full_like(right, -10)
        return torch.cat([wrong, right, wrong], 1), torch.tensor([[0.1, 0.9, 0.2]]).repeat(len(right), 1)


def test_the_scored_mask_the_best_mask_and_the_box_are_told_apart():
    windows = cut_windows([discs()], 64)
    oracle = Oracle(windows)
    scores = score_windows(oracle, windows)
    assert scores.one_click == scores.best_of_three == scores.box == pytest.approx(1.0)
    oracle.decode = _wrong_choice(oracle)
    scores = score_windows(oracle, windows)
    assert scores.one_click == 0.0
    assert scores.best_of_three == pytest.approx(1.0)
    assert scores.box == 0.0


def _wrong_choice(oracle):
    def decode(images, *, points=None, boxes=None, multimask):
        right = oracle.masks[:, None]
        empty = torch.full_like(right, -10)
        if not multimask:
            return empty, torch.ones(len(right), 1)
        return torch.cat([empty, right, empty], 1), torch.tensor([[0.9, 0.1, 0.2]]).repeat(len(right), 1)

    return decode

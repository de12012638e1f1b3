"""Masks go to the model and come back where they were."""

from __future__ import annotations

import numpy as np
import torch

from napari_sam.inference.mask_upsampler import MaskUpsampler
from napari_sam.inference.preprocess import mask_to_logits, resample_logits, to_input, to_model_xy
from napari_sam.inference.windows import whole_window
from napari_sam.types import Window


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_mask_survives_the_way_to_logits_and_back():
    for shape in ((64, 64), (50, 120), (200, 90)):
        window = whole_window(shape, 64)
        mask = np.zeros(shape, bool)
        mask[shape[0] // 4 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = True
        logits = mask_to_logits(mask, window, 64, 32)
        assert logits.shape == (1, 1, 32, 32)
        assert iou(MaskUpsampler(window, logits.shape[-1], 64).whole(logits[0])[0], mask) > 0.75


def test_logits_move_between_windows_with_the_object():
    old = Window(row=0, col=0, height=64, width=64, input_height=64, input_width=64)
    new = Window(row=16, col=8, height=128, width=128, input_height=64, input_width=64)
    mask = np.zeros((64, 64), bool)
    mask[24:48, 20:44] = True
    logits = mask_to_logits(mask, old, 64, 32)[0, 0].numpy()
    resampled = torch.from_numpy(resample_logits(logits, old, new, 64))
    moved = MaskUpsampler(new, logits.shape[-1], 64).whole(resampled[None])[0]
    expected = np.zeros((128, 128), bool)
    expected[8:32, 12:36] = True
    assert iou(moved, expected) > 0.7
    same = resample_logits(logits, old, old, 64)
    np.testing.assert_allclose(same, logits, atol=1e-4)


def test_points_become_x_y_in_model_pixels():
    window = Window(row=10, col=20, height=32, width=32, input_height=64, input_width=64)
    np.testing.assert_allclose(to_model_xy(np.array([[12.0, 25.0]]), window), [[10.0, 4.0]])


def test_medsam_stretches_to_the_square_and_to_0_1():
    rgb = np.random.default_rng(0).integers(40, 90, (30, 50, 3)).astype(np.uint8)
    window = Window(row=0, col=0, height=30, width=50, input_height=64, input_width=64)
    pixels = to_input(rgb, window, "medsam")
    assert pixels.shape == (1, 3, 64, 64)
    assert float(pixels.min()) == 0
    assert float(pixels.max()) == 1

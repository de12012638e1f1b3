"""Overlap and outlines of masks whose answer can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from napari_sam.evaluation.metrics import boundary_f, mask_iou


def square(top: int, left: int, side: int, shape: tuple[int, int] = (40, 40)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_iou_of_masks():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_iou(a, b) == 1
    a[0], b[:, 0] = True, True
    assert mask_iou(a, b) == pytest.approx(1 / 7)


def test_outlines_within_the_tolerance_agree():
    truth = square(10, 10, 12)
    assert boundary_f(truth, truth) == 1
    assert boundary_f(square(12, 10, 12), truth) == 1  # two pixels off
    assert boundary_f(square(12, 10, 12), truth, tolerance=0) < 0.6
    assert boundary_f(square(25, 25, 12), truth) == 0


def test_precision_and_recall_are_of_outline_pixels():
    truth = square(10, 10, 12)  # 44 pixels of outline
    both = truth | square(26, 26, 4)  # and 12 that belong to nothing
    assert boundary_f(both, truth) == pytest.approx(2 * (44 / 56) / (44 / 56 + 1))
    assert boundary_f(truth, both) == boundary_f(both, truth)


def test_touching_objects_have_an_outline_between_them():
    truth = square(10, 10, 20).astype(int)
    truth[10:30, 20:30] *= 2
    merged = (truth > 0).astype(int)
    # 76 pixels around both, all of them true ones; 2 x 18 more where they touch
    assert boundary_f(merged, truth, tolerance=0) == pytest.approx(2 * (76 / 112) / (1 + 76 / 112))
    assert boundary_f(merged > 0, truth > 0) == 1


def test_without_an_outline():
    nothing, everything, truth = np.zeros((9, 9), bool), np.ones((9, 9), bool), square(2, 2, 4, (9, 9))
    assert boundary_f(nothing, nothing) == boundary_f(everything, everything) == 1
    assert boundary_f(nothing, truth) == boundary_f(truth, nothing) == boundary_f(everything, truth) == 0


def test_an_object_cut_by_the_border_has_no_outline_there():
    whole, cut = square(0, 0, 20), square(0, 0, 20)
    cut[15:] = False
    found = {(r, 19) for r in range(15)} | {(14, c) for c in range(20)}
    there = {(r, 19) for r in range(20)} | {(19, c) for c in range(20)}

    def near(points: set, others: set) -> float:
        return float(np.mean([min((r - i) ** 2 + (c - j) ** 2 for i, j in others) <= 4 for r, c in points]))

    precision, recall = near(found, there), near(there, found)
    assert boundary_f(cut, whole) == pytest.approx(2 * precision * recall / (precision + recall))


@given(hnp.arrays(bool, (7, 8)), hnp.arrays(bool, (7, 8)))
def test_it_is_symmetric_and_between_0_and_1(a, b):
    assert 0 <= boundary_f(a, b) <= 1
    assert boundary_f(a, b) == pytest.approx(boundary_f(b, a))

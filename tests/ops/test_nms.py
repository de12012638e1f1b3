"""Suppression of boxes: the authors' boxes and torchvision's order, ties and empty boxes too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torchvision.ops import nms

from napari_sam.ops.nms import box_nms


@st.composite
def boxes_and_scores(draw):
    """Boxes on a coarse lattice, so that many overlap and coincide; some have one row or column, some are empty."""
    corner, side = st.integers(0, 12), st.integers(0, 9)
    boxes = draw(st.lists(st.tuples(corner, corner, side, side), max_size=12))
    scores = draw(st.lists(st.sampled_from([0.1, 0.5, 0.5001, 0.9]), min_size=len(boxes), max_size=len(boxes)))
    return [(r, c, r + h, c + w) if h and w else (0, 0, 0, 0) for r, c, h, w in boxes], scores


def torchvisions(boxes, scores, threshold):
    """What the authors do: boxes end at the last pixel, x before y."""
    ends = torch.tensor([(c0, r0, max(c1 - 1, 0), max(r1 - 1, 0)) for r0, c0, r1, c1 in boxes]).reshape(-1, 4)
    return nms(ends.float(), torch.tensor(scores), threshold).tolist()


@given(boxes_and_scores(), st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]))
def test_what_stays_and_its_order_is_torchvisions(given_, threshold):
    boxes, scores = given_
    assert box_nms(boxes, scores, threshold).tolist() == torchvisions(boxes, scores, threshold)


def test_hundreds_of_real_valued_scores():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 300, (400, 2))
    boxes = np.hstack([corners, corners + rng.integers(1, 80, (400, 2))])
    scores = rng.random(400, np.float32)
    kept = box_nms(boxes, scores, 0.3)
    assert kept.tolist() == torchvisions(boxes.tolist(), scores.tolist(), 0.3)
    assert 20 < len(kept) < 400


def test_none_at_all():
    for nothing in ([], np.zeros((0, 4))):
        kept = box_nms(nothing, [], 0.5)
        assert kept.shape == (0,)
        assert kept.dtype == np.int64


def test_an_iou_just_at_the_threshold_stays_and_the_earlier_of_equals_wins():
    half = [(0, 0, 11, 11), (0, 0, 11, 6)]  # 10 x 10 and 10 x 5 between pixel centres
    assert box_nms(half, [0.9, 0.8], 0.5).tolist() == [0, 1]
    assert box_nms(half, [0.9, 0.8], 0.49).tolist() == [0]
    assert box_nms(half, [0.7, 0.7], 0.49).tolist() == [0]
    assert box_nms(half[::-1], [0.7, 0.7], 0.49).tolist() == [0]


@pytest.mark.parametrize("flat", [(3, 3, 4, 9), (3, 3, 9, 4), (5, 5, 6, 6), (0, 0, 0, 0)])
def test_boxes_without_area_never_go_nor_chase_away(flat):
    boxes = [flat, flat, (0, 0, 12, 12)]
    assert sorted(box_nms(boxes, [0.9, 0.8, 0.7], 0.0)) == [0, 1, 2]


def test_the_input_is_left_alone():
    boxes = np.array([[0, 0, 5, 5], [0, 0, 4, 5]], np.float32)
    before = boxes.copy()
    box_nms(boxes, [0.1, 0.2], 0.5)
    np.testing.assert_array_equal(boxes, before)

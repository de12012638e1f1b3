"""Crops, their grids and the rule for their borders are the authors', with rows before columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes, is_box_near_crop_edge

from napari_sam.config.auto import AutoSettings
from napari_sam.ops.crops import crop_boxes, near_crop_edge, point_grid

SIDES = st.integers(1, 400)


@given(st.tuples(SIDES, SIDES), st.integers(0, 3), st.sampled_from([0.0, 0.1, 512 / 1500, 0.5, 0.9]))
def test_crops_and_layers_are_the_authors(shape, layers, overlap):
    boxes, numbers = generate_crop_boxes(shape, layers, overlap)
    expected = [((r0, c0, r1, c1), n) for (c0, r0, c1, r1), n in zip(boxes, numbers, strict=True)]
    # a few pixels have no room for all: theirs are then empty, or end before they start
    expected = [(box, n) for box, n in expected if box[0] < shape[0] and box[1] < shape[1]]
    assert crop_boxes(shape, layers, overlap) == expected
    if min(shape) >= 50:  # (2^3 - 1)^2 pixels and one hold all of the smallest
        assert len(expected) == len(boxes)


@given(st.tuples(SIDES, SIDES), st.integers(1, 3), st.sampled_from([0.0, 512 / 1500, 0.9]))
def test_every_layer_covers_the_image_with_real_crops(shape, layers, overlap):
    boxes = crop_boxes(shape, layers, overlap)
    assert boxes[0] == ((0, 0, *shape), 0)
    for layer in range(1, layers + 1):
        seen = np.zeros(shape, bool)
        for (r0, c0, r1, c1), number in boxes:
            if number == layer:
                assert 0 <= r0 < r1 <= shape[0]
                assert 0 <= c0 < c1 <= shape[1]
                seen[r0:r1, c0:c1] = True
        assert seen.all()


@pytest.mark.parametrize("per_side", [1, 2, 7, 32])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_grids_are_the_authors(per_side, factor):
    settings = AutoSettings(points_per_side=per_side, crop_n_points_downscale_factor=factor)
    for layer in range(3):
        side = settings.points_in_layer(layer)
        assert side >= 1  # the authors divide by zero
        if per_side // factor**layer >= 1:
            theirs = build_all_layer_point_grids(per_side, layer, factor)[layer]
            np.testing.assert_allclose(point_grid(side, side), theirs[:, ::-1], rtol=1e-12)


def test_a_grid_need_not_be_square():
    np.testing.assert_allclose(point_grid(2, 1), [[0.25, 0.5], [0.75, 0.5]])
    np.testing.assert_allclose(point_grid(1, 2), [[0.5, 0.25], [0.5, 0.75]])


@st.composite
def boxes_in_crops(draw):
    shape = draw(st.tuples(*[st.integers(1, 150)] * 2))
    crop_start = [draw(st.integers(0, side - 1)) for side in shape]
    crop_end = [draw(st.integers(a + 1, side)) for a, side in zip(crop_start, shape, strict=True)]
    start = [draw(st.integers(a, b - 1)) for a, b in zip(crop_start, crop_end, strict=True)]
    end = [draw(st.integers(a + 1, b)) for a, b in zip(start, crop_end, strict=True)]
    return (*start, *end), (*crop_start, *crop_end), shape


@given(boxes_in_crops())
def test_the_border_rule_is_the_authors(case):
    box, crop, shape = case
    in_crop = [box[1] - crop[1], box[0] - crop[0], box[3] - 1 - crop[1], box[2] - 1 - crop[0]]
    theirs = is_box_near_crop_edge(
        torch.tensor([in_crop]), [crop[1], crop[0], crop[3], crop[2]], [0, 0, shape[1], shape[0]]
    )
    assert near_crop_edge(box, crop, shape) == bool(theirs)


def test_only_inner_edges_count_and_only_nearby():
    shape, crop = (400, 400), (0, 100, 200, 400)
    assert not near_crop_edge((0, 200, 50, 399), crop, shape)  # the image's own borders
    assert near_crop_edge((50, 110, 60, 150), crop, shape)  # 10 pixels from an inner edge
    assert near_crop_edge((50, 120, 60, 150), crop, shape)
    assert not near_crop_edge((50, 121, 60, 150), crop, shape)
    assert near_crop_edge((50, 200, 181, 250), crop, shape)
    assert not near_crop_edge((50, 200, 180, 250), crop, shape)

"""Regions that cover a plane."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_sam.batch.tiles import plan_tiles, tile_pairs
from napari_sam.errors import InputError


@st.composite
def plans(draw):
    tile = draw(st.integers(1, 30))
    shape = draw(st.integers(1, 100)), draw(st.integers(1, 100))
    return shape, tile, draw(st.integers(0, tile - 1))


def touches(part, whole, shape):
    """Whether a box reaches an edge of a region that is not the border of the image."""
    return any(a == b != border for a, b, border in zip(part, whole, (0, 0, *shape), strict=True))


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_cores_make_up_the_plane_and_lie_in_their_regions(plan):
    shape, tile, overlap = plan
    tiles = plan_tiles(shape, tile, overlap, plane=(3, 1))
    counts = np.zeros(shape, int)
    for number, one in enumerate(tiles):
        row0, col0, row1, col1 = one.core
        counts[row0:row1, col0:col1] += 1
        assert (one.number, one.plane) == (number, (3, 1))
        assert one.box[0] <= row0 < row1 <= one.box[2]
        assert one.box[1] <= col0 < col1 <= one.box[3]
        assert (one.box[2] - one.box[0], one.box[3] - one.box[1]) == (min(tile, shape[0]), min(tile, shape[1]))
    assert (counts == 1).all()
    assert [(one.row, one.col) for one in tiles] == sorted((one.row, one.col) for one in tiles)


@settings(max_examples=150, deadline=None)
@given(plan=plans(), data=st.data())
def test_what_is_no_larger_than_the_overlap_lies_in_a_region(plan, data):
    shape, tile, overlap = plan
    if overlap == 0:
        return
    sides = [min(data.draw(st.integers(1, overlap)), length) for length in shape]
    row, col = (data.draw(st.integers(0, length - side)) for length, side in zip(shape, sides, strict=True))
    box = row, col, row + sides[0], col + sides[1]
    tiles = plan_tiles(shape, tile, overlap)
    around = [
        one.box
        for one in tiles
        if one.box[0] <= box[0] and one.box[1] <= box[1] and box[2] <= one.box[2] and box[3] <= one.box[3]
    ]
    assert around
    if max(sides) < overlap:
        assert any(not touches(box, whole, shape) for whole in around)


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_pairs_are_all_that_share_pixels(plan):
    shape, tile, overlap = plan
    tiles = plan_tiles(shape, max(tile, 8), min(overlap, 7))
    wanted = [
        (one.number, other.number)
        for one, other in itertools.combinations(tiles, 2)
        if max(one.box[0], other.box[0]) < min(one.box[2], other.box[2])
        and max(one.box[1], other.box[1]) < min(one.box[3], other.box[3])
    ]
    assert tile_pairs(tiles) == wanted


def test_known_plan():
    tiles = plan_tiles((2048, 4000), 2048, 192)
    assert [one.box for one in tiles] == [(0, 0, 2048, 2048), (0, 1856, 2048, 3904), (0, 1952, 2048, 4000)]
    assert [one.core[1::2] for one in tiles] == [(0, 1952), (1952, 2928), (2928, 4000)]
    assert tile_pairs(tiles) == [(0, 1), (0, 2), (1, 2)]
    (single,) = plan_tiles((5, 7))
    assert single.box == single.core == (0, 0, 5, 7)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="overlap by 64"):
        plan_tiles((100, 100), 64, 64)
    with pytest.raises(InputError, match="overlap by -1"):
        plan_tiles((100, 100), 64, -1)
    with pytest.raises(InputError, match="0 x 9"):
        plan_tiles((0, 9))

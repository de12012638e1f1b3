"""Outlines along pixel edges: exact, valid for shapely, and the same mask back."""

from __future__ import annotations

import time

import numpy as np
import shapely
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from napari_sam.ops.polygons import Polygon, mask_polygons, polygons_to_mask, polygons_to_patch

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=11))


def signed_area(ring):
    """Shoelace in (x, y) = (col, row)."""
    y, x = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def rings_of(polygons):
    return [ring for polygon in polygons for ring in (polygon.outer, *polygon.holes)]


def test_a_pixel_is_the_square_between_its_corners():
    (polygon,) = mask_polygons(np.ones((1, 1), bool))
    assert polygon.outer.tolist() == [[0, 0], [0, 1], [1, 1], [1, 0]]
    assert polygon.holes == ()
    (moved,) = mask_polygons(np.ones((2, 3), bool), (10, 20))
    assert moved.outer.tolist() == [[10, 20], [10, 23], [12, 23], [12, 20]]


def test_no_mask_has_no_outline():
    assert mask_polygons(np.zeros((3, 4), bool)) == []
    assert not polygons_to_mask([], (3, 4)).any()


def test_pixels_that_touch_in_a_corner_are_two_parts():
    for mask in (np.eye(2, dtype=bool), ~np.eye(2, dtype=bool)):
        polygons = mask_polygons(mask)
        assert [len(polygon.outer) for polygon in polygons] == [4, 4]
        np.testing.assert_array_equal(polygons_to_mask(polygons, (2, 2)), mask)


def test_holes_that_touch_in_a_corner_are_two_holes():
    mask = np.ones((4, 4), bool)
    mask[1, 1] = mask[2, 2] = False
    (polygon,) = mask_polygons(mask)
    assert sorted(hole[:, 0].min() for hole in polygon.holes) == [1, 2]
    assert [signed_area(hole) for hole in polygon.holes] == [-1, -1]


def test_a_ring_that_closes_in_a_corner_gets_a_hole():
    # the pixels (0, 1) and (1, 0) touch in a corner; the other way round they are one part
    mask = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    (polygon,) = mask_polygons(mask)
    assert len(polygon.holes) == 1
    assert shapely.Polygon(polygon.outer, polygon.holes).is_valid


def test_an_island_in_a_hole_is_a_part_of_its_own():
    mask = np.ones((5, 5), bool)
    mask[1:4, 1:4] = False
    mask[2, 2] = True
    ring, island = mask_polygons(mask)
    assert (len(ring.holes), len(island.holes)) == (1, 0)


@settings(max_examples=300, deadline=None)
@given(mask=masks, row=st.integers(0, 5), col=st.integers(0, 5))
def test_outlines_are_exact_and_come_back(mask, row, col):
    polygons = mask_polygons(mask, (row, col))
    assert len(polygons) == ndimage.label(mask)[1]
    assert sum(signed_area(ring) for ring in rings_of(polygons)) == mask.sum()
    assert all(signed_area(polygon.outer) > 0 for polygon in polygons)
    assert all(signed_area(hole) < 0 for polygon in polygons for hole in polygon.holes)
    for ring in rings_of(polygons):  # every corner turns
        before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
        assert ((before * after).sum(axis=1) == 0).all()
    whole = shapely.MultiPolygon([(polygon.outer, polygon.holes) for polygon in polygons])
    assert whole.is_valid
    assert whole.area == mask.sum()
    expected = np.zeros((17, 17), bool)
    expected[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
    np.testing.assert_array_equal(polygons_to_mask(polygons, (17, 17)), expected)


@settings(max_examples=100, deadline=None)
@given(
    corners=st.lists(st.tuples(st.integers(-30, 130), st.integers(-30, 130)), min_size=3, max_size=8),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_any_polygon_takes_the_pixels_whose_centres_are_inside(corners, shape):
    ring = np.array(corners) * 0.1
    polygon = shapely.Polygon(ring)
    mask = polygons_to_mask([Polygon(ring)], shape)
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    if not polygon.is_valid:
        return
    off_the_line = shapely.distance(polygon.exterior, shapely.points(rows, cols)) > 1e-9
    np.testing.assert_array_equal(mask[off_the_line], shapely.contains_xy(polygon, rows, cols)[off_the_line])


def test_overlapping_polygons_are_joined_and_a_patch_is_their_box():
    square = np.array([[2, 3], [2, 7], [6, 7], [6, 3]], float)
    patch, origin = polygons_to_patch([Polygon(square), Polygon(square + 2)], (100, 100))
    assert origin == (2, 3)
    assert patch.shape == (6, 6)
    assert patch.sum() == 16 + 16 - 4
    hole = polygons_to_mask([Polygon(square, (square[::-1] * 0.5 + (2, 2.5),))], (10, 10))
    assert hole.sum() == 16 - 4


def test_what_lies_outside_is_cut_off():
    square = np.array([[-5, -5], [-5, 2], [2, 2], [2, -5]], float)
    assert polygons_to_mask([Polygon(square)], (4, 4)).sum() == 4
    assert polygons_to_mask([Polygon(square - 50)], (4, 4)).sum() == 0
    assert polygons_to_mask([Polygon(square * 1e6)], (4, 4)).all()


def test_a_large_mask_takes_no_time():
    mask = ndimage.uniform_filter(np.random.default_rng(0).random((2000, 2000)), 15) > 0.5
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        polygons = mask_polygons(mask)
        seconds.append(time.perf_counter() - begin)
    assert sum(signed_area(ring) for ring in rings_of(polygons)) == mask.sum()
    assert min(seconds) < 1.5  # 0.15 s on a quiet machine

"""Clicks land inside what they are meant for; scribbles become even points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_sam.errors import InputError
from napari_sam.ops.points import along_path, correction_click, inner_point

SIDES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(hnp.arrays(bool, SIDES))
def test_the_inner_point_is_the_deepest_pixel(mask):
    assume(mask.any())
    row, col = inner_point(mask)
    assert mask[int(row), int(col)]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    assert depth[int(row), int(col)] == depth.max()


def test_the_inner_point_of_shapes():
    mask = np.zeros((20, 30), bool)
    mask[4:9, 10:15] = True
    assert inner_point(mask) == (6.0, 12.0)
    mask[6, 12] = False  # a ring has no middle
    row, col = inner_point(mask)
    assert mask[int(row), int(col)]
    with pytest.raises(InputError, match="empty"):
        inner_point(np.zeros((3, 3), bool))


@given(st.data(), SIDES)
def test_a_correction_is_wrong_where_it_clicks(data, shape):
    mask, truth = (data.draw(hnp.arrays(bool, shape)) for _ in range(2))
    click = correction_click(mask, truth)
    if (mask == truth).all():
        assert click is None
        return
    (row, col), label = click
    at = int(row), int(col)
    assert mask[at] != truth[at]
    assert label == truth[at]


def test_the_largest_wrong_region_is_corrected():
    truth, mask = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    truth[2:7, 2:7] = True  # missed: 25 pixels
    mask[20:27, 20:27] = True  # too much: 49
    assert correction_click(mask, truth) == ((23.0, 23.0), 0)
    mask[:] = False
    assert correction_click(mask, truth) == ((4.0, 4.0), 1)
    # missed and superfluous pixels side by side are two regions, not one of 34
    mask[2:7, 7:10] = True
    assert correction_click(mask, truth) == ((4.0, 4.0), 1)


def test_points_along_a_path_are_even_and_keep_the_ends():
    path = along_path([(0, 0), (0, 30), (40, 30)], spacing=10)
    np.testing.assert_allclose(path, [(0, 0), (0, 10), (0, 20), (0, 30), (10, 30), (20, 30), (30, 30), (40, 30)])


@given(
    hnp.arrays(float, st.tuples(st.integers(1, 6), st.just(2)), elements=st.floats(0, 100)),
    st.floats(1, 30),
)
def test_points_along_any_path(vertices, spacing):
    points = along_path(vertices, spacing)
    np.testing.assert_allclose(points[0], vertices[0], atol=1e-6)
    if len(points) > 1:
        np.testing.assert_allclose(points[-1], vertices[-1], atol=1e-6)
        assert np.hypot(*np.diff(points, axis=0).T).max() <= 2 * spacing


def test_a_path_of_one_place_is_one_point():
    np.testing.assert_array_equal(along_path([(3, 4)], 5), [(3, 4)])
    np.testing.assert_array_equal(along_path([(3, 4), (3, 4)], 5), [(3, 4)])

"""Holes and islands go as with the authors, who look at the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from segment_anything.utils.amg import remove_small_regions

from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.regions import clean_mask, clean_record, keep_pieces

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
AREAS = st.integers(0, 40)


def authors(mask, min_area):
    filled, holes = remove_small_regions(mask, min_area, "holes")
    cleaned, islands = remove_small_regions(filled, min_area, "islands")
    return cleaned.astype(bool), holes or islands


def largest_is_one(mask, min_area):
    """Whether no two islands share the largest size (which of them stays is a matter of numbering)."""
    filled, _ = remove_small_regions(mask, min_area, "holes")
    sizes = np.bincount(ndimage.label(filled, np.ones((3, 3)))[0].ravel())[1:]
    return (sizes == sizes.max(initial=0)).sum() <= 1


@given(MASKS, AREAS)
def test_masks_become_the_authors(mask, min_area):
    assume(largest_is_one(mask, min_area))
    before = mask.copy()
    cleaned, changed = clean_mask(mask, min_area)
    expected, theirs = authors(mask, min_area)
    np.testing.assert_array_equal(cleaned, expected)
    assert changed == theirs
    np.testing.assert_array_equal(mask, before)


@given(MASKS, AREAS, st.tuples(*[st.sampled_from([0, 0, 1, 2, 30])] * 4))
def test_records_are_cleaned_as_in_the_whole_image(patch, min_area, around):
    full = np.pad(patch, ((around[0], around[2]), (around[1], around[3])))
    assume(full.any())
    assume(largest_is_one(full, min_area))
    record = MaskRecord.from_patch(patch, (around[0], around[1]), image_shape=full.shape, predicted_iou=0.7, group=3)
    cleaned, changed = clean_record(record, min_area)
    expected, theirs = authors(full, min_area)
    np.testing.assert_array_equal(cleaned.mask, expected)
    assert changed == theirs
    assert cleaned.area == expected.sum()
    assert (cleaned.predicted_iou, cleaned.group, cleaned.point) == (0.7, 3, record.point)
    if not changed:
        assert cleaned is record


def test_of_equal_small_islands_one_stays():
    mask = np.zeros((9, 9), bool)
    mask[1, 1] = mask[5, 5] = mask[7, 1] = True
    cleaned, changed = clean_mask(mask, 5)
    assert changed
    assert cleaned.sum() == 1
    assert (cleaned <= mask).all()


def test_holes_are_filled_before_islands_go():
    ring = np.zeros((20, 20), bool)
    ring[5:10, 5:10] = True
    ring[6:9, 6:9] = False  # 16 pixels around a hole of 9
    ring[15, 15] = True
    cleaned, changed = clean_mask(ring, 20)
    assert changed
    assert cleaned.sum() == 25


@pytest.mark.parametrize("value", [False, True])
def test_nothing_to_do_in_empty_and_full_masks(value):
    mask = np.full((6, 7), value)
    for min_area in (0, 5, 42):
        cleaned, changed = clean_mask(mask, min_area)
        assert not changed
        np.testing.assert_array_equal(cleaned, mask)


def test_an_empty_record_stays_as_it_is():
    record = MaskRecord.from_patch(np.zeros((3, 3), bool), image_shape=(10, 10))
    assert clean_record(record, 100) == (record, False)


def test_a_small_mask_in_a_huge_image_is_cleaned_without_the_image():
    patch = np.ones((30, 30), bool)
    patch[10:12, 10:12] = False
    record = MaskRecord.from_patch(patch, (50_000, 50_000), image_shape=(100_000, 100_000))
    cleaned, changed = clean_record(record, 20)
    assert changed
    assert cleaned.area == 900
    assert cleaned.box == record.box


def test_pieces_at_points_stay_and_without_any_the_largest():
    mask = np.zeros((12, 20), bool)
    mask[1:4, 1:4] = mask[6:11, 6:11] = mask[1:3, 15:19] = True
    first, second, third = (np.zeros_like(mask) for _ in range(3))
    first[1:4, 1:4] = second[6:11, 6:11] = third[1:3, 15:19] = True
    np.testing.assert_array_equal(keep_pieces(mask, [(2, 2)]), first)
    np.testing.assert_array_equal(keep_pieces(mask, [(2.4, 1.6), (2, 17)]), first | third)
    np.testing.assert_array_equal(keep_pieces(mask, [(4, 4)]), first)  # in the pixel next to it
    np.testing.assert_array_equal(keep_pieces(mask, [(2, 9)]), second)  # in none
    np.testing.assert_array_equal(keep_pieces(mask, []), second)
    np.testing.assert_array_equal(keep_pieces(mask, [(-50, 3)]), second)  # outside
    np.testing.assert_array_equal(keep_pieces(np.zeros_like(mask), [(2, 2)]), np.zeros_like(mask))
    np.testing.assert_array_equal(keep_pieces(second, [(0, 0)]), second)  # one piece is what it is


def test_pieces_that_touch_at_a_corner_are_one():
    mask = np.eye(5, dtype=bool)
    mask[0, 4] = True
    np.testing.assert_array_equal(keep_pieces(mask, [(0, 0)]), np.eye(5, dtype=bool))

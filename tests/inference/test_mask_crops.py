"""Crops of masks: what is in them, at which scale, and that they need no memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from napari_sam.errors import InputError
from napari_sam.inference.mask_crops import crop_masks, usual_side
from napari_sam.ops.mask_record import MaskRecord

SHAPE = (100, 140)


def square(row: int, col: int, side: int, shape: tuple[int, int] = SHAPE) -> MaskRecord:
    return MaskRecord.from_patch(np.ones((side, side), bool), (row, col), image_shape=shape)


@pytest.fixture
def image() -> np.ndarray:
    """Stripes, with a bright square of 20 pixels at (40, 60)."""
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[::2] = 100
    picture[40:60, 60:80] = (250, 10, 30)
    return picture


def test_the_object_is_in_the_middle_at_the_share_that_the_expansion_says(image):
    (crop,) = crop_masks(image, [square(40, 60, 20)], 60, "zero", 1.5)
    inside = crop.astype(int).sum(axis=-1) > 200
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    for found in (rows, cols):
        assert abs(len(found) - 40) <= 2  # 60 / 1.5
        assert abs(found.mean() - 29.5) <= 1


def test_keep_leaves_the_pixels_as_they_are(image):
    (crop,) = crop_masks(image, [square(40, 60, 20)], 40, "keep", 2.0)
    np.testing.assert_array_equal(crop, image[30:70, 50:90])


def test_zero_blackens_what_is_outside_and_keeps_what_is_inside(image):
    (crop,) = crop_masks(image, [square(40, 60, 20)], 40, "zero", 2.0)
    assert (crop[10:30, 10:30] == (250, 10, 30)).all()
    crop[10:30, 10:30] = 0
    assert not crop.any()


def test_blur_evens_out_what_is_outside_only(image):
    (crop,) = crop_masks(image, [square(40, 60, 20)], 40, "blur", 2.0)
    assert (crop[10:30, 10:30] == (250, 10, 30)).all()
    assert image[30:34, 50:90].std() > 40
    assert crop[:4, :4].std() < 15
    assert crop[:4, :4].mean() == pytest.approx(50, abs=15)


def test_holes_and_concave_parts_are_outside(image):
    ring = np.ones((20, 20), bool)
    ring[5:15, 5:15] = False
    record = MaskRecord.from_patch(ring, (40, 60), image_shape=SHAPE)
    (crop,) = crop_masks(image, [record], 40, "zero", 2.0)
    assert not crop[16:24, 16:24].any()


def test_beyond_the_border_the_last_pixels_are_repeated(image):
    image[:, :10] = (0, 0, 200)
    (crop,) = crop_masks(image, [square(0, 0, 10)], 20, "keep", 2.0)
    assert (crop == (0, 0, 200)).all(axis=-1).mean() > 0.5
    assert (crop[:, 0] == (0, 0, 200)).all()


def test_without_a_size_cue_all_objects_fill_the_same_share(image):
    records = [square(10, 10, 8), square(40, 60, 32)]
    crops = crop_masks(np.full_like(image, 255), records, 64, "zero", 1.5)
    small, large = (crop[..., 0] > 127 for crop in crops)
    assert small.mean() == pytest.approx(large.mean(), rel=0.1)


def test_a_size_cue_shows_small_objects_small(image):
    records = [square(10, 10, 8), square(40, 60, 16), square(60, 100, 32)]
    crops = crop_masks(np.full_like(image, 255), records, 64, "zero", 1.5, size_cue=0.5)
    sides = [np.sqrt((crop[..., 0] > 127).mean()) for crop in crops]
    assert sides[1] == pytest.approx(1 / 1.5, abs=0.03)
    assert sides[0] == pytest.approx(np.sqrt(1 / 2) / 1.5, abs=0.04)
    assert sides[2] == pytest.approx(np.sqrt(2) / 1.5, abs=0.04)


def test_the_reference_makes_a_crop_independent_of_the_batch(image):
    records = [square(10, 10, 8), square(40, 60, 16), square(60, 100, 32)]
    together = crop_masks(image, records, 32, "blur", size_cue=0.5)
    alone = [crop_masks(image, [r], 32, "blur", size_cue=0.5, reference=usual_side(records))[0] for r in records]
    np.testing.assert_array_equal(together, alone)


@given(st.integers(-5, 90), st.integers(-5, 120), st.integers(1, 9), st.integers(1, 9), st.floats(1, 2))
def test_every_mask_has_a_crop_of_the_right_shape(row, col, height, width, expansion):
    patch = np.ones((height, width), bool)
    record = MaskRecord.from_patch(patch, (max(row, 0), max(col, 0)), image_shape=SHAPE)
    for view in ("keep", "blur", "zero"):
        crop = crop_masks(np.full((*SHAPE, 3), 200, np.uint8), [record], 16, view, expansion)
        assert crop.shape == (1, 16, 16, 3)
        assert crop.max() >= 100


def test_an_empty_mask_and_no_mask_do_no_harm(image):
    empty = MaskRecord.from_patch(np.zeros((3, 3), bool), (5, 5), image_shape=SHAPE)
    assert not crop_masks(image, [empty], 16, "zero").any()
    assert crop_masks(image, [], 16).shape == (0, 16, 16, 3)
    assert usual_side([]) == usual_side([empty]) == 1


def test_a_mask_as_large_as_a_slide_needs_little_memory():
    image = np.zeros((3000, 3000, 3), np.uint8)
    record = square(0, 0, 3000, (3000, 3000))
    tracemalloc.start()
    crop_masks(image, [record], 32, "blur")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6  # the mask itself has 9 MB, more as bits unpacked


def test_an_unknown_view_is_refused(image):
    with pytest.raises(InputError, match="keep, blur, zero"):
        crop_masks(image, [], 16, "mirror")

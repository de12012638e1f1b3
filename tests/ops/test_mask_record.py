"""A record keeps box, area and pixels in step, whatever was handed in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from segment_anything.utils.amg import batched_mask_to_box

from napari_sam.ops.mask_record import MaskRecord

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
OFFSETS = st.tuples(*[st.integers(0, 4)] * 4)


@given(MASKS, OFFSETS)
def test_box_area_and_pixels_agree_with_the_mask(patch, around):
    full = np.pad(patch, ((around[0], around[2]), (around[1], around[3])))
    record = MaskRecord.from_patch(patch, (around[0], around[1]), image_shape=full.shape)
    np.testing.assert_array_equal(record.mask, full)
    assert record.area == full.sum()
    np.testing.assert_array_equal(record.patch, full[record.slices])
    np.testing.assert_array_equal(coco.decode(record.rle).astype(bool), full)
    x0, y0, x1, y1 = batched_mask_to_box(torch.from_numpy(full)).tolist()
    assert record.box == ((y0, x0, y1 + 1, x1 + 1) if full.any() else (0, 0, 0, 0))
    assert all(type(side) is int for side in (*record.box, record.area))


@given(MASKS, OFFSETS)
def test_a_record_does_not_depend_on_the_margin_it_was_given_with(patch, around):
    full = np.pad(patch, ((around[0], around[2]), (around[1], around[3])))
    tight = MaskRecord.from_patch(patch, (around[0], around[1]), image_shape=full.shape)
    assert MaskRecord.from_patch(full, image_shape=full.shape) == tight


def test_empty_masks():
    for patch in (np.zeros((3, 4), bool), np.zeros((0, 0), bool), np.zeros((0, 5), bool)):
        record = MaskRecord.from_patch(patch, (2, 2), image_shape=(9, 8))
        assert (record.box, record.area, record.bits) == ((0, 0, 0, 0), 0, b"")
        assert record.patch.shape == (0, 0)
        assert not record.mask.any()
        assert record.runs.tolist() == [72]


def test_what_is_not_said_is_the_middle_and_the_whole_image():
    record = MaskRecord.from_patch(np.ones((3, 4), bool), (2, 5), image_shape=(9, 10))
    assert record.point == (3.0, 6.5)
    assert record.crop_box == (0, 0, 9, 10)
    assert (record.predicted_iou, record.stability_score, record.group) == (1.0, 1.0, 0)


def test_other_pixels_keep_all_else():
    record = MaskRecord.from_patch(
        np.ones((3, 4), bool),
        (2, 5),
        image_shape=(9, 10),
        predicted_iou=0.5,
        stability_score=0.25,
        point=(2.0, 6.0),
        crop_box=(1, 2, 8, 9),
        group=4,
    )
    new = record.with_patch(np.ones((1, 2), bool), (7, 7))
    assert (new.box, new.area) == ((7, 7, 8, 9), 2)
    assert dataclasses.replace(new, box=record.box, area=record.area, bits=record.bits) == record
    assert record.area == 12


def test_a_record_stands_alone_and_is_small():
    patch = np.ones((2000, 2000), bool)
    record = MaskRecord.from_patch(patch, (10, 10), image_shape=(50_000, 50_000))
    patch[:] = False
    assert record.patch.all()
    assert len(record.bits) < 20_000
    assert len(repr(record)) < 400  # without the pixels
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.area = 3

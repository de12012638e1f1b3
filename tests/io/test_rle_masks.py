"""Run lengths of unknown origin, against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from napari_sam.errors import InputError
from napari_sam.io.rle_masks import rle_to_record, text_to_runs


@settings(max_examples=200, deadline=None)
@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40), fill=None))
def test_what_pycocotools_codes_is_read(mask):
    text = coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    for counts in (text, text_to_runs(text).tolist()):
        record = rle_to_record({"size": list(mask.shape), "counts": counts}, mask.shape, {"predicted_iou": 0.5})
        np.testing.assert_array_equal(record.mask, mask)
        assert record.predicted_iou == 0.5


def test_long_runs_are_read_without_the_whole_image():
    shape = (60_000, 50_000)
    runs = [1_000_000_007, 13, 59_987, 13, shape[0] * shape[1] - 1_000_000_007 - 60_013]
    text = coco.frPyObjects({"size": list(shape), "counts": runs}, *shape)["counts"].decode()
    assert text_to_runs(text).tolist() == runs
    record = rle_to_record({"size": list(shape), "counts": text}, shape, {})
    row, col = 1_000_000_007 % shape[0], 1_000_000_007 // shape[0]
    assert record.box == (row, col, row + 13, col + 2)
    assert record.area == 26


@pytest.mark.parametrize(
    "counts", ["", "5", "zzzz", "P", "o" * 40, "é", "\x00", [16, 1], [-1, 17], [[16]], [2**62] * 4]
)
def test_runs_that_are_not_of_the_image_are_refused(counts):
    with pytest.raises(InputError, match="run"):
        rle_to_record({"size": [4, 4], "counts": counts}, (4, 4), {})


def test_another_size_is_refused():
    with pytest.raises(InputError, match=r"5 x 4 pixels, this one has 4 x 4"):
        rle_to_record({"size": [5, 4], "counts": [20]}, (4, 4), {})

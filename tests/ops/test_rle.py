"""Run lengths: there and back, the authors' counts, and what pycocotools reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from segment_anything.utils.amg import area_from_rle, mask_to_rle_pytorch, rle_to_mask

from napari_sam.errors import InputError
from napari_sam.ops.rle import coco_rle, decode_coco_rle, mask_to_runs, runs_to_mask

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def authors_counts(mask):
    counts = mask_to_rle_pytorch(torch.from_numpy(mask)[None])[0]["counts"]
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


@st.composite
def placed_patches(draw):
    """A patch, where it lies, and an image it fits into."""
    patch = draw(MASKS)
    around = draw(st.tuples(*[st.integers(0, 3)] * 4))
    shape = patch.shape[0] + around[0] + around[2], patch.shape[1] + around[1] + around[3]
    return patch, (around[0], around[1]), shape


def whole(patch, origin, shape):
    full = np.zeros(shape, bool)
    full[origin[0] : origin[0] + patch.shape[0], origin[1] : origin[1] + patch.shape[1]] = patch
    return full


@given(placed_patches())
def test_runs_are_the_authors_and_lead_back(case):
    patch, origin, shape = case
    mask = whole(patch, origin, shape)
    runs = mask_to_runs(patch, origin, shape)
    assert runs.tolist() == authors_counts(mask)
    np.testing.assert_array_equal(runs_to_mask(runs, shape), mask)
    np.testing.assert_array_equal(rle_to_mask({"size": shape, "counts": runs.tolist()}), mask)
    assert area_from_rle({"counts": runs.tolist()}) == mask.sum()


@given(placed_patches())
def test_pycocotools_reads_the_text_and_writes_the_same(case):
    patch, origin, shape = case
    mask = whole(patch, origin, shape)
    rle = coco_rle(mask_to_runs(patch, origin, shape), shape)
    assert isinstance(rle["counts"], str)
    assert rle["size"] == list(shape)
    np.testing.assert_array_equal(coco.decode(rle).astype(bool), mask)
    assert rle["counts"] == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    np.testing.assert_array_equal(decode_coco_rle(rle), mask)


@pytest.mark.parametrize(
    ("mask", "runs"),
    [
        ([[0]], [1]),
        ([[1]], [0, 1]),
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0, 1], [1, 0]], [1, 2, 1]),  # the foot of a column goes on at the head of the next
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),
        ([[0, 1, 1], [1, 1, 0]], [1, 4, 1]),
        ([[0, 1, 0], [0, 1, 0]], [2, 2, 2]),
    ],
)
def test_small_masks_by_hand(mask, runs):
    mask = np.array(mask, bool)
    assert mask_to_runs(mask, (0, 0), mask.shape).tolist() == runs
    np.testing.assert_array_equal(runs_to_mask(runs, mask.shape), mask)


@given(MASKS)
def test_plain_lists_of_counts_are_read_too(mask):
    counts = mask_to_rle_pytorch(torch.from_numpy(mask)[None])[0]["counts"]
    np.testing.assert_array_equal(decode_coco_rle({"size": list(mask.shape), "counts": counts}), mask)


def test_an_empty_patch_is_all_background():
    assert mask_to_runs(np.zeros((0, 0), bool), (0, 0), (3, 5)).tolist() == [15]
    assert mask_to_runs(np.zeros((2, 0), bool), (1, 1), (3, 5)).tolist() == [15]


def test_a_patch_in_a_huge_image_costs_no_image():
    shape = (100_000, 100_000)
    runs = mask_to_runs(np.ones((2, 2), bool), (99_998, 99_998), shape)
    assert runs.tolist() == [99_998 * 100_000 + 99_998, 2, 99_998, 2]


@pytest.mark.parametrize("counts", [[3], [5, 5], [-1, 5], []])
def test_runs_that_do_not_fit_are_refused(counts):
    with pytest.raises(InputError, match="add up"):
        decode_coco_rle({"size": [2, 2], "counts": counts})

"""The containment tree agrees with masks of full size, and is a tree."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_sam.errors import InputError
from napari_sam.ops.containment import containment_parents
from napari_sam.ops.mask_record import MaskRecord


def rectangle(row0: int, col0: int, row1: int, col1: int, *, shape=(40, 40), score=1.0) -> MaskRecord:
    patch = np.ones((row1 - row0, col1 - col0), bool)
    return MaskRecord.from_patch(patch, (row0, col0), image_shape=shape, predicted_iou=score)


@st.composite
def mask_lists(draw: st.DrawFn) -> list[MaskRecord]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    records = []
    for _ in range(draw(st.integers(0, 8))):
        top, left, height, width = rng.integers((0, 0, 1, 1), (12, 12, 13, 13))
        mask = np.zeros((16, 16), bool)
        mask[top : top + height, left : left + width] = True
        mask &= rng.random((16, 16)) < draw(st.sampled_from((0.0, 0.8, 1.0)))
        records.append(MaskRecord.from_patch(mask, image_shape=(16, 16), predicted_iou=float(rng.random())))
    return records


def by_full_masks(records: list[MaskRecord], share: float) -> list[int]:
    """The area of the smallest larger mask that holds enough of each mask, 0 without one."""
    areas = []
    for record in records:
        holders = [
            other.area
            for other in records
            if other.area > record.area > 0
            and np.count_nonzero(other.mask & record.mask) >= share * record.area - 1e-6
        ]  # fmt: skip
        areas.append(min(holders, default=0))
    return areas


@settings(deadline=None)
@given(mask_lists(), st.sampled_from((0.5, 0.9, 1.0)))
def test_parents_are_the_smallest_masks_that_hold_enough(records, share):
    parents = containment_parents(records, share)
    assert [records[parent].area if parent >= 0 else 0 for parent in parents] == by_full_masks(records, share)


@given(mask_lists())
def test_every_path_ends_at_a_root(records):
    parents = containment_parents(records)
    for start in range(len(records)):
        steps, node = 0, start
        while parents[node] >= 0:
            node, steps = int(parents[node]), steps + 1
            assert steps < len(records)


def test_a_nest_of_three_and_a_neighbour():
    tissue, cell, nucleus, beside = (
        rectangle(0, 0, 30, 30), rectangle(2, 2, 20, 20), rectangle(5, 5, 9, 9), rectangle(31, 31, 40, 40),
    )  # fmt: skip
    assert containment_parents([nucleus, beside, tissue, cell]).tolist() == [3, -1, -1, 2]


def test_a_tenth_may_stick_out():
    outer = rectangle(0, 0, 20, 20)
    assert containment_parents([outer, rectangle(11, 0, 21, 10)]).tolist() == [-1, 0]
    assert containment_parents([outer, rectangle(12, 0, 22, 10)]).tolist() == [-1, -1]


def test_duplicates_stand_beside_each_other():
    twin = rectangle(5, 5, 10, 10)
    assert containment_parents([twin, twin, rectangle(0, 0, 20, 20)]).tolist() == [2, 2, -1]


def test_of_equal_holders_the_better_one_is_the_parent():
    inner, poor, good = (
        rectangle(5, 5, 8, 8), rectangle(0, 0, 10, 20, score=0.6), rectangle(4, 0, 24, 10, score=0.9),
    )  # fmt: skip
    assert containment_parents([inner, poor, good])[0] == 2
    assert containment_parents([inner, good, poor])[0] == 1


def test_holes_are_not_inside():
    ring = np.ones((20, 20), bool)
    ring[5:15, 5:15] = False
    outer = MaskRecord.from_patch(ring, image_shape=(40, 40))
    assert containment_parents([outer, rectangle(7, 7, 12, 12)]).tolist() == [-1, -1]


def test_nothing_in_nothing_out():
    assert containment_parents([]).shape == (0,)
    with pytest.raises(InputError, match="share"):
        containment_parents([], 0)


def test_two_thousand_masks_are_quick():
    rng = np.random.default_rng(0)
    records = []
    for _ in range(2000):
        top, left, height, width = (int(value) for value in rng.integers((0, 0, 5, 5), (1900, 1900, 100, 100)))
        records.append(rectangle(top, left, top + height, left + width, shape=(2000, 2000)))
    start = time.perf_counter()
    parents = containment_parents(records)
    assert time.perf_counter() - start < 4  # 0.3 s on a quiet core
    assert (parents >= 0).sum() > 100

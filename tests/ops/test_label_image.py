"""Label images obey every policy, hold no pixel outside the masks, and do not depend on the masks' order."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from scipy import ndimage

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError
from napari_sam.ops.label_image import choose_records, label_records, masks_to_labels
from napari_sam.ops.mask_features import measure_records
from napari_sam.ops.mask_record import MaskRecord

SHAPE = (40, 40)
OVERLAPS = ("smaller", "score", "whole")


def rectangle(row0: int, col0: int, row1: int, col1: int, score: float = 1.0) -> MaskRecord:
    patch = np.ones((row1 - row0, col1 - col0), bool)
    return MaskRecord.from_patch(patch, (row0, col0), image_shape=SHAPE, predicted_iou=score)


@st.composite
def mask_lists(draw: st.DrawFn) -> list[MaskRecord]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    records = []
    for _ in range(draw(st.integers(0, 9))):
        top, left, height, width = (int(value) for value in rng.integers((0, 0, 1, 1), (30, 30, 20, 20)))
        patch = rng.random((min(height, 40 - top), min(width, 40 - left))) < draw(st.sampled_from((0.6, 1.0)))
        records.append(
            MaskRecord.from_patch(patch, (top, left), image_shape=SHAPE, predicted_iou=float(rng.random()))
        )  # fmt: skip
    return records


POLICIES = st.fixed_dictionaries(
    {
        "overlap": st.sampled_from(OVERLAPS),
        "nesting": st.sampled_from(("all", "leaf", "root")),
        "min_area": st.sampled_from((0, 20)),
        "max_area": st.sampled_from((0, 100)),
    }
)


@hypothesis_settings(deadline=None)
@given(mask_lists(), POLICIES)
def test_labels_features_and_records_agree(records, policy):
    labels, final = label_records(records, SHAPE, **policy)
    chosen = choose_records(records, SHAPE, **policy)
    assert labels.dtype == np.int32
    assert np.array_equal(np.unique(labels[labels > 0]), np.arange(1, len(final) + 1))
    assert np.array_equal(labels, masks_to_labels(records, SHAPE, AutoSettings(**policy)))
    for number, (record, source) in enumerate(zip(final, chosen, strict=True), start=1):
        assert any(source is given_ for given_ in records)
        assert np.array_equal(record.mask, labels == number)
        assert not (record.mask & ~source.mask).any()
        assert record.area >= policy["min_area"]
        assert not policy["max_area"] or source.area <= policy["max_area"]
        if record.area < source.area:
            assert policy["overlap"] != "whole"
            assert ndimage.label(record.mask, np.ones((3, 3)))[1] == 1
    scores = [record.predicted_iou for record in final]
    assert scores == sorted(scores, reverse=True)
    assert measure_records(final)["area"].tolist() == np.bincount(labels.ravel(), minlength=1)[1:].tolist()


@hypothesis_settings(deadline=None)
@given(mask_lists(), POLICIES, st.randoms())
def test_the_order_of_the_masks_does_not_matter(records, policy, random):
    shuffled = list(records)
    random.shuffle(shuffled)
    assert np.array_equal(masks_to_labels(records, SHAPE, **policy), masks_to_labels(shuffled, SHAPE, **policy))


@hypothesis_settings(deadline=None)
@given(mask_lists())
def test_with_whole_no_mask_that_is_free_is_left_out(records):
    labels, final = label_records(records, SHAPE, overlap="whole")
    for record in records:
        if record.area and record not in final:
            assert labels[record.mask].any()


def test_the_overlap_policy_says_who_is_in_front():
    small, large = rectangle(5, 5, 15, 15, 0.7), rectangle(10, 0, 30, 30, 0.9)
    assert masks_to_labels([small, large], SHAPE)[12, 12] == 2  # labels count by score
    assert masks_to_labels([small, large], SHAPE, overlap="score")[12, 12] == 1
    assert choose_records([small, large], SHAPE, overlap="score") == [large, small]
    assert choose_records([small, large], SHAPE, overlap="whole") == [large]


def test_of_an_object_cut_apart_the_largest_piece_stays_and_the_rest_is_free():
    bar, across = rectangle(10, 0, 16, 40, 0.9), rectangle(0, 10, 40, 16, 0.95)
    ground = rectangle(0, 0, 40, 40, 0.5)
    labels = masks_to_labels([bar, across, ground], SHAPE, overlap="score")
    assert labels[12, 12] == 1
    assert labels[12, 30] == 2
    assert labels[12, 3] == 0  # the ground itself was cut into four pieces, and the lower right one is the largest
    assert labels[39, 39] == 3
    labels = masks_to_labels([bar, across, rectangle(8, 0, 18, 9, 0.5)], SHAPE, overlap="score")
    assert labels[12, 3] == 3


def test_a_mask_in_two_pieces_that_nobody_cuts_stays_as_it_is():
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 2:5] = mask[20:30, 20:30] = True
    assert np.array_equal(masks_to_labels([MaskRecord.from_patch(mask, image_shape=SHAPE)], SHAPE) > 0, mask)


def test_pieces_that_meet_at_a_corner_are_one():
    first, cross = rectangle(0, 0, 4, 4), np.eye(4, dtype=bool)[::-1]
    top = MaskRecord.from_patch(~cross & ~np.eye(4, dtype=bool), image_shape=SHAPE)
    labels, final = label_records([first, top], SHAPE)
    assert [record.area for record in final] == [8, 8]
    assert labels[0, 0] == labels[3, 0] > 0


def test_what_a_cut_leaves_below_the_minimum_goes_to_those_behind():
    front, middle = rectangle(10, 10, 20, 18), rectangle(10, 10, 20, 20)
    behind = rectangle(5, 5, 25, 25)
    labels, final = label_records([behind, middle, front], SHAPE, min_area=30)
    assert sorted(record.area for record in final) == [80, 320]
    assert labels[15, 19] == labels[6, 6]


def test_size_limits():
    records = [rectangle(0, 0, 2, 2), rectangle(10, 10, 15, 15), rectangle(20, 20, 40, 40)]
    assert choose_records(records, SHAPE, min_area=25, max_area=25) == [records[1]]
    assert len(choose_records(records, SHAPE, min_area=4)) == 3


def test_leaves_and_roots_of_a_nest():
    tissue, cell, nucleus = rectangle(1, 1, 30, 30, 0.7), rectangle(3, 3, 20, 20, 0.8), rectangle(6, 6, 10, 10, 0.9)
    alone = rectangle(32, 32, 38, 38, 0.6)
    records = [tissue, cell, nucleus, alone]
    assert choose_records(records, SHAPE, nesting="leaf") == [nucleus, alone]
    assert choose_records(records, SHAPE, nesting="root") == [tissue, alone]
    assert len(choose_records(records, SHAPE, nesting="all")) == 4
    assert choose_records(records, SHAPE, nesting="leaf", min_area=20) == [cell, alone]  # limits come first
    assert masks_to_labels(records, SHAPE, nesting="root")[8, 8] == 1


def test_background_is_more_than_half_or_at_three_borders():
    half, more = rectangle(0, 1, 20, 40), rectangle(2, 2, 39, 39)
    frame, corner = rectangle(0, 0, 3, 40), rectangle(0, 0, 9, 9)
    chosen = choose_records([more, frame, corner], SHAPE, remove_background=True)
    assert chosen == [corner]
    assert choose_records([half], SHAPE, remove_background=True) == [half]
    assert len(choose_records([more, frame, corner], SHAPE)) == 3


def test_conditions_on_shape_score_and_intensity():
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[:, :20] = 100
    bright, dark, stick = rectangle(2, 2, 10, 10, 0.9), rectangle(2, 25, 10, 33, 0.8), rectangle(20, 1, 22, 19, 0.7)
    records = [bright, dark, stick]
    assert choose_records(records, SHAPE, conditions=("eccentricity<0.9",)) == [bright, dark]
    assert choose_records(records, SHAPE, conditions=("predicted_iou<=0.8", "centroid-0 > 6")) == [stick]
    assert choose_records(records, SHAPE, image=image, conditions=("intensity_mean>=50", "area>40")) == [bright]


def test_unusable_input_is_named():
    record = rectangle(0, 0, 4, 4)
    with pytest.raises(InputError, match=r"'roundness'.*eccentricity"):
        masks_to_labels([], SHAPE, conditions=("roundness>1",))
    with pytest.raises(InputError, match="needs the image"):
        masks_to_labels([record], SHAPE, conditions=("intensity_mean>1",))
    with pytest.raises(InputError, match=r"\(40, 40\).*\(50, 40\)"):
        masks_to_labels([record], (50, 40))
    with pytest.raises(InputError, match="overlap"):
        masks_to_labels([record], SHAPE, overlap="louder")
    with pytest.raises(InputError, match="Unknown automatic setting"):
        masks_to_labels([record], SHAPE, minimum=3)


def test_no_masks_and_empty_masks_make_no_labels():
    nothing = MaskRecord.from_patch(np.zeros(SHAPE, bool), image_shape=SHAPE)
    for records in ([], [nothing]):
        labels, final = label_records(records, (*SHAPE, 3), nesting="leaf")
        assert labels.shape == SHAPE
        assert not labels.any()
        assert final == []


def test_three_thousand_masks_on_a_large_image():
    rng = np.random.default_rng(0)
    size = (4096, 4096)
    corners = rng.integers(0, 4050, (3000, 2))
    records = [
        MaskRecord.from_patch(np.ones((40, 40), bool), (int(row), int(col)), image_shape=size, predicted_iou=float(s))
        for (row, col), s in zip(corners, rng.random(3000), strict=True)
    ]
    start = time.perf_counter()
    labels = masks_to_labels(records, size, min_area=10)
    assert time.perf_counter() - start < 2
    assert labels.max() > 2000
    tracemalloc.start()
    masks_to_labels(records, size, min_area=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * labels.nbytes

"""What is known of a plane: candidates, settled and removed objects."""

from __future__ import annotations

import numpy as np

from napari_sam.config.auto import AutoSettings
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.widgets.findings import Findings, bounds, choose, paint, record_key

SHAPE = (20, 30)


def square(row: int, col: int, side: int = 4, score: float = 0.9) -> MaskRecord:
    return MaskRecord.from_patch(np.ones((side, side), bool), (row, col), image_shape=SHAPE, predicted_iou=score)


def test_painting_a_region() -> None:
    objects = {3: square(2, 3), 5: square(10, 20)}
    whole = paint(objects, (0, 0, *SHAPE))
    assert np.unique(whole).tolist() == [0, 3, 5]
    assert np.count_nonzero(whole) == 32
    np.testing.assert_array_equal(paint(objects, (3, 5, 12, 22)), whole[3:12, 5:22])
    np.testing.assert_array_equal(paint(objects, (15, 0, 20, 5)), whole[15:20, :5])
    assert bounds(objects.values()) == (2, 3, 14, 24)
    assert bounds([]) is None


def test_choosing_needs_no_more_than_candidates() -> None:
    candidates = (square(2, 3), square(2, 3, 5, score=0.5), square(10, 20, score=0.7))
    chosen = choose(candidates, AutoSettings(pred_iou_thresh=0.6, stability_score_thresh=0))
    assert [record.predicted_iou for record in chosen] == [0.9, 0.7]
    assert choose((), AutoSettings()) == []


def test_a_key_survives_cleaning() -> None:
    record = square(2, 3)
    assert record_key(record.with_patch(np.ones((2, 2), bool), (2, 3))) == record_key(record)
    assert record_key(square(2, 3, score=0.8)) != record_key(record)


def test_settled_objects_keep_their_pixels() -> None:
    findings = Findings().settle({7: square(2, 3)})
    (left,) = findings.visible([square(2, 5, side=5)])  # two columns are taken
    assert left.box == (2, 5, 7, 10)
    assert left.area == 25 - 8
    assert findings.visible([square(3, 4)]) == []  # more than half is taken
    beside = square(10, 10)
    assert findings.visible([beside]) == [beside]


def test_removed_objects_stay_away() -> None:
    record = square(2, 3)
    findings = Findings(candidates=(record,), settled={4: square(9, 9)}).remove({1: record, 4: square(9, 9)})
    assert findings.settled == {}
    assert findings.visible([record, square(2, 4)]) == []  # the same, and nearly the same
    assert len(findings.visible([square(2, 3, side=8)])) == 1  # something else


def test_merging_apart_and_beside() -> None:
    one, other = square(2, 3, score=0.8), square(10, 20, score=0.6)
    findings = Findings(candidates=(one, other)).merge({5: one, 2: other})
    assert list(findings.settled) == [5]
    merged = findings.settled[5]
    np.testing.assert_array_equal(merged.mask, one.mask | other.mask)
    assert np.isclose(merged.predicted_iou, 0.7)
    assert findings.visible([one, other]) == []


def test_a_region_is_searched_again() -> None:
    left, right = square(2, 3), square(10, 20)
    findings = Findings(candidates=(left, right), removed=(left, right))
    new = square(3, 3)
    again = findings.found([new], (0, 0, 20, 15))
    assert again.candidates == (right, new)
    assert again.removed == (right,)
    assert findings.found([new], None) == Findings(candidates=(new,))

"""Object matching on images whose answer can be counted by hand, and against dense arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from napari_sam.errors import InputError
from napari_sam.evaluation.matching import MSA_THRESHOLDS, match_labels

LABELS = hnp.arrays(np.int32, (6, 7), elements=st.sampled_from((0, 0, 1, 2, 3, 70000)))


def dense_iou(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    ids, found = np.unique(truth[truth > 0]), np.unique(predicted[predicted > 0])
    iou = np.zeros((len(ids), len(found)))
    for i, label in enumerate(ids):
        for j, other in enumerate(found):
            a, b = truth == label, predicted == other
            iou[i, j] = (a & b).sum() / (a | b).sum()
    return iou


@given(LABELS, LABELS, st.sampled_from((0.2, 0.5, 0.75)))
def test_counts_equal_those_of_a_dense_matrix_and_an_assignment(predicted, truth, threshold):
    match = match_labels(predicted, truth)
    iou = dense_iou(predicted, truth)
    np.testing.assert_allclose(match.iou.toarray(), iou)
    good = iou >= threshold
    rows, cols = linear_sum_assignment(good, maximize=True)
    matched = int(good[rows, cols].sum())
    assert match.true_positives(threshold) == matched
    total = sum(iou.shape) - matched
    assert match.average_precision(threshold) == pytest.approx(matched / total if total else 1)
    if iou.size:
        assert match.mean_best_iou == pytest.approx(iou.max(axis=1).mean())


@given(LABELS)
def test_an_image_agrees_with_itself_whatever_its_numbers(labels):
    match = match_labels(labels * 3, labels)
    assert match.mean_segmentation_accuracy == match.mean_best_iou == 1
    assert match.precision(0.95) == match.recall(0.95) == 1


def test_scores_of_one_hit_one_half_and_one_false():
    truth, predicted = np.zeros((20, 20), int), np.zeros((20, 20), int)
    truth[:5, :10], truth[10:15, :10], truth[10:15, 12:] = 1, 2, 3
    predicted[:5, :10], predicted[10:15, :6], predicted[17:, :] = 4, 5, 6
    match = match_labels(predicted, truth)
    assert (match.n_true, match.n_predicted) == (3, 3)
    assert match.average_precision(0.5) == 2 / 4
    assert match.average_precision(0.6) == 2 / 4  # an IoU of exactly the threshold counts
    assert match.average_precision(0.75) == 1 / 5
    assert match.precision(0.75) == match.recall(0.75) == 1 / 3
    assert match.mean_best_iou == pytest.approx((1 + 0.6 + 0) / 3)
    # both count at 0.5, 0.55 and 0.6, one at the other seven
    assert match.mean_segmentation_accuracy == pytest.approx((3 * 0.5 + 7 * 0.2) / 10)
    assert MSA_THRESHOLDS[0] == 0.5
    assert MSA_THRESHOLDS[-1] == 0.95


def test_empty_images():
    nothing, something = np.zeros((4, 4), int), np.eye(4, dtype=int)
    both = match_labels(nothing, nothing)
    assert both.mean_segmentation_accuracy == both.mean_best_iou == both.precision() == both.recall() == 1
    for match in (match_labels(nothing, something), match_labels(something, nothing)):
        assert match.mean_segmentation_accuracy == match.mean_best_iou == match.precision() == match.recall() == 0


def test_shapes_must_agree():
    with pytest.raises(InputError, match="same shape"):
        match_labels(np.zeros((3, 4), int), np.zeros((4, 3), int))

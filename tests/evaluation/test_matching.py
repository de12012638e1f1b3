"""Object matching on images whose answer can be counted by hand, against dense arithmetic, and against pycocotools."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment
from skimage.draw import disk

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


def coco_true_positives(predicted: np.ndarray, truth: np.ndarray) -> list[int]:
    """Count the matches at every threshold as COCO's own evaluation does."""

    def annotations(labels: np.ndarray) -> list[dict]:
        found = []
        for number, label in enumerate(np.unique(labels[labels > 0]), start=1):
            rle = coco_mask.encode(np.asfortranarray(labels == label, np.uint8))
            found.append(
                {
                    "id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "score": 1.0, "segmentation": rle,
                    "area": float(coco_mask.area(rle)), "bbox": coco_mask.toBbox(rle).tolist(),
                }
            )  # fmt: skip
        return found

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        height, width = truth.shape
        images, categories = [{"id": 1, "height": height, "width": width}], [{"id": 1, "name": "cell"}]
        coco.dataset = {"images": images, "categories": categories, "annotations": annotations(truth)}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(annotations(predicted)), "segm")
        evaluation.params.iouThrs = np.array(MSA_THRESHOLDS)
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.maxDets = [10000]
        evaluation.evaluate()
    return (evaluation.evalImgs[0]["dtMatches"] > 0).sum(axis=1).tolist()


def crowded(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw discs, and the same ones a little off, some missed, some merged, some invented."""
    rng = np.random.default_rng(seed)
    truth, predicted = np.zeros((120, 130), np.int32), np.zeros((120, 130), np.int32)
    for label in range(1, 31):
        center, radius = rng.uniform(0, 120, 2), rng.uniform(4, 12)
        truth[disk(center, radius, shape=truth.shape)] = label
        if rng.random() < 0.85:
            off = disk(center + rng.normal(0, 1.5, 2), radius * rng.uniform(0.8, 1.2), shape=truth.shape)
            predicted[off] = 1000 + label - (rng.random() < 0.1)
        if rng.random() < 0.1:
            predicted[disk(rng.uniform(0, 120, 2), 6, shape=truth.shape)] = 2000 + label
    return predicted, truth


@pytest.mark.parametrize("seed", range(12))
def test_matches_are_those_of_cocos_own_evaluation(seed):
    predicted, truth = crowded(seed)
    match = match_labels(predicted, truth)
    ours = [match.true_positives(threshold) for threshold in MSA_THRESHOLDS]
    assert ours == coco_true_positives(predicted, truth)
    assert ours[0] > ours[-1]


@pytest.mark.parametrize(
    ("seed", "counts", "objects"),
    [
        (0, [18, 17, 16, 14, 12, 7, 4, 1, 1, 0], (30, 28)),
        (1, [17, 16, 14, 14, 7, 5, 3, 3, 2, 0], (29, 23)),
        (2, [23, 20, 17, 12, 8, 6, 1, 0, 0, 0], (27, 31)),
    ],
)
def test_counts_that_stardist_gave(seed, counts, objects):
    # stardist 0.9.2: [m.tp for m in matching(truth, predicted, thresh=MSA_THRESHOLDS)], m.n_true, m.n_pred
    match = match_labels(*crowded(seed))
    assert [match.true_positives(threshold) for threshold in MSA_THRESHOLDS] == counts
    assert (match.n_true, match.n_predicted) == objects


def test_the_example_in_stardists_documentation():
    truth = np.zeros((100, 100), np.uint16)
    truth[10:20, 10:20] = 1
    match = match_labels(np.roll(truth, 5, axis=0), truth)  # tp=0, fp=1, fn=1, accuracy=0, n_true=1, n_pred=1
    assert match.iou.toarray().tolist() == [[50 / 150]]
    assert (match.true_positives(), match.n_true, match.n_predicted) == (0, 1, 1)
    assert match.average_precision() == match.precision() == match.recall() == 0


@pytest.mark.parametrize("shift", [0, 5, 10])
def test_the_circles_of_stardists_own_test(shift):
    truth = np.zeros((128, 128), np.uint16)
    for label, col in enumerate(np.linspace(0, 128, 7)[1:-1], start=1):
        truth[disk((64, col), radius=128 // 15, shape=truth.shape)] = label
    moved = np.roll(truth, shift, axis=0)
    iou = float(np.sum((moved == truth)[truth > 0]) / np.sum((truth + moved) > 0))
    match = match_labels(moved, truth)
    assert (match.true_positives(0.5 * iou), match.average_precision(0.5 * iou)) == (5, 1)
    assert (match.true_positives(2 * iou), match.average_precision(2 * iou)) == (0, 0)

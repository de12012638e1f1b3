"""The box protocol with a player whose answers are known."""

from __future__ import annotations

import numpy as np

from napari_sam.evaluation.box_protocol import evaluate_boxes
from napari_sam.io.dataset import read_dataset
from napari_sam.ops.boxes import mask_to_box


def test_boxes_are_near_the_objects_and_masks_are_judged(known, perfect):
    folder, truth = known
    player = perfect(truth)
    scores = [score for result in evaluate_boxes([player], read_dataset(folder)) for score in result.scores]
    assert len(scores) == len(player.boxes) == 6
    assert all(score.values == {"box": 1, "boundary_f": 1} and score.predicted == 0.9 for score in scores)
    exact = [mask_to_box(truth[n] == label) for n in (1, 2, 3) for label in (1, 2)]
    off = np.abs(np.subtract(player.boxes, exact))
    assert 0 < off.mean() < 3
    assert off.max() < 8


def test_a_wrong_mask_scores_low(known, perfect):
    folder, truth = known
    moved = perfect({n: np.roll(labels, 5, axis=0) for n, labels in truth.items()})
    scores = [score for result in evaluate_boxes([moved], read_dataset(folder)) for score in result.scores]
    assert all(0 < score.values["box"] < 0.6 for score in scores)
    assert all(score.values["boundary_f"] < 0.8 for score in scores)

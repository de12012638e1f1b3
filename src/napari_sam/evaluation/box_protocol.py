"""The box protocol: a box that is a little off around every object of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from napari_sam.evaluation.metrics import boundary_f, mask_iou
from napari_sam.evaluation.object_protocol import Box, Played, judge_objects
from napari_sam.evaluation.players import Player
from napari_sam.evaluation.scores import ImageResult
from napari_sam.io.dataset import Dataset
from napari_sam.types import BoolArray

__all__ = ["evaluate_boxes", "play_box"]


def evaluate_boxes(
    players: Sequence[Player],
    dataset: Dataset,
    *,
    limit: int | None = None,
    max_objects: int | None = None,
    seed: int = 0,
) -> Iterator[ImageResult]:
    """Draw a noisy box around every object; measures are those of `play_box`, the rest as in `judge_objects`.

    Each side of the box is off by noise of a standard deviation of 10 % of the box, at most 20 pixels (`noisy_box`).
    """
    return judge_objects(players, dataset, play_box, limit=limit, max_objects=max_objects, seed=seed)


def play_box(player: Player, truth: BoolArray, box: Box) -> Played:
    """Give a player one box (row0, col0, row1, col1); return `box` (IoU with the truth) and `boundary_f`."""
    mask, predicted = player.boxed(box)
    return Played({"box": mask_iou(mask, truth), "boundary_f": boundary_f(mask, truth)}, predicted, mask)

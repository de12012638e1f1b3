"""The automatic protocol: everything in each image of a data set is segmented at once and compared with the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import AutoSettings
from napari_sam.evaluation.matching import match_labels
from napari_sam.evaluation.metrics import boundary_f
from napari_sam.evaluation.scores import MODEL, ImageResult, Score, choose_items
from napari_sam.io.dataset import Dataset
from napari_sam.ops.label_image import masks_to_labels
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["MaskGenerator", "ModelSegmenter", "Segmenter", "evaluate_auto", "judge_labels"]


class MaskGenerator(Protocol):
    """What finds the masks: an `AutomaticMaskGenerator`, or another with the same method."""

    def generate(self, image: Any) -> list[MaskRecord]:
        """Return the masks of an image (H, W) or (H, W, C)."""


class Segmenter(Protocol):
    """Make labels of an image."""

    name: str

    def segment(self, image: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Return the (H, W) int32 labels of an image (H, W) or (H, W, C), 0 background."""


class ModelSegmenter:
    """Segment with a model's generator; `settings` of making labels are those of the generator."""

    def __init__(self, generator: MaskGenerator, settings: AutoSettings | None = None, name: str = MODEL) -> None:
        self.name = name
        self._generator = generator
        self._settings = settings

    def segment(self, image: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Return the labels of the masks found."""
        return masks_to_labels(self._generator.generate(image), image.shape, self._settings, image=image)


def evaluate_auto(
    segmenters: Sequence[Segmenter], dataset: Dataset, *, limit: int | None = None
) -> Iterator[ImageResult]:
    """Segment and score one image after another.

    Parameters
    ----------
    segmenters
        The model, and baselines.
    dataset
        Images and instance labels.
    limit
        Only so many images, spread evenly over the data set.

    Yields
    ------
    ImageResult
        With one record for each segmenter: the measures of `judge_labels`, and `seconds` from the image in memory to
        its labels.
    """
    items = choose_items(dataset, limit)
    for done, item in enumerate(items, start=1):
        image, truth = item.read()
        scores: list[Score] = []
        found: list[npt.NDArray[np.int32]] = []
        for segmenter in segmenters:
            start = time.perf_counter()
            found.append(segmenter.segment(image))
            seconds = time.perf_counter() - start
            about, values = judge_labels(found[-1], truth)
            scores.append(
                Score(
                    image=item.name,
                    group=item.group,
                    origin=item.origin,
                    method=segmenter.name,
                    about=about,
                    values={**values, "seconds": seconds},
                )
            )
        yield ImageResult(done=done, total=len(items), item=item, scores=scores, labels=found[0])


def judge_labels(
    labels: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]
) -> tuple[dict[str, int], dict[str, float]]:
    """Compare two (H, W) label images.

    Returns
    -------
    about
        `objects` (true) and `found`.
    values
        `msa` (mean of TP / (TP + FP + FN) over IoU thresholds from 0.5 to 0.95), `ap50` and `ap75` (the same at one
        threshold), `mean_iou` (mean over true objects of the best IoU), `precision` and `recall` at an IoU of 0.5,
        `boundary_f` (of all outlines together).

    Raises
    ------
    InputError
        If the shapes differ.
    """
    match = match_labels(labels, truth)
    values = {
        "msa": match.mean_segmentation_accuracy,
        "ap50": match.average_precision(0.5),
        "ap75": match.average_precision(0.75),
        "mean_iou": match.mean_best_iou,
        "precision": match.precision(0.5),
        "recall": match.recall(0.5),
        "boundary_f": boundary_f(labels, truth),
    }
    return {"objects": match.n_true, "found": match.n_predicted}, values

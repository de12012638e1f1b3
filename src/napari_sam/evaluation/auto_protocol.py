"""The automatic protocol: everything in each image of a data set is segmented at once and compared with the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_sam.config.auto import AutoSettings
from napari_sam.evaluation.matching import match_labels
from napari_sam.io.dataset import Dataset
from napari_sam.ops.label_image import masks_to_labels
from napari_sam.ops.mask_record import MaskRecord

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["AUTO_MEASURES", "AutoScore", "MaskGenerator", "auto_table", "evaluate_auto", "summarise_auto"]

# what is averaged over images, in the order of reports
AUTO_MEASURES = ("msa", "ap50", "ap75", "mean_iou", "precision", "recall", "seconds")
HEADS = {"msa": "mSA", "ap50": "AP50", "ap75": "AP75", "mean_iou": "IoU", "precision": "prec.", "seconds": "s"}


class MaskGenerator(Protocol):
    """What finds the masks: an `AutomaticMaskGenerator`, or another with the same method."""

    def generate(self, image: Any) -> list[MaskRecord]:
        """Return the masks of an image (H, W) or (H, W, C)."""


@dataclass(frozen=True, kw_only=True)
class AutoScore:
    """Hold how well one image was segmented.

    Parameters
    ----------
    image, group
        Which image it is.
    objects, found
        True and predicted objects.
    msa
        Mean of TP / (TP + FP + FN) over IoU thresholds from 0.5 to 0.95.
    ap50, ap75
        The same at one threshold.
    mean_iou
        Mean over true objects of the best IoU with a predicted one.
    precision, recall
        At an IoU of 0.5.
    seconds
        From the image in memory to its labels.
    """

    image: str
    group: str
    objects: int
    found: int
    msa: float
    ap50: float
    ap75: float
    mean_iou: float
    precision: float
    recall: float
    seconds: float


def evaluate_auto(
    generator: MaskGenerator, dataset: Dataset, *, limit: int | None = None, settings: AutoSettings | None = None
) -> Iterator[tuple[int, int, AutoScore]]:
    """Segment and score one image after another.

    Parameters
    ----------
    generator
        With the model to be judged.
    dataset
        Images and instance labels.
    limit
        Only so many images, spread evenly over the data set.
    settings
        Of making labels from masks; give those of the generator.

    Yields
    ------
    tuple
        Images done, images in all, and the score of the image just done.
    """
    items = dataset.items
    if limit is not None and limit < len(items):
        items = tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))
    for done, item in enumerate(items, start=1):
        image, truth = item.read()
        start = time.perf_counter()
        labels = masks_to_labels(generator.generate(image), truth.shape, settings, image=image)
        seconds = time.perf_counter() - start
        match = match_labels(labels, truth)
        score = AutoScore(
            image=item.name,
            group=item.group,
            objects=match.n_true,
            found=match.n_predicted,
            msa=match.mean_segmentation_accuracy,
            ap50=match.average_precision(0.5),
            ap75=match.average_precision(0.75),
            mean_iou=match.mean_best_iou,
            precision=match.precision(0.5),
            recall=match.recall(0.5),
            seconds=seconds,
        )
        yield done, len(items), score


def summarise_auto(scores: Sequence[AutoScore]) -> dict[str, Any]:
    """Return `all` and `groups`: numbers of images and objects, and the mean of every measure over images."""
    names = sorted({score.group for score in scores} - {""})
    groups = {name: _means([score for score in scores if score.group == name]) for name in names}
    return {"all": _means(scores), "groups": groups}


def auto_table(summary: dict[str, Any]) -> Table:
    """Lay a summary out for the terminal."""
    from rich.table import Table

    counts = ("images", "objects", "found")
    table = Table(
        "group",
        *counts,
        *(HEADS.get(name, name) for name in AUTO_MEASURES),
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for name, means in [*summary["groups"].items(), ("all", summary["all"])]:
        table.add_row(name, *(str(means[count]) for count in counts), *(f"{means[m]:.3f}" for m in AUTO_MEASURES))
    return table


def _means(scores: Sequence[AutoScore]) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "images": len(scores),
        "objects": sum(score.objects for score in scores),
        "found": sum(score.found for score in scores),
    }
    for measure in AUTO_MEASURES:
        summary[measure] = round(float(np.mean([getattr(s, measure) for s in scores])), 4) if scores else None
    return summary

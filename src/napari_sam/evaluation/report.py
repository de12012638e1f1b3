"""Summaries of an evaluation: means by group and over all, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from napari_sam.evaluation.protocol import MEASURES, ObjectScore

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["report_table", "summarise"]


def summarise(scores: Sequence[ObjectScore]) -> dict[str, Any]:
    """Return mean IoUs.

    Returns
    -------
    dict
        `all` and `groups`: for each the number of images and objects, the mean of every measure over objects, under
        `by_image` the mean over images of each image's mean; and `score_correlation`, Spearman's correlation of
        predicted with true IoU of the first click's mask.
    """
    names = sorted({score.group for score in scores})
    groups = {name: _means([s for s in scores if s.group == name]) for name in names if name}
    return {"all": _means(scores), "groups": groups, "score_correlation": _correlation(scores)}


def report_table(summary: dict[str, Any]) -> Table:
    """Lay a summary out for the terminal."""
    from rich.table import Table

    table = Table("group", "images", "objects", *(name.replace("_", " ") for name in MEASURES), box=None)
    for name, means in [*summary["groups"].items(), ("all", summary["all"])]:
        cells = (f"{means[measure]:.3f}" for measure in MEASURES)
        table.add_row(name, str(means["images"]), str(means["objects"]), *cells)
    return table


def _means(scores: Sequence[ObjectScore]) -> dict[str, Any]:
    images = sorted({score.image for score in scores})
    summary: dict[str, Any] = {"images": len(images), "objects": len(scores)}
    for measure in MEASURES:
        summary[measure] = round(float(np.mean([getattr(s, measure) for s in scores])), 4) if scores else None
    summary["by_image"] = {
        measure: round(
            float(np.mean([np.mean([getattr(s, measure) for s in scores if s.image == image]) for image in images])), 4
        )
        for measure in MEASURES
        if scores
    }
    return summary


def _correlation(scores: Sequence[ObjectScore]) -> float | None:
    predicted = np.array([score.predicted for score in scores])
    true = np.array([score.one_click for score in scores])
    if len(scores) < 3 or np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return None
    return round(float(stats.spearmanr(predicted, true).statistic), 4)

"""Summaries of an evaluation as numbers: means by method and group with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from napari_sam.evaluation.intervals import bootstrap_intervals
from napari_sam.evaluation.scores import MODEL, Score

__all__ = ["image_means", "summarise"]

DIGITS = 4
SUMMED = ("objects", "found")  # of `about`, where records are of whole images


def summarise(scores: Sequence[Score], *, method: str = MODEL) -> dict[str, Any]:
    """Return means with 95 % bootstrap intervals.

    Parameters
    ----------
    scores
        Of all objects or images, and of all methods.
    method
        The one that is no baseline.

    Returns
    -------
    dict
        `all` and `groups`: for each the number of `images` and `objects`, the mean of every measure over the records
        (objects, or whole images), under `intervals` [lower, upper] for each measure (None for a single unit). Images
        of one origin are one unit; where there are any, `units` counts them. For objects also `by_image`, the mean over
        images of each image's mean. If the method predicts the IoU, `score_correlation`: Spearman's with the true IoU,
        in each part and over all. Under `baselines`, if there are other methods, the same for each by its name.
    """
    names = list(dict.fromkeys(score.method for score in scores))
    summary = _parts([score for score in scores if score.method == method])
    baselines = {name: _parts([s for s in scores if s.method == name]) for name in names if name != method}
    return summary | ({"baselines": baselines} if baselines else {})


def image_means(scores: Sequence[Score], measure: str, *, method: str = MODEL) -> list[tuple[str, float]]:
    """Return the images that have records of a method, with their mean of one measure, the worst first."""
    found: dict[str, list[float]] = {}
    for score in scores:
        if score.method == method:
            found.setdefault(score.image, []).append(score.values[measure])
    return sorted(((image, float(np.mean(values))) for image, values in found.items()), key=lambda pair: pair[::-1])


def _parts(scores: Sequence[Score]) -> dict[str, Any]:
    groups = sorted({score.group for score in scores} - {""})
    parts: dict[str, Any] = {
        "all": _means(scores),
        "groups": {group: _means([score for score in scores if score.group == group]) for group in groups},
    }
    if "score_correlation" in parts["all"]:
        parts["score_correlation"] = parts["all"]["score_correlation"]
    return parts


def _means(scores: Sequence[Score]) -> dict[str, Any]:
    if not scores:
        return {"images": 0, "objects": 0, "intervals": {}}
    measures = list(scores[0].values)
    values = np.array([[score.values[measure] for measure in measures] for score in scores], float)
    sums, counts = _sums([score.image for score in scores], values)
    summary: dict[str, Any] = {"images": len(counts), "objects": len(scores)}
    summary |= {name: sum(score.about[name] for score in scores) for name in SUMMED if name in scores[0].about}
    summary |= _named(measures, values.mean(axis=0))
    if "label" in scores[0].about:
        summary["by_image"] = _named(measures, (sums / counts[:, None]).mean(axis=0))
    whole, records = _sums([score.origin or score.image for score in scores], values)
    if len(records) < len(counts):
        summary["units"] = len(records)
    intervals = bootstrap_intervals(whole, records)
    ends: list[Any] = [None] * len(measures) if intervals is None else intervals.round(DIGITS).tolist()
    summary["intervals"] = dict(zip(measures, ends, strict=True))
    if all(score.predicted is not None for score in scores):
        summary["score_correlation"] = _correlation(scores)
    return summary


def _sums(names: Sequence[str], values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the sums of the rows of each name, and how many there are."""
    _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, place, values)
    return sums, counts


def _named(measures: Sequence[str], values: Any) -> dict[str, float]:
    return {measure: round(float(value), DIGITS) for measure, value in zip(measures, values, strict=True)}


def _correlation(scores: Sequence[Score]) -> float | None:
    """Return Spearman's correlation, None where there are too few objects or all are alike."""
    predicted = np.array([score.predicted for score in scores], float)
    true = np.array([next(iter(score.values.values())) for score in scores])
    if len(scores) < 3 or np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return None
    return round(float(stats.spearmanr(predicted, true).statistic), DIGITS)

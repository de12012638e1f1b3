"""Confidence intervals of means by resampling what is independent (Efron's percentile bootstrap)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bootstrap_intervals"]

Floats = npt.NDArray[np.float64]


def bootstrap_intervals(
    sums: Floats, counts: npt.NDArray[np.integer], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Floats | None:
    """Return an interval for each mean over objects, drawing whole units with replacement.

    Objects of one image resemble each other, and so do planes of one stack: drawing them would make the intervals too
    narrow. A unit is an image, or the stack or mosaic that images come from.

    Parameters
    ----------
    sums
        (n, m) sums of m measures over the objects of each of n units.
    counts
        (n,) objects of each unit, at least 1; how many images, if the measures are of whole images.
    level
        Share of the draws inside.
    draws, seed
        Number of resampled data sets, and the seed that makes them repeatable.

    Returns
    -------
    array or None
        (m, 2) lower and upper ends; None for fewer than two units, which tell nothing of the spread.
    """
    units = len(counts)
    if units < 2:
        return None
    # how often each image is drawn: [draws, n]
    weights = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws)
    means = (weights @ sums) / (weights @ counts)[:, None]
    tail = (1 - level) / 2
    return np.quantile(means, (tail, 1 - tail), axis=0).T

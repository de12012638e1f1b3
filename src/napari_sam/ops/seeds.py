"""From maps of objects to one seed for each, and to the objects themselves by a watershed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

__all__ = ["find_seeds", "grow_seeds"]


def find_seeds(
    foreground: npt.NDArray[np.floating], middle: npt.NDArray[np.floating], *, prominence: float = 0.12
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Find the middles of objects.

    Parameters
    ----------
    foreground, middle
        (h, w) probability of lying in an object, and relative distance to its rim, 0 to 1.
    prominence
        How far the distance must fall between two middles for them to be two.

    Returns
    -------
    markers
        (h, w) int32, numbered from 1.
    points
        (n, 2) row and column of each.
    """
    height = np.where(foreground > 0.5, middle, 0.0).astype(np.float32)
    height = ndimage.gaussian_filter(height, 0.5)
    tops = reconstruction(np.maximum(height - prominence, 0), height)
    markers, n = ndimage.label((height - tops >= prominence * 0.999) & (height > prominence), np.ones((3, 3)))
    if n == 0:
        return markers.astype(np.int32), np.zeros((0, 2))
    highest = ndimage.maximum_position(height, markers, np.arange(1, n + 1))
    return markers.astype(np.int32), np.array(highest, np.float64)


def grow_seeds(
    foreground: npt.NDArray[np.floating], middle: npt.NDArray[np.floating], markers: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Return (h, w) labels: each marker with the part of the foreground that falls off from it."""
    return watershed(-middle, markers, mask=foreground > 0.5).astype(np.int32)

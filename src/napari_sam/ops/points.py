"""Where a user would click: pixels (row, col) chosen from masks, and points along scribbles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.errors import InputError
from napari_sam.types import BoolArray

__all__ = ["along_path", "correction_click", "inner_point"]


def inner_point(mask: BoolArray) -> tuple[float, float]:
    """Return the pixel of a (H, W) mask that lies deepest inside; of several, the first in reading order.

    The image's border counts as the mask's border.

    Raises
    ------
    InputError
        If the mask is empty.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        raise InputError("The mask is empty, so there is nothing to click on: mark at least one pixel.")
    cut = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    distance = ndimage.distance_transform_edt(np.pad(cut, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(row + rows[0]), float(col + cols[0])


def correction_click(mask: BoolArray, truth: BoolArray) -> tuple[tuple[float, float], int] | None:
    """Return the middle of the largest wrong region and 1 (missed) or 0 (too much); None if nothing is wrong."""
    error = truth ^ mask
    rows, cols = np.flatnonzero(error.any(axis=1)), np.flatnonzero(error.any(axis=0))
    if len(rows) == 0:
        return None
    cut = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    missed = error[cut] & truth[cut]
    best: tuple[int, BoolArray, int] | None = None
    for wrong, label in ((missed, 1), (error[cut] & ~missed, 0)):
        regions, count = ndimage.label(wrong)
        if count:
            sizes = np.bincount(regions.ravel())
            sizes[0] = 0
            largest = int(sizes.argmax())
            if best is None or sizes[largest] > best[0]:
                best = int(sizes[largest]), regions == largest, label
    if best is None:
        return None
    row, col = inner_point(best[1])
    return (row + float(rows[0]), col + float(cols[0])), best[2]


def along_path(vertices: npt.ArrayLike, spacing: float) -> npt.NDArray[np.float64]:
    """Return (k, 2) points along a polyline of (n, 2) vertices, both ends included, about `spacing` pixels apart."""
    path = np.asarray(vertices, dtype=np.float64)
    steps = np.hypot(*np.diff(path, axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    if length[-1] == 0:
        return path[:1]
    count = max(2, round(length[-1] / spacing) + 1)
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, path[:, axis]) for axis in (0, 1)], axis=1)

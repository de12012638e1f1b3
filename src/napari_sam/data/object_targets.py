"""What the object head shall say of labels: coverage, relative distance to the rim, size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["interior", "object_targets"]


def object_targets(labels: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.float32]:
    """Turn labels into the maps that `ObjectHead` learns.

    Parameters
    ----------
    labels
        (S, S) int32, 0 background; S is a multiple of `size`.
    size
        Side m of the maps.

    Returns
    -------
    (3, m, m) float32: the share of each cell that objects cover; the distance to the object's rim over the largest in
    it, 0 to 1; log2 of the diameter 2 sqrt(area / pi) in pixels of the labels, 0 outside.
    """
    _, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (0 if (labels == 0).any() else 1)
    distance = ndimage.distance_transform_edt(np.pad(interior(dense), 1))[1:-1, 1:-1]
    highest = np.ones(dense.max() + 1)
    np.maximum.at(highest, dense.ravel(), distance.ravel())
    diameter = 2 * np.sqrt(np.bincount(dense.ravel(), minlength=len(highest)) / np.pi)
    step = labels.shape[0] // size

    def shrink(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        return values.reshape(size, step, size, step).mean(axis=(1, 3)).astype(np.float32)

    covered = shrink((dense > 0).astype(np.float32))
    middle = shrink(distance / highest[dense])
    sizes = shrink(np.where(dense > 0, np.log2(np.maximum(diameter, 1))[dense], 0))
    return np.stack([covered, middle, np.where(covered > 0, sizes / np.maximum(covered, 1e-6), 0).astype(np.float32)])


def interior(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return the objects without the pixels where two labels meet, so that distances count to one's own rim."""
    inside: npt.NDArray[np.bool_] = labels > 0
    same_below = labels[:-1] == labels[1:]
    same_right = labels[:, :-1] == labels[:, 1:]
    inside[:-1] &= same_below
    inside[:, :-1] &= same_right
    return inside

"""Overlap of masks, and of their outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import find_boundaries

from napari_sam.types import BoolArray

__all__ = ["BOUNDARY_TOLERANCE", "boundary_f", "mask_iou"]

BOUNDARY_TOLERANCE = 2.0  # pixels


def mask_iou(mask: BoolArray, truth: BoolArray) -> float:
    """Return intersection over union of two masks of the same shape; 1 if both are empty."""
    union = int(np.count_nonzero(mask | truth))
    return int(np.count_nonzero(mask & truth)) / union if union else 1.0


def boundary_f(predicted: npt.NDArray[Any], truth: npt.NDArray[Any], *, tolerance: float = BOUNDARY_TOLERANCE) -> float:
    """Return the F measure of outlines (Martin et al. 2004; Perazzi et al. 2016, DAVIS).

    The outline of an object is its pixels beside a pixel that is not its own; the image's border makes no outline.
    Precision is the share of predicted outline pixels that lie within `tolerance` of a true one, recall the share of
    true ones within `tolerance` of a predicted one, F their harmonic mean.

    Parameters
    ----------
    predicted, truth
        (H, W) masks, or label images with 0 as background.
    tolerance
        In pixels, Euclidean.

    Returns
    -------
    float
        0 to 1; 1 if neither has an outline, 0 if only one has.
    """
    part = _around((predicted > 0) | (truth > 0))
    found = find_boundaries(predicted[part], connectivity=1, mode="inner").astype(bool)
    there = find_boundaries(truth[part], connectivity=1, mode="inner").astype(bool)
    if not found.any() or not there.any():
        return float(found.any() == there.any())
    precision = float((ndimage.distance_transform_edt(~there)[found] <= tolerance).mean())
    recall = float((ndimage.distance_transform_edt(~found)[there] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _around(mask: BoolArray) -> tuple[slice, slice]:
    """Return the box of a mask and one pixel more, so that an outline inside the image stays one."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return slice(0, 0), slice(0, 0)
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(cols[0] - 1, 0), cols[-1] + 2)

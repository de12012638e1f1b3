"""Where prompts and masks lie: boxes (row0, col0, row1, col1) around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.types import BoolArray, Prompts, Window

__all__ = ["Extent", "anchor_of", "extent_of", "holds", "is_logits", "mask_extent"]

Extent = tuple[float, float, float, float]


def is_logits(mask: npt.NDArray[Any] | None) -> bool:
    """Tell whether a mask prompt is the logits of an earlier prediction."""
    return mask is not None and mask.dtype != bool


def mask_extent(mask: BoolArray) -> Extent | None:
    """Return the box, exclusive ends, of a mask; None if it is empty."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return float(rows[0]), float(cols[0]), float(rows[-1] + 1), float(cols[-1] + 1)


def extent_of(prompts: Prompts) -> Extent | None:
    """Return the box around everything that was said, None for logits alone."""
    corners: list[tuple[float, float]] = list(prompts.points)
    if prompts.box is not None:
        corners += [(prompts.box[0], prompts.box[1]), (prompts.box[2], prompts.box[3])]
    if prompts.mask is not None and not is_logits(prompts.mask):
        found = mask_extent(prompts.mask)
        corners += [found[:2], found[2:]] if found else []
    if not corners:
        return None
    rows, cols = zip(*corners, strict=True)
    return min(rows), min(cols), max(rows), max(cols)


def anchor_of(prompts: Prompts, extent: Extent) -> tuple[float, float]:
    """Return the point (row, col) around which to look: the first click into the object, else the extent's middle.

    Further clicks leave it where it is, so they cost no encoding.
    """
    sized = prompts.box is not None or (prompts.mask is not None and not is_logits(prompts.mask))
    inside = [point for point, label in zip(prompts.points, prompts.labels, strict=True) if label == 1]
    if inside and not sized:
        return inside[0]
    return (extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2


def holds(window: Window, extent: Extent) -> bool:
    """Tell whether a box lies in a window."""
    row0, col0, row1, col1 = extent
    rows = window.row - 0.5 <= row0 and row1 <= window.row + window.height
    return rows and window.col - 0.5 <= col0 and col1 <= window.col + window.width

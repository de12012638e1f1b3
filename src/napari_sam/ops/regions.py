"""Small holes and islands of masks, and the pieces that are meant."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_sam.ops.mask_record import MaskRecord
from napari_sam.types import BoolArray

__all__ = ["clean_mask", "clean_record", "keep_pieces"]

EIGHT = np.ones((3, 3), bool)  # diagonal neighbours are connected, in holes too (the authors' choice)


def clean_mask(mask: BoolArray, min_area: int) -> tuple[BoolArray, bool]:
    """Fill holes, then remove islands, of fewer than `min_area` pixels (SAM, appendix B).

    Parts of the background that the image's border cuts off count as holes. If all islands are small, the largest
    stays.

    Returns
    -------
    mask, changed
        (H, W) bool, and whether it differs.
    """
    regions, sizes = _label(~mask)
    small = sizes < min_area
    small[0] = False
    filled = mask | small[regions] if small.any() else mask
    regions, sizes = _label(filled)
    small = sizes < min_area
    small[0] = False
    if not small.any():
        return filled, filled is not mask
    if small[1:].all():
        small[1 + int(sizes[1:].argmax())] = False
    return filled & ~small[regions], True


def clean_record(record: MaskRecord, min_area: int) -> tuple[MaskRecord, bool]:
    """Do the same to a record, as on its whole image, and tell whether it changed."""
    if record.area == 0:
        return record, False
    row0, col0, row1, col1 = record.box
    height, width = record.image_shape
    # as much of the background around that it can't be taken for a hole
    rows, cols = math.ceil(min_area / (col1 - col0)), math.ceil(min_area / (row1 - row0))
    before = min(rows, row0), min(cols, col0)
    after = min(rows, height - row1), min(cols, width - col1)
    patch, changed = clean_mask(np.pad(record.patch, tuple(zip(before, after, strict=True))), min_area)
    return (record.with_patch(patch, (row0 - before[0], col0 - before[1])), True) if changed else (record, False)


def keep_pieces(mask: BoolArray, points: Sequence[tuple[float, float]]) -> BoolArray:
    """Keep the pieces of a mask that lie at points, and where there is none the largest piece.

    Parameters
    ----------
    mask
        (h, w) bool.
    points
        (row, col) in pixels of the mask; a piece in the pixel of a point or next to it lies there.
    """
    regions, sizes = _label(mask)
    if len(sizes) <= 2:
        return mask
    chosen = np.zeros(len(sizes), bool)
    for row, col in points:
        top, left = round(row) - 1, round(col) - 1
        chosen[regions[max(0, top) : max(0, top + 3), max(0, left) : max(0, left + 3)]] = True
    chosen[0] = False
    if not chosen.any():
        chosen[1 + int(sizes[1:].argmax())] = True
    return chosen[regions]


def _label(mask: BoolArray) -> tuple[np.ndarray, np.ndarray]:
    regions, _ = ndimage.label(mask, EIGHT)
    return regions, np.bincount(regions.ravel())

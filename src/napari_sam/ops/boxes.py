"""Boxes (row0, col0, row1, col1) with exclusive ends."""

from __future__ import annotations

import numpy as np

from napari_sam.errors import InputError
from napari_sam.types import BoolArray

__all__ = ["mask_to_box", "noisy_box"]

Box = tuple[float, float, float, float]


def mask_to_box(mask: BoolArray) -> tuple[int, int, int, int]:
    """Return the tight box of a (H, W) mask.

    Raises
    ------
    InputError
        If the mask is empty.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        raise InputError("The mask is empty, so it has no box: mark at least one pixel.")
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def noisy_box(
    box: Box, rng: np.random.Generator, shape: tuple[int, ...], *, relative: float = 0.1, limit: float = 20.0
) -> Box:
    """Move each side of a box by noise, as in the paper's training (SAM, appendix A).

    Parameters
    ----------
    box
        The exact box.
    rng
        The source of chance.
    shape
        (H, W) of the image; the result lies inside.
    relative, limit
        Standard deviation as a share of the side, and the largest move in pixels.
    """
    corners = np.asarray(box, float)
    side = np.tile(corners[2:] - corners[:2], 2)
    moved = corners + np.clip(rng.normal(0, relative * side), -limit, limit)
    moved = np.clip(moved, 0, np.tile(np.asarray(shape[:2], float), 2))
    if (moved[2:] - moved[:2] < 1).any():  # tiny objects may not lose their area
        moved = corners
    return float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])

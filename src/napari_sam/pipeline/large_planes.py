"""Planes too large to be held in memory: which they are, and how they are told from others."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_sam.inference.normalization import MAX_READ
from napari_sam.io.journal import digest_array

__all__ = ["LARGE_PLANE", "digest_image", "is_large"]

LARGE_PLANE = MAX_READ  # pixels; larger planes are read part by part and never whole
BLOCKS, SIDE = 4, 64  # so many blocks a side, of so many pixels a side, stand for a large plane


def is_large(shape: tuple[int, ...]) -> bool:
    """Tell whether a (H, W) plane is too large to be held in memory."""
    return shape[0] * shape[1] > LARGE_PLANE


def digest_image(image: Any) -> str:
    """Return a hash of a (H, W) or (H, W, C) array-like: of all pixels, of a large one of 16 blocks of 64 x 64."""
    height, width = image.shape[:2]
    if not is_large((height, width)):
        return digest_array(np.asarray(image))
    tops, lefts = (np.linspace(0, max(0, side - SIDE), BLOCKS).astype(int).tolist() for side in (height, width))
    blocks = [np.asarray(image[top : top + SIDE, left : left + SIDE]) for top in tops for left in lefts]
    return f"sampled-{digest_array(np.stack(blocks))}"

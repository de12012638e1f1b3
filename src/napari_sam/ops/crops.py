"""Grids of points, and the crops of an image that the paper's automatic segmentation looks at (SAM, appendix B)."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import numpy.typing as npt

__all__ = ["crop_boxes", "near_crop_edge", "point_grid"]

EDGE = 20  # pixels: boxes that come this near to a crop's border may be cut (the authors' number)


def point_grid(rows: int, cols: int) -> npt.NDArray[np.float64]:
    """Return (rows * cols, 2) evenly spaced points (row, col) as shares of the image's sides, in reading order."""
    row = (np.arange(rows) + 0.5) / rows
    col = (np.arange(cols) + 0.5) / cols
    return np.stack(np.meshgrid(row, col, indexing="ij"), axis=-1).reshape(-1, 2)


def crop_boxes(
    shape: tuple[int, int], layers: int, overlap_ratio: float
) -> list[tuple[tuple[int, int, int, int], int]]:
    """Return the crops (row0, col0, row1, col1) and their layers, the whole image first.

    Layer i has 2^i crops along each side; they overlap by `overlap_ratio` of the short side in layer 1, by half of that
    in the next.
    """
    height, width = shape
    boxes = [((0, 0, height, width), 0)]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(shape) * (2 / per_side))
        h, w = (math.ceil((overlap * (per_side - 1) + side) / per_side) for side in shape)
        starts = product(range(per_side), range(per_side))  # columns of crops, as the authors list them
        for i, j in starts:
            row, col = (h - overlap) * j, (w - overlap) * i
            if row < height and col < width:  # an image of a few pixels has no room for all
                boxes.append(((row, col, min(row + h, height), min(col + w, width)), layer))
    return boxes


def near_crop_edge(box: tuple[int, int, int, int], crop: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
    """Tell whether a box comes near to an edge of the crop that is not near the image's border.

    As in the authors' code, the box ends at its last pixel, the crop and the image one after theirs.
    """
    last = (box[0], box[1], max(box[2] - 1, box[0]), max(box[3] - 1, box[1]))
    image = (0, 0, *shape)
    return any(
        abs(at - edge) <= EDGE and abs(at - border) > EDGE for at, edge, border in zip(last, crop, image, strict=True)
    )

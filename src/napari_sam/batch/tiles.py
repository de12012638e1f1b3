"""Regions of a plane that are segmented one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_sam.errors import InputError

__all__ = ["Tile", "plan_tiles", "tile_pairs"]

Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Hold one region of a plane; all boxes are (row0, col0, row1, col1) in pixels of the plane.

    Parameters
    ----------
    plane
        Index of the plane along the stacked axes, () for a single plane.
    number
        Place in the list of `plan_tiles`, row after row.
    row, col
        Place in the grid of tiles.
    box
        The region that is looked at; regions overlap.
    core
        The part of it that is nearest to it; the cores are disjoint and make up the plane.
    """

    plane: tuple[int, ...] = ()
    number: int
    row: int
    col: int
    box: Box
    core: Box


def plan_tiles(
    shape: tuple[int, int], tile: int = 2048, overlap: int = 192, *, plane: tuple[int, ...] = ()
) -> list[Tile]:
    """Cover a plane with overlapping regions, row after row.

    Regions have sides of `tile` pixels, or of the plane where that is shorter, and begin every `tile - overlap` pixels;
    the last of a row or column is moved back to end at the border. What is at most `overlap` pixels high and wide lies
    whole in one of them, and if it is smaller, away from the edges along which that region was cut.

    Parameters
    ----------
    shape
        (H, W) of the plane.
    tile, overlap
        In pixels.
    plane
        Index of the plane, kept in each tile.

    Raises
    ------
    InputError
        If the sides do not fit each other, or the plane is empty.
    """
    if not 0 <= overlap < tile:
        raise InputError(f"Tiles of {tile} pixels overlap by {overlap}: give an overlap of 0 or more, below the tile.")
    if min(shape) < 1:
        raise InputError(f"The plane has {shape[0]} x {shape[1]} pixels: give one with at least one pixel.")
    (row_regions, row_cores), (col_regions, col_cores) = (_cut(side, tile, overlap) for side in shape)
    grid = [(row, col) for row in range(len(row_regions)) for col in range(len(col_regions))]
    return [
        Tile(
            plane=plane,
            number=number,
            row=row,
            col=col,
            box=_box(row_regions[row], col_regions[col]),
            core=_box(row_cores[row], col_cores[col]),
        )
        for number, (row, col) in enumerate(grid)
    ]


def tile_pairs(tiles: Sequence[Tile]) -> list[tuple[int, int]]:
    """List the pairs of numbers (lower, higher) of the tiles of one plane whose regions share pixels, in order."""
    boxes = np.array([tile.box for tile in tiles], np.int64).reshape(-1, 4)
    pairs = []
    for number, box in enumerate(boxes):  # tiles come row after row, so later ones are enough
        low, high = np.maximum(box[:2], boxes[number + 1 :, :2]), np.minimum(box[2:], boxes[number + 1 :, 2:])
        pairs += [(number, number + 1 + int(other)) for other in np.flatnonzero((low < high).all(axis=1))]
    return pairs


def _cut(length: int, tile: int, overlap: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the regions and the cores along one axis as (begin, end)."""
    last = max(0, length - tile)
    begins = [*range(0, last, tile - overlap), last]
    regions = [(begin, min(begin + tile, length)) for begin in begins]
    # the border of two cores is the middle of what their regions share
    borders = [(right[0] + left[1]) // 2 for left, right in itertools.pairwise(regions)]
    return regions, list(zip([0, *borders], [*borders, length], strict=True))


def _box(rows: tuple[int, int], cols: tuple[int, int]) -> Box:
    return rows[0], cols[0], rows[1], cols[1]

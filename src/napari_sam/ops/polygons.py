"""Exact outlines of masks along the edges of their pixels, and masks from outlines.

Coordinates are pixel corners: the pixel (row, col) is the square from (row, col) to (row + 1, col + 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.types import BoolArray

__all__ = ["Polygon", "Ring", "mask_polygons", "polygons_to_mask", "polygons_to_patch"]

Ring = npt.NDArray[np.float64]


class Polygon(NamedTuple):
    """Hold one part of a mask: (k, 2) rings of (row, col) corners, the first corner not repeated at the end."""

    outer: Ring
    holes: tuple[Ring, ...] = ()


def mask_polygons(patch: BoolArray, origin: tuple[int, int] = (0, 0)) -> list[Polygon]:
    """Return the outlines of a (h, w) bool mask, one polygon for each 4-connected part, in order of first pixels.

    Pixels of one mask that touch only diagonally are different parts; so are pixels of a hole, which therefore
    becomes several holes that touch in a corner. No ring crosses or touches itself, as GeoJSON asks for.
    Outer rings start at their top left corner and run right, down, left, up; holes the other way round.
    Corners on a straight line are left out.

    Parameters
    ----------
    patch
        The mask.
    origin
        (row, col) of its first pixel in the image.
    """
    padded = np.pad(np.asarray(patch, bool), 1)
    parts, n_parts = ndimage.label(padded)
    if n_parts == 0:
        return []
    rows, cols, copy, linked_up = _corners(padded, parts)

    # Corners pair up along each row into horizontal edges 2k - 2k+1, and along each column into vertical ones.
    key = (cols * len(padded) + rows) * 2 + (copy ^ ~linked_up)
    by_column = np.argsort(key)
    across = np.empty(len(rows), np.intp)
    across[by_column[0::2]], across[by_column[1::2]] = by_column[1::2], by_column[0::2]

    edge = np.arange(0, len(rows), 2)
    below = padded[rows[edge] + 1, cols[edge] + 1]  # the object lies on the right of the way: below runs right
    start, end = edge + ~below, edge + below
    chain, sizes = _cycles(across[end] // 2)
    corners = np.stack([start[chain], end[chain]], axis=1).ravel()
    points = np.stack([rows[corners] + origin[0], cols[corners] + origin[1]], axis=1).astype(np.float64)

    # The first edge of a ring is its highest: the object is below it if the ring goes around it, else it is a hole.
    first = chain[np.cumsum(sizes) - sizes]
    part = parts[rows[edge[first]] + below[first], cols[edge[first]] + 1]
    outer: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    rings = np.split(points, 2 * np.cumsum(sizes)[:-1])
    for number, ring, around in zip(part.tolist(), rings, below[first].tolist(), strict=True):
        if around:
            outer[number] = ring
        else:
            holes.setdefault(number, []).append(ring)
    return [Polygon(ring, tuple(holes.get(number, ()))) for number, ring in outer.items()]


def polygons_to_mask(polygons: Iterable[Polygon], shape: tuple[int, int]) -> BoolArray:
    """Return the (H, W) bool mask of the pixels whose centres lie in any of the polygons; undoes `mask_polygons`.

    A centre is in a polygon if a ray from it crosses the rings an odd number of times, whichever way they run;
    on a line, left and upper sides count as inside. What lies outside the image is cut off.
    """
    patch, (row, col) = polygons_to_patch(polygons, shape)
    mask = np.zeros(shape, bool)
    mask[row : row + patch.shape[0], col : col + patch.shape[1]] = patch
    return mask


def polygons_to_patch(polygons: Iterable[Polygon], shape: tuple[int, int]) -> tuple[BoolArray, tuple[int, int]]:
    """Return the same mask as `polygons_to_mask` in the box around the polygons, and that box's (row, col)."""
    parts = [(outer, *holes) for outer, holes in polygons if len(outer)]
    if not parts:
        return np.zeros((0, 0), bool), (0, 0)
    corners = [np.concatenate(rings) for rings in parts]
    lows = np.clip(np.floor([ring.min(axis=0) for ring in corners]), 0, shape).astype(int)
    highs = np.clip(np.ceil([ring.max(axis=0) for ring in corners]), lows, shape).astype(int)
    low, high = lows.min(axis=0), highs.max(axis=0)
    patch = np.zeros(tuple(high - low), bool)
    for rings, (top, left), (bottom, right) in zip(parts, lows.tolist(), highs.tolist(), strict=True):
        window = patch[top - low[0] : bottom - low[0], left - low[1] : right - low[1]]
        window |= _fill([ring - (top, left) for ring in rings], (bottom - top, right - left))
    return patch, (int(low[0]), int(low[1]))


def _corners(
    padded: BoolArray, parts: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], BoolArray, BoolArray]:
    """Return row, column, copy and link of the corners of all outlines in row-major order.

    Where four pixels meet like a chess board, the corner is there twice: copy 0 ends the edge on its left, and
    `linked_up` tells that this copy goes on upwards.
    """
    up_left, up_right = padded[:-1, :-1], padded[:-1, 1:]
    low_left, low_right = padded[1:, :-1], padded[1:, 1:]
    twice = (up_left == low_right) & (up_right == low_left) & (up_left != up_right)
    at = np.flatnonzero(twice | (up_left ^ up_right ^ low_left ^ low_right))
    double = twice.ravel()[at]
    rows, cols = np.divmod(at, twice.shape[1])
    # The pixels of different parts keep their corners apart; within a part, those of the background do.
    falling = padded[rows, cols]  # set pixels at the upper left and lower right
    one_part = np.where(
        falling,
        parts[rows, cols] == parts[rows + 1, cols + 1],
        parts[rows, cols + 1] == parts[rows + 1, cols],
    )
    linked_up = ~double | (falling ^ one_part)
    repeats = 1 + double
    second = np.zeros(repeats.sum(), bool)
    second[np.cumsum(repeats)[double] - 1] = True
    return np.repeat(rows, repeats), np.repeat(cols, repeats), second, np.repeat(linked_up, repeats)


def _cycles(following: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the members of a permutation's cycles one after another, each from its smallest, and their lengths."""
    after = following.tolist()
    chain: list[int] = []
    sizes: list[int] = []
    for first in range(len(after)):
        at, before = first, len(chain)
        while after[at] >= 0:
            chain.append(at)
            after[at], at = -1, after[at]
        if len(chain) > before:
            sizes.append(len(chain) - before)
    return np.array(chain, np.intp), np.array(sizes, np.intp)


def _fill(rings: Sequence[Ring], shape: tuple[int, int]) -> BoolArray:
    """Return the (h, w) pixels whose centres the rings enclose an odd number of times."""
    height, width = shape
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # pixel centres lie half a pixel from the corners; an edge crosses the rows with low <= row < high
    low = np.clip(np.ceil(np.minimum(start[:, 0], end[:, 0]) - 0.5), 0, height).astype(np.intp)
    high = np.clip(np.ceil(np.maximum(start[:, 0], end[:, 0]) - 0.5), 0, height).astype(np.intp)
    count = high - low
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + low[edge]
    (row0, col0), (row1, col1) = start[edge].T, end[edge].T
    col = np.ceil(col0 + (row + 0.5 - row0) * (col1 - col0) / (row1 - row0) - 0.5)
    toggles = np.zeros((height, width + 1), bool)
    np.logical_xor.at(toggles, (row, np.clip(col, 0, width).astype(np.intp)), True)
    return np.logical_xor.accumulate(toggles, axis=1)[:, :width]

"""Few windows for many objects: each object well inside of one of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cover_boxes"]

Numbers = npt.NDArray[np.float64]
Origin = tuple[int, int]


def cover_boxes(
    boxes: Numbers, shape: tuple[int, int], sides: tuple[int, int], margin: float
) -> list[tuple[Origin, npt.NDArray[np.intp]]]:
    """Place windows of one size so that every box lies in one, with pixels around it, and few windows do.

    Boxes are taken from the top in strips as high as a window, each strip from the left; and from the left in strips
    from the top. Each window moves to the middle of its boxes. Of all these, the one that holds most boxes is taken
    first, then the one that holds most of the rest (greedy set cover), and each box goes to that of the taken in which
    it lies most in the middle.

    Parameters
    ----------
    boxes
        (n, 4) row0, col0, row1, col1; with twice the margin none is larger than a window.
    shape
        (H, W) of the image, in which the windows lie.
    sides
        (h, w) of a window, at most that of the image.
    margin
        Pixels between a box and the edge of its window, unless that is the image's border.

    Returns
    -------
    list
        (row, col) of each window and the numbers of its boxes; every box has one window.
    """
    limits = np.array([*shape, *shape], float)
    around = np.clip(boxes + np.array([-margin, -margin, margin, margin]), 0, limits)
    if not len(boxes):
        return []
    origins = list(
        dict.fromkeys(
            (
                _centred(around[group, 0].min(), around[group, 2].max(), sides[0], shape[0]),
                _centred(around[group, 1].min(), around[group, 3].max(), sides[1], shape[1]),
            )
            for first, second in ((0, 1), (1, 0))
            for strip in _runs(around[:, first], around[:, first + 2], np.arange(len(boxes)), sides[first])
            for group in _runs(around[:, second], around[:, second + 2], strip, sides[second])
        )
    )
    first = np.array(origins, float)[:, None]  # [windows, 1, 2]
    last = first + np.array(sides)
    inside = ((first <= around[:, :2]) & (around[:, 2:] <= last)).all(axis=2)  # [windows, n]
    inside[_needless(inside)] = False
    off = np.abs((first + last) / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2).max(axis=2)
    home = np.where(inside, off, np.inf).argmin(axis=0)
    return [(origin, found) for w, origin in enumerate(origins) if len(found := np.flatnonzero(home == w))]


def _runs(starts: Numbers, stops: Numbers, numbers: npt.NDArray[np.intp], side: float) -> list[npt.NDArray[np.intp]]:
    """Split intervals into groups that each fit into `side`, from the first on."""
    groups = []
    waiting = numbers[np.argsort(starts[numbers], kind="stable")]
    while len(waiting):
        fits = stops[waiting] <= np.floor(starts[waiting[0]]) + side
        fits[0] = True
        groups.append(waiting[fits])
        waiting = waiting[~fits]
    return groups


def _needless(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return which sets (rows) a greedy cover of all members (columns) does without."""
    open_, taken = inside.any(axis=0), np.zeros(len(inside), bool)
    while open_.any():
        best = int((inside & open_).sum(axis=1).argmax())
        taken[best] = True
        open_ &= ~inside[best]
    return np.flatnonzero(~taken)


def _centred(start: float, stop: float, side: int, length: int) -> int:
    """Return where a window of `side` pixels begins that holds an interval in its middle, inside of `length` pixels."""
    first = round((start + stop - side) / 2)
    # rounding must not cut the interval
    first = min(max(first, int(np.ceil(stop)) - side), int(np.floor(start)))
    return min(max(first, 0), length - side)

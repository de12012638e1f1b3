"""Objects of neighbouring planes or times that are one, told by how much they overlap.

First the objects of each two neighbouring planes are paired, the best overlap first, each with at most one. Then gaps
are closed, the shortest first: an object that has no follower is paired in the same way with one of the second next
plane that has nothing before it, and so on up to the longest gap. Ids are 1 to n by the plane where an object begins,
then by its label there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError

__all__ = ["Overlaps", "link", "overlaps", "sum_overlaps"]

Ids = npt.NDArray[np.int64]
Overlaps = tuple[Ids, Ids]  # (k, 2) labels in rising order, (k,) pixels they share


def overlaps(labels_a: npt.NDArray[Any], labels_b: npt.NDArray[Any]) -> Overlaps:
    """Count the pixels that the labels of two planes share in the same block.

    Parameters
    ----------
    labels_a, labels_b
        Whole numbers from 0, background, to 2**31 - 1, of the same shape.

    Returns
    -------
    pairs
        (k, 2) int64 labels of the first and the second plane, in rising order.
    counts
        (k,) int64 pixels.
    """
    both = (labels_a > 0) & (labels_b > 0)
    keys = (labels_a[both].astype(np.int64) << 32) | labels_b[both].astype(np.int64)
    found, counts = np.unique(keys, return_counts=True)
    return np.stack([found >> 32, found & 0xFFFFFFFF], axis=1), counts.astype(np.int64)


def sum_overlaps(parts: Iterable[Overlaps]) -> Overlaps:
    """Add up the overlaps of the blocks of two planes, given in any order."""
    listed = list(parts)
    pairs = np.concatenate([np.empty((0, 2), np.int64), *(pairs for pairs, _ in listed)])
    counts = np.concatenate([np.empty(0, np.int64), *(counts for _, counts in listed)])
    keys, place = np.unique((pairs[:, 0] << 32) | pairs[:, 1], return_inverse=True)
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, place, counts)
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1), total


def link(
    areas: Sequence[npt.NDArray[Any]],
    read_overlaps: Callable[[int, int], Overlaps],
    *,
    threshold: float = 0.5,
    gap: int = 1,
) -> list[Ids]:
    """Give the objects of a row of planes ids that hold over all of them.

    Parameters
    ----------
    areas
        For each plane the pixels of each label; index 0 is the background and not looked at. Labels without a pixel
        are no objects.
    read_overlaps
        Called with the numbers of two planes p < q <= p + gap + 1, returns what `overlaps` of all their blocks sum up
        to; each pair of planes is asked for once, and not kept.
    threshold
        The least overlap (intersection over union) of objects that are one.
    gap
        Planes that may be missing between two objects that are one.

    Returns
    -------
    list
        For each plane the int64 ids by label, as long as its areas; 0 for the background and labels without a pixel.

    Raises
    ------
    InputError
        If the threshold or the gap is out of range.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"The threshold of linking is {threshold}: give an overlap above 0 and at most 1.")
    if gap < 0:
        raise InputError(f"The gap of linking is {gap} planes: give 0 or more.")
    followed = [np.zeros(len(area), bool) for area in areas]
    before = [np.zeros(len(area), np.int32) for area in areas]  # the label it goes on from, 0 if it is a beginning
    distance = [np.zeros(len(area), np.int32) for area in areas]  # and how many planes back that is
    for step in range(1, gap + 2):
        for plane in range(len(areas) - step):
            after = plane + step
            pairs, counts = read_overlaps(plane, after)
            free = ~followed[plane][pairs[:, 0]] & (before[after][pairs[:, 1]] == 0)
            one, other = _pair(pairs[free], counts[free], areas[plane], areas[after], threshold)
            followed[plane][one] = True
            before[after][other], distance[after][other] = one, step
    return _numbered(areas, before, distance)


def _pair(
    pairs: Ids, counts: Ids, areas_a: npt.NDArray[Any], areas_b: npt.NDArray[Any], threshold: float
) -> tuple[Ids, Ids]:
    """Pair labels one to one, the best overlap first, of equals the lower labels; return both columns."""
    union = areas_a[pairs[:, 0]].astype(np.int64) + areas_b[pairs[:, 1]].astype(np.int64) - counts
    iou = counts / union
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -iou))
    left = pairs[order[iou[order] >= threshold]]
    chosen = [np.empty((0, 2), np.int64)]
    while len(left):  # in each round all that are the best of both their labels: the same as one after another
        best = np.zeros((len(left), 2), bool)
        for side in range(2):
            best[np.unique(left[:, side], return_index=True)[1], side] = True
        taken = left[best.all(axis=1)]
        chosen.append(taken)
        left = left[~np.isin(left[:, 0], taken[:, 0]) & ~np.isin(left[:, 1], taken[:, 1])]
    found = np.concatenate(chosen)
    return found[:, 0], found[:, 1]


def _numbered(areas: Sequence[npt.NDArray[Any]], before: Sequence[Any], distance: Sequence[Any]) -> list[Ids]:
    lookup: list[Ids] = []
    total = 0
    for plane, area in enumerate(areas):
        ids = np.zeros(len(area), np.int64)
        for step in np.unique(distance[plane][before[plane] > 0]):
            going_on = (before[plane] > 0) & (distance[plane] == step)
            ids[going_on] = lookup[plane - step][before[plane][going_on]]
        new = np.flatnonzero((before[plane] == 0) & (np.asarray(area) > 0))
        new = new[new > 0]
        ids[new] = np.arange(total + 1, total + 1 + len(new))
        total += len(new)
        lookup.append(ids)
    return lookup

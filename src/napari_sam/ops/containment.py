"""Which mask lies inside which: the containment tree of automatic masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["containment_parents", "smaller_first"]

CHUNK_PAIRS = 2**20  # pairs of boxes compared at once


def smaller_first(record: MaskRecord) -> tuple[object, ...]:
    """Key that sorts records by rising area, then falling score, and never by their place in a list."""
    return record.area, -record.predicted_iou, -record.stability_score, record.box, record.bits, record.point


def containment_parents(records: Sequence[MaskRecord], share: float = 0.9) -> npt.NDArray[np.intp]:
    """Return for each mask the smallest mask that contains it.

    A mask contains another if it has more pixels, and at least `share` of the other's pixels. Masks of the same area
    contain each other never, so duplicates stand beside each other and the result is a forest.

    Parameters
    ----------
    records
        Masks of one image.
    share
        Above 0 and at most 1.

    Returns
    -------
    array
        (n,) indices into `records`, -1 for masks inside no other (and for empty masks).

    Raises
    ------
    InputError
        If `share` is out of range.
    """
    if not 0 < share <= 1:
        raise InputError(f"The contained share is {share}: give a number above 0 and at most 1.")
    order = sorted(range(len(records)), key=lambda index: smaller_first(records[index]))
    ranked = [records[index] for index in order]
    needed = share * np.array([record.area for record in ranked]) - 1e-6  # 0.9 x 70 is 63.00000000000001
    parents = np.full(len(records), -1, np.intp)  # by rank
    child, parent = _box_candidates(ranked, needed)
    outers, starts = np.unique(parent, return_index=True)
    for rank, inner in zip(outers, np.split(child, starts[1:]), strict=False):  # from the smallest upwards
        orphans = inner[parents[inner] < 0]
        if len(orphans) == 0:
            continue
        outer = ranked[rank]
        patch = outer.patch
        for index in orphans:
            if _shared_pixels(outer.box, patch, ranked[index]) >= needed[index]:
                parents[index] = rank
    found = np.full(len(records), -1, np.intp)
    inside = np.flatnonzero(parents >= 0)
    ranks = np.array(order, np.intp)
    found[ranks[inside]] = ranks[parents[inside]]
    return found


def _box_candidates(
    ranked: Sequence[MaskRecord], needed: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return (child, parent) ranks, parents rising, whose boxes share enough pixels for the masks to."""
    boxes = np.array([record.box for record in ranked], np.int64).reshape(-1, 4)
    areas = np.array([record.area for record in ranked], np.int64)
    rows = max(1, CHUNK_PAIRS // max(1, len(boxes)))
    children, parents = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for first in range(0, len(boxes), rows):
        last = first + rows  # what a mask contains is of lower rank
        box, area = boxes[first:last, None], areas[first:last, None]
        low, high = np.maximum(box[..., :2], boxes[:last, :2]), np.minimum(box[..., 2:], boxes[:last, 2:])
        sides = np.maximum(high - low, 0)  # [parents, children, 2]
        enough = sides[..., 0] * sides[..., 1] >= needed[:last]
        parent, child = np.nonzero(enough & (area > areas[:last]) & (areas[:last] > 0))
        parents.append(parent + first)
        children.append(child)
    return np.concatenate(children), np.concatenate(parents)


def _shared_pixels(box: tuple[int, int, int, int], patch: npt.NDArray[np.bool_], record: MaskRecord) -> int:
    """Count the pixels that a record shares with the mask `patch` of `box`, on the overlap of both boxes."""
    row0, row1 = max(box[0], record.box[0]), min(box[2], record.box[2])
    col0, col1 = max(box[1], record.box[1]), min(box[3], record.box[3])
    outer = patch[row0 - box[0] : row1 - box[0], col0 - box[1] : col1 - box[1]]
    top, left = record.box[:2]
    return int(np.count_nonzero(outer & record.patch[row0 - top : row1 - top, col0 - left : col1 - left]))

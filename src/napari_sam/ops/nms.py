"""Non-maximum suppression of boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["box_nms"]


def box_nms(boxes: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> npt.NDArray[np.int64]:
    """Return the indices of the boxes that stay, best first.

    A box goes if its IoU with a better one that stays is above `threshold`; of equal scores the earlier one wins. As in
    the authors' code, sides are measured between the centres of the outer pixels, so a box of one row has no area.

    Parameters
    ----------
    boxes
        (n, 4) whole numbers (row0, col0, row1, col1), exclusive ends.
    scores
        (n,).
    threshold
        0 to 1.
    """
    corners = np.asarray(boxes, np.float32).reshape(-1, 4).copy()
    corners[:, 2:] = np.maximum(corners[:, 2:] - 1, corners[:, :2])
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    order = np.argsort(-np.asarray(scores, np.float32).reshape(-1), kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        first = np.maximum(corners[best, :2], corners[order, :2])
        last = np.minimum(corners[best, 2:], corners[order, 2:])
        shared = np.prod(np.maximum(last - first, 0), axis=1)
        either = area[best] + area[order] - shared
        iou = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
        order = order[iou.astype(np.float64) <= threshold]
    return np.array(kept, np.int64)

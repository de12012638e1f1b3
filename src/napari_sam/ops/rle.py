"""Run-length coding of masks in COCO's convention: columns one after another, the first run is background."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.types import BoolArray

__all__ = ["coco_rle", "decode_coco_rle", "mask_to_runs", "runs_to_mask"]


def mask_to_runs(patch: BoolArray, origin: tuple[int, int], shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the run lengths of a mask that is `patch` at `origin` and background elsewhere.

    Parameters
    ----------
    patch
        (h, w) bool, inside the image.
    origin
        (row, col) of its first pixel.
    shape
        (H, W) of the image, which is never made.
    """
    height, width = shape
    columns = np.pad(patch, ((1, 1), (0, 0))).T  # [w, h + 2]: every run of a column starts and ends in it
    change = columns[:, 1:] != columns[:, :-1]
    column, row = np.nonzero(change)
    at = (column + origin[1]) * height + row + origin[0]
    # a run that reaches the last row goes on in the next column's first: two equal numbers follow each other
    joined = np.zeros(len(at), bool)
    same = at[1:] == at[:-1]
    joined[1:] |= same
    joined[:-1] |= same
    runs = np.diff(at[~joined], prepend=0, append=height * width)
    return runs[:-1] if len(runs) > 1 and runs[-1] == 0 else runs  # the mask's last pixel was the image's


def runs_to_mask(runs: npt.ArrayLike, shape: tuple[int, int]) -> BoolArray:
    """Return the (H, W) bool mask of run lengths.

    Raises
    ------
    InputError
        If the runs do not add up to the image.
    """
    counts = np.asarray(runs, np.int64)
    if (counts < 0).any() or counts.sum() != shape[0] * shape[1]:
        raise InputError(
            f"The runs of the mask add up to {counts.sum()} pixels: an image of {shape[0]} x {shape[1]} has "
            f"{shape[0] * shape[1]}."
        )
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(shape[1], shape[0]).T)


def coco_rle(runs: npt.NDArray[np.int64], shape: tuple[int, int]) -> dict[str, Any]:
    """Return COCO's compressed form {"size": [H, W], "counts": text}, as `pycocotools.mask.decode` reads it."""
    from pycocotools import mask as coco

    packed = coco.frPyObjects({"size": list(shape), "counts": runs.tolist()}, *shape)
    return {"size": list(shape), "counts": packed["counts"].decode("ascii")}


def decode_coco_rle(rle: dict[str, Any]) -> BoolArray:
    """Return the (H, W) bool mask of COCO's run lengths, compressed (text) or not (a list).

    Raises
    ------
    InputError
        If the runs do not fit the size.
    """
    from pycocotools import mask as coco

    height, width = (int(side) for side in rle["size"])
    counts = rle["counts"]
    if isinstance(counts, list):
        return runs_to_mask(counts, (height, width))
    return coco.decode({"size": [height, width], "counts": counts}).astype(bool)

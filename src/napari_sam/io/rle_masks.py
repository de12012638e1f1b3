"""Records from COCO's run lengths of unknown origin, without ever making the whole image.

pycocotools returns memory it never wrote to for texts that are too short, so the runs are checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.mask_fields import Scores, check_size
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.rle import runs_to_mask

__all__ = ["rle_to_record", "text_to_runs"]


def rle_to_record(rle: Mapping[str, Any], shape: tuple[int, int], scores: Scores) -> MaskRecord:
    """Return the record of {"size": [H, W], "counts": text or list of numbers}.

    Raises
    ------
    InputError
        If the size is not `shape`, or the runs do not add up to it.
    """
    check_size(tuple(rle["size"]), shape)
    counts = rle["counts"]
    runs = text_to_runs(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    height, width = shape
    # in float: numbers from a damaged file may overflow
    if runs.ndim != 1 or (runs < 0).any() or runs.sum(dtype=float) != height * width:
        raise InputError(f"the runs of a mask do not add up to the {height * width} pixels of the image")
    ends = np.cumsum(runs)[1::2]
    begins = (ends - runs[1::2])[runs[1::2] > 0]
    last = ends[runs[1::2] > 0] - 1
    if len(last) == 0:
        return MaskRecord.from_patch(np.zeros((0, 0), bool), image_shape=shape, **scores)
    # the same runs in the box of the mask: all rows if a run goes on in the next column
    col0, col1 = int(begins[0]) // height, int(last[-1]) // height + 1
    within = bool((begins // height == last // height).all())
    row0, row1 = (int((begins % height).min()), int((last % height).max()) + 1) if within else (0, height)
    flips = np.stack([begins, last], axis=1)
    flips = (flips // height - col0) * (row1 - row0) + flips % height - row0
    flips[:, 1] += 1
    box = (row1 - row0, col1 - col0)
    patch = runs_to_mask(np.diff(flips.ravel(), prepend=0, append=box[0] * box[1]), box)
    return MaskRecord.from_patch(patch, (row0, col0), image_shape=shape, **scores)


def text_to_runs(text: str) -> npt.NDArray[np.int64]:
    """Return the run lengths of COCO's compressed text.

    Each number is coded in characters of 5 bits from "0", the lowest first, the sixth bit set while more follow;
    from the fourth number on, it is the difference to the number before the last.

    Raises
    ------
    InputError
        If the text has other characters or ends within a number.
    """
    codes = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((codes & 32) == 0)
    sizes = np.diff(last, prepend=-1)
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32 or sizes.max() > 12:
        raise InputError("the run lengths of a mask are no COCO text")
    begins = last - sizes + 1
    place = np.arange(len(codes)) - np.repeat(begins, sizes)
    values = np.add.reduceat((codes & 31) << (5 * place), begins)
    values -= np.where(codes[last] & 16, np.int64(1) << (5 * sizes), 0)  # the highest bit is the sign
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values

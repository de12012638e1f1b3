"""Crops of masks, as a CLIP looks at them: a square around the box, with what is outside of the mask or without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from napari_sam.config.text import VIEWS
from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["VIEWS", "crop_masks", "usual_side"]

OVERSAMPLING = 8  # a crop is read at no more than this many times its final side, whatever the mask's size
BLUR = 1 / 16  # radius of the blur as a share of the crop's side


def usual_side(records: Sequence[MaskRecord]) -> float:
    """Return the median of the longer sides of the masks' boxes in pixels; 1 where there are none.

    It stands for "the size of objects in this image"; take it over all records, not over a batch of them.
    """
    sides = [_side(record) for record in records if record.area]
    return float(np.median(sides)) if sides else 1.0


def crop_masks(
    image: npt.NDArray[np.uint8],
    records: Sequence[MaskRecord],
    size: int,
    view: str = "keep",
    expansion: float = 1.5,
    *,
    size_cue: float = 0.0,
    reference: float = 0.0,
) -> npt.NDArray[np.uint8]:
    """Cut a square around each mask and bring it to one size.

    A square is `expansion * side ** (1 - size_cue) * reference ** size_cue` pixels long, and never shorter than the
    longer `side` of the mask's box: with a `size_cue` of 0 every object fills the same share of its crop, as in the
    paper; with 0.5 an object of four times the usual side fills twice the usual share, so that a CLIP can see
    what is small and what is large. What lies beyond the image's border repeats its last pixels.

    Parameters
    ----------
    image
        (H, W, 3) uint8, normalised.
    records
        n masks of that image.
    size
        Side of the crops in pixels.
    view
        What becomes of the pixels outside of the mask: "keep", "blur" or "zero".
    expansion
        The crop's side as a multiple of the box's.
    size_cue
        From 0 to 1, how much of an object's size shows in its crop.
    reference
        Usual side of the objects in pixels, for the size cue; 0 takes `usual_side(records)`.

    Returns
    -------
    array
        (n, size, size, 3) uint8.

    Raises
    ------
    InputError
        If the view is unknown.
    """
    if view not in VIEWS:
        raise InputError(f"Unknown view {view!r} of a mask: choose one of {', '.join(VIEWS)}.")
    usual = reference or usual_side(records)
    crops = np.empty((len(records), size, size, 3), np.uint8)
    for number, record in enumerate(records):
        box_side = _side(record)
        side = max(box_side, round(expansion * box_side ** (1 - size_cue) * usual**size_cue))
        crops[number] = _crop(image, record, side, size, view)
    return crops


def _side(record: MaskRecord) -> int:
    """Return the longer side of the box, at least 1."""
    return max(record.box[2] - record.box[0], record.box[3] - record.box[1], 1)


def _crop(image: npt.NDArray[np.uint8], record: MaskRecord, side: int, size: int, view: str) -> npt.NDArray[np.uint8]:
    step = max(1, side // (OVERSAMPLING * size))
    rows = np.arange((record.box[0] + record.box[2] - side) // 2, (record.box[0] + record.box[2] + side) // 2, step)
    cols = np.arange((record.box[1] + record.box[3] - side) // 2, (record.box[1] + record.box[3] + side) // 2, step)
    inside = rows.clip(0, image.shape[0] - 1)[:, None], cols.clip(0, image.shape[1] - 1)
    crop = Image.fromarray(image[inside]).resize((size, size), Image.Resampling.BICUBIC)
    if view == "keep":
        return np.asarray(crop)
    share = np.asarray(Image.fromarray(_mask(record, rows, cols)).resize((size, size), Image.Resampling.BILINEAR))
    weight = share[..., None].astype(np.float32) / 255
    kept = weight * np.asarray(crop)
    if view == "blur":
        kept += (1 - weight) * np.asarray(crop.filter(ImageFilter.GaussianBlur(BLUR * size)))
    return (kept + 0.5).astype(np.uint8)


def _mask(record: MaskRecord, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return the mask at rows and columns of the image, 255 inside."""
    patch = record.patch
    mask = np.zeros((len(rows), len(cols)), np.uint8)
    row, col = rows - record.box[0], cols - record.box[1]
    row_in, col_in = (row >= 0) & (row < patch.shape[0]), (col >= 0) & (col < patch.shape[1])
    mask[np.ix_(row_in, col_in)] = patch[np.ix_(row[row_in], col[col_in])] * np.uint8(255)
    return mask

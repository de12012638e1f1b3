"""Labels and masks as other programs write them: numbers of any type, of any picture, read as what they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import UnidentifiedImageError

from napari_sam.errors import InputError
from napari_sam.io.images import read_image
from napari_sam.io.picture_files import unlimited
from napari_sam.paths import local_path

__all__ = ["LARGEST_ID", "as_labels", "check_label_ids", "label_numbers", "read_labels", "read_mask"]

LARGEST_ID = 2**31 - 1  # of labels that are made here
PNG_ID = 2**16 - 1
IGNORE = -1


def read_labels(path: str | Path, plane: tuple[int, ...] | None = None) -> npt.NDArray[np.integer]:
    """Read a (H, W) label image, 0 background.

    Of a picture with a colour table the numbers are the labels, whatever their colours; a grey picture that was saved
    as RGB is grey.

    Returns
    -------
    array
        int32, or int64 where the numbers do not fit it; pixels to be ignored (-1, NaN) are background.

    Raises
    ------
    InputError
        As `read_image`, or if the values are not labels.
    """
    return as_labels(_read_numbers(local_path(path), plane), path)


def read_mask(path: str | Path) -> npt.NDArray[np.bool_]:
    """Read a (H, W) mask: every pixel that is not 0 belongs to it, but for those to be ignored (-1, NaN).

    Raises
    ------
    InputError
        As `read_image`, or if the picture has colours.
    """
    values = _one_channel(_read_numbers(local_path(path), None))
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}: a mask is (H, W), of one channel.")
    return np.nan_to_num(values, nan=0) > 0 if values.dtype.kind in "if" else values != 0


def as_labels(values: npt.NDArray[Any], name: object) -> npt.NDArray[np.integer]:
    """Return (H, W) labels from values of any type that are whole numbers; `name` says in messages whose they are.

    Returns
    -------
    array
        As `read_labels`.

    Raises
    ------
    InputError
        If the values are not labels.
    """
    values = _one_channel(values)
    if values.ndim != 2:
        raise InputError(
            f"{name} has shape {values.shape} and type {values.dtype}: labels are (H, W) whole numbers, of one channel."
        )
    return label_numbers(values, name)


def label_numbers(values: npt.NDArray[Any], name: object) -> npt.NDArray[np.integer]:
    """Return labels of any shape as int32, or int64 where they do not fit; -1 and NaN, to be ignored, become 0.

    Raises
    ------
    InputError
        If there are other negative numbers, fractions, or numbers beyond 64 bits.
    """
    if values.dtype.kind not in "buif":
        raise InputError(f"{name} has the type {values.dtype}: labels are whole numbers.")
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), 0, values)
        if not (np.isfinite(values) & (values == np.round(values))).all():
            raise InputError(f"{name} holds numbers with fractions: labels are whole numbers, such as 0, 1 and 2.")
    if not values.size:
        return values.astype(np.int32)
    if values.dtype.kind in "if":
        values = np.where(values == IGNORE, 0, values)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 2**63:
        raise InputError(f"{name} holds labels from {low} to {high}: they must fit 0 to {2**63 - 1}.")
    return values.astype(np.int32 if high <= LARGEST_ID else np.int64)


def check_label_ids(output: Path, ids: Iterable[int]) -> None:
    """Check, before any work is done, that a label image can hold the numbers of objects.

    Raises
    ------
    InputError
        If one is too large for the kind of file that the extension names.
    """
    top = max(ids, default=0)
    if output.suffix.lower() == ".png" and top > PNG_ID:
        raise InputError(f"{output} cannot hold label {top}: PNG ends at {PNG_ID}, write a .tif instead.")
    if top > LARGEST_ID:
        raise InputError(f"{output} cannot hold label {top}: give numbers up to {LARGEST_ID}.")


def _read_numbers(path: Path, plane: tuple[int, ...] | None) -> npt.NDArray[Any]:
    """Read an image, of a picture with a colour table the indices."""
    indices = _colour_indices(path) if plane is None or not any(plane) else None
    return read_image(path, plane) if indices is None else indices


def _colour_indices(path: Path) -> npt.NDArray[Any] | None:
    """Return the indices of a picture with a colour table, None for any other file."""
    try:
        with unlimited(path) as picture:
            if picture.format == "TIFF" or picture.mode not in ("P", "PA"):
                return None  # TIFFs are read as their numbers in any case
            values = np.asarray(picture)
            return values[..., 0] if picture.mode == "PA" else values
    except (OSError, ValueError, UnidentifiedImageError):
        return None  # reading it as an image says what is wrong


def _one_channel(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (H, W) of (H, W, C) whose colours are all alike, as grey saved as RGB is; anything else as it is."""
    if values.ndim != 3 or values.shape[-1] not in (1, 2, 3, 4):
        return values
    channels = values.shape[-1] - (values.shape[-1] in (2, 4))  # the last of two or four is alpha
    grey = values[..., 0]
    return grey if all(np.array_equal(grey, values[..., k]) for k in range(1, channels)) else values

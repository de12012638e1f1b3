"""Checks of what the user says; every mistake gets one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.types import Prompts

__all__ = ["check_prompts"]


def check_prompts(
    points: Any, point_labels: Any, box: Any, mask: Any, shape: tuple[int, int], mask_size: int
) -> Prompts:
    """Turn loose arguments into `Prompts`.

    Parameters
    ----------
    points, point_labels
        (k, 2) array-like of (row, col) and (k,) of 1 and 0; labels None means all positive.
    box
        (row0, col0, row1, col1) or None.
    mask
        (H, W) booleans or integers, or (m, m) or (1, m, m) float logits.
    shape
        (H, W) of the image.
    mask_size
        m.

    Raises
    ------
    InputError
        If anything is missing, misshapen or outside of the image.
    """
    places = _points(points, shape)
    labels = _labels(point_labels, len(places))
    prompts = Prompts(
        points=tuple((float(r), float(c)) for r, c in places),
        labels=tuple(int(label) for label in labels),
        box=_box(box, shape),
        mask=_mask(mask, shape, mask_size),
    )
    if prompts.empty:
        raise InputError("No prompt given: give at least a point, a box or a mask.")
    return prompts


def _points(points: Any, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    if points is None:
        return np.zeros((0, 2))
    try:
        places = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Cannot read the points {points!r}: give pairs (row, col) of numbers.") from error
    if places.size == 0:
        return np.zeros((0, 2))
    if places.ndim != 2 or places.shape[1] != 2:
        raise InputError(f"The points have shape {places.shape}: give (k, 2), a pair (row, col) for each.")
    # a pixel reaches half a pixel around its centre
    outside = ~((places >= -0.5) & (places <= np.array(shape) - 0.5)).all(axis=1)
    if outside.any():
        row, col = places[outside][0]
        raise InputError(
            f"The point ({row:g}, {col:g}) lies outside of the image of {shape[0]} rows and {shape[1]} columns: "
            "give (row, col) inside it."
        )
    return places


def _labels(labels: Any, count: int) -> Sequence[int]:
    if labels is None:
        return [1] * count
    try:
        values = np.asarray(labels).ravel()
    except ValueError as error:
        raise InputError(f"Cannot read the point labels {labels!r}: give 1 or 0 for each point.") from error
    if len(values) != count:
        raise InputError(f"{count} points but {len(values)} point labels: give one label, 1 or 0, for each point.")
    if count and not np.isin(values, (0, 1)).all():
        raise InputError(f"Point labels {values.tolist()}: only 1 (object) and 0 (not object) are allowed.")
    return [int(value) for value in values]


def _box(box: Any, shape: tuple[int, int]) -> tuple[float, float, float, float] | None:
    if box is None:
        return None
    try:
        corners = np.asarray(box, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InputError(f"Cannot read the box {box!r}: give (row0, col0, row1, col1).") from error
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise InputError(f"The box {corners.tolist()} is not four numbers: give (row0, col0, row1, col1).")
    row0, col0, row1, col1 = (float(value) for value in corners)
    if row1 <= row0 or col1 <= col0:
        raise InputError(
            f"The box ({row0:g}, {col0:g}, {row1:g}, {col1:g}) has no area: "
            "give (row0, col0, row1, col1) with row0 < row1 and col0 < col1."
        )
    clipped = (max(row0, 0.0), max(col0, 0.0), min(row1, float(shape[0])), min(col1, float(shape[1])))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        raise InputError(
            f"The box ({row0:g}, {col0:g}, {row1:g}, {col1:g}) lies outside of the image of {shape[0]} rows and "
            f"{shape[1]} columns: give a box that overlaps it."
        )
    return clipped


def _mask(mask: Any, shape: tuple[int, int], mask_size: int) -> npt.NDArray[Any] | None:
    if mask is None:
        return None
    values = np.asarray(mask)
    if values.dtype.kind == "f":
        logits = values[0] if values.ndim == 3 and len(values) == 1 else values
        if logits.shape != (mask_size, mask_size):
            raise InputError(
                f"The mask has shape {values.shape} and floats: give logits of an earlier prediction, "
                f"({mask_size}, {mask_size}), or booleans of the image's shape {shape}."
            )
        if not np.isfinite(logits).all():
            raise InputError("The mask holds NaN or infinite logits: give finite ones.")
        return logits.astype(np.float32)
    if values.dtype.kind not in "bui" or values.shape != shape:
        raise InputError(f"The mask has shape {values.shape} and type {values.dtype}: give booleans of shape {shape}.")
    if not values.any():
        raise InputError("The mask is empty: mark at least one pixel.")
    return values.astype(bool)

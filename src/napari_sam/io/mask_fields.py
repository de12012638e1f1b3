"""What is written of a mask besides its pixels, in the two spellings that the formats use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = [
    "MaskRows",
    "check_size",
    "feature_values",
    "flat_fields",
    "flat_scores",
    "mask_labels",
    "xy_box",
    "xy_fields",
    "xy_scores",
]

Scores = dict[str, Any]
MaskRows = Mapping[str, npt.NDArray[Any]]


def mask_labels(features: MaskRows, n: int) -> list[int]:
    """Return the numbers of n masks: the column `label` of the features, or 1 to n.

    Raises
    ------
    InputError
        If the columns do not have n values, or the labels are not different whole numbers from 1.
    """
    for name, column in features.items():
        if len(column) != n:
            raise InputError(f"The feature {name} has {len(column)} values for {n} masks: give one for each.")
    labels = np.asarray(features.get("label", np.arange(1, n + 1)))
    if n and (labels.dtype.kind not in "iu" or labels.min() < 1 or len(np.unique(labels)) < n):
        raise InputError("The feature label must hold a different whole number of at least 1 for each mask.")
    return [int(label) for label in labels]


def feature_values(features: MaskRows, index: int, taken: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return one mask's features as plain numbers and text, None for what is not finite; `taken` names are left out."""
    values = {name: np.asarray(column)[index] for name, column in features.items() if name not in (*taken, "label")}
    return {name: _plain(value) for name, value in values.items()}


def flat_fields(record: MaskRecord) -> dict[str, float]:
    """Return the scores, the point and the crop as single numbers in array order."""
    row, col = record.point
    corners = zip(("row0", "col0", "row1", "col1"), record.crop_box, strict=True)
    return {
        "predicted_iou": float(record.predicted_iou),
        "stability_score": float(record.stability_score),
        "point_row": float(row),
        "point_col": float(col),
        **{f"crop_{name}": int(value) for name, value in corners},
    }


def flat_scores(fields: Mapping[str, Any]) -> Scores:
    """Return the keywords of `MaskRecord.from_patch` that `flat_fields` wrote; absent ones are left out."""
    found: Scores = {name: _number(fields[name]) for name in ("predicted_iou", "stability_score") if _has(fields, name)}
    if _has(fields, "point_row") and _has(fields, "point_col"):
        found["point"] = (_number(fields["point_row"]), _number(fields["point_col"]))
    corners = [fields[name] for name in ("crop_row0", "crop_col0", "crop_row1", "crop_col1") if _has(fields, name)]
    if len(corners) == 4:
        found["crop_box"] = tuple(int(_number(corner)) for corner in corners)
    return found


def xy_box(box: tuple[int, int, int, int]) -> list[int]:
    """Return COCO's [x, y, width, height] of a box (row0, col0, row1, col1) with exclusive ends."""
    row0, col0, row1, col1 = (int(corner) for corner in box)
    return [col0, row0, col1 - col0, row1 - row0]


def xy_fields(record: MaskRecord) -> dict[str, Any]:
    """Return the scores, the point and the crop as Segment Anything's data set SA-1B spells them, x before y."""
    return {
        "predicted_iou": float(record.predicted_iou),
        "stability_score": float(record.stability_score),
        "point_coords": [[float(record.point[1]), float(record.point[0])]],
        "crop_box": xy_box(record.crop_box),
    }


def xy_scores(fields: Mapping[str, Any]) -> Scores:
    """Return the keywords of `MaskRecord.from_patch` that `xy_fields` wrote; COCO's `score` stands in for the first."""
    found: Scores = {}
    if _has(fields, "score"):
        found["predicted_iou"] = _number(fields["score"])
    found |= {name: _number(fields[name]) for name in ("predicted_iou", "stability_score") if _has(fields, name)}
    if _has(fields, "point_coords"):
        x, y = fields["point_coords"][0]
        found["point"] = (_number(y), _number(x))
    if _has(fields, "crop_box"):
        x, y, width, height = (int(_number(value)) for value in fields["crop_box"])
        found["crop_box"] = (y, x, y + height, x + width)
    return found


def check_size(found: tuple[Any, Any], shape: tuple[int, int]) -> None:
    """Check the (height, width) that a file tells of its image.

    Raises
    ------
    InputError
        If it is another one.
    """
    if (int(found[0]), int(found[1])) != tuple(shape):
        raise InputError(
            f"they belong to an image of {int(found[0])} x {int(found[1])} pixels, this one has {shape[0]} x {shape[1]}"
        )


def _has(fields: Mapping[str, Any], name: str) -> bool:
    return fields.get(name) not in (None, "")


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{value!r} is no finite number")
    return number


def _plain(value: Any) -> Any:
    """Turn a NumPy value into what JSON holds."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) else str(value)

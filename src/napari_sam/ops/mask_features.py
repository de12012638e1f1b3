"""Size, shape and brightness of masks, in the terms of scikit-image's regionprops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["PROPERTIES", "measure_records"]

SCORES = ("predicted_iou", "stability_score")
INTENSITIES = ("intensity_mean", "intensity_min", "intensity_max")
# the columns of a features table, in order
COLUMNS = (
    "area",
    *SCORES,
    "centroid-0",
    "centroid-1",
    "eccentricity",
    "solidity",
    "perimeter",
    "equivalent_diameter_area",
    "axis_major_length",
    "axis_minor_length",
    "orientation",
    *INTENSITIES,
)
# all that can be measured, and therefore asked for in conditions
PROPERTIES = (
    *COLUMNS,
    "area_bbox",
    "area_convex",
    "area_filled",
    "euler_number",
    "extent",
    "feret_diameter_max",
    "perimeter_crofton",
)


def measure_records(
    records: Sequence[MaskRecord], image: Any = None, *, properties: Iterable[str] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Measure masks one by one; only their boxes are looked at.

    Parameters
    ----------
    records
        Masks of one image; record i has the label i + 1.
    image
        (H, W) or (H, W, C) of the same size, NumPy or read in parts (Zarr, Dask); of several channels the mean is
        taken (alpha left out). Without it there are no intensities.
    properties
        Names of `PROPERTIES`; by default the columns of a features table.

    Returns
    -------
    dict
        `label` (n,) int32 and one (n,) column for each property, named as `skimage.measure.regionprops_table` names
        them; centroids in pixels of the whole image. Values of empty masks are NaN.

    Raises
    ------
    InputError
        If a property is unknown, needs an image, or the image has another size.
    """
    names = tuple(c for c in COLUMNS if image is not None or c not in INTENSITIES)
    if properties is not None:
        names = tuple(dict.fromkeys(properties))
    _check(names, image, records)
    columns: dict[str, npt.NDArray[Any]] = {"label": np.arange(1, len(records) + 1, dtype=np.int32)}
    for name in names:
        columns[name] = np.full(len(records), np.nan)
    columns.update({name: np.array([getattr(r, name) for r in records], float) for name in SCORES if name in names})
    if "area" in names:
        columns["area"] = np.array([record.area for record in records], np.int64)
    shapes = [name for name in names if name not in SCORES and name != "area"]
    for index, record in enumerate(records if shapes else ()):
        if record.area:
            for name, value in _measure(record, image, shapes).items():
                columns[name][index] = value
    return columns


def _check(names: Sequence[str], image: Any, records: Sequence[MaskRecord]) -> None:
    for name in names:
        if name not in PROPERTIES:
            raise InputError(f"Masks have no property {name!r}: choose one of {', '.join(PROPERTIES)}.")
        if name in INTENSITIES and image is None:
            raise InputError(f"The property {name} needs the image: give it, or choose a property of shape.")
    if image is not None and records and tuple(image.shape[:2]) != records[0].image_shape:
        raise InputError(
            f"The image has {tuple(image.shape[:2])} pixels, the masks {records[0].image_shape}: "
            "give the image in which they were found."
        )


def _measure(record: MaskRecord, image: Any, names: Sequence[str]) -> dict[str, float]:
    from skimage.measure import regionprops

    pixels = _gray(np.asarray(image[record.slices])) if any(name in INTENSITIES for name in names) else None
    region = regionprops(record.patch.astype(np.uint8), pixels, offset=record.box[:2])[0]
    return {name: _value(region, name) for name in names}


def _value(region: Any, name: str) -> float:
    prop, _, axis = name.partition("-")
    return float(region[prop][int(axis)] if axis else region[prop])


def _gray(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """[h, w] or [h, w, c] -> [h, w]."""
    if pixels.ndim == 2:
        return pixels.astype(np.float64)
    return pixels[..., :3].mean(axis=-1) if pixels.shape[-1] == 4 else pixels.mean(axis=-1)

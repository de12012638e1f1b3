"""Tables of labelled objects: size, shape, place, brightness of each channel, neighbours; in pixels and micrometres."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["add_micrometres", "measure"]

LENGTHS = ("perimeter", "equivalent_diameter_area", "axis_major_length", "axis_minor_length", "feret_diameter_max")
SHAPES = {
    2: (
        *("area", "centroid", "bbox", "perimeter", "equivalent_diameter_area", "axis_major_length"),
        *("axis_minor_length", "eccentricity", "solidity", "extent", "orientation", "feret_diameter_max"),
    ),
    3: (
        *("area", "centroid", "bbox", "equivalent_diameter_area", "axis_major_length", "axis_minor_length"),
        *("solidity", "extent"),
    ),
}
SCALED = {
    2: ("area", "centroid", "equivalent_diameter_area", "axis_major_length", "axis_minor_length", "feret_diameter_max"),
    3: ("area", "centroid", "equivalent_diameter_area", "axis_major_length", "axis_minor_length"),
}
ALIKE = 0.01  # how much the sides of a pixel may differ for a length to have one unit

Array = npt.NDArray[Any]
Columns = dict[str, Array]


def measure(
    labels: Any,
    image: Any = None,
    *,
    pixel_size: float | Sequence[float] | None = None,
    channels: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    volume: bool = False,
) -> pd.DataFrame:
    """Measure labelled objects; planes of a stack one by one, or its objects in 3D.

    Parameters
    ----------
    labels
        (..., H, W) of any integer type, 0 background; with `volume` (..., Z, H, W). NumPy, Zarr or Dask: one plane or
        volume is read at a time.
    image
        Of the same shape, or with channels as a last axis (..., H, W, C). Without it there is no brightness. Pixels
        that are not finite do not count.
    pixel_size
        Micrometres from one pixel to the next: one number, or one for each of the last two axes (three with `volume`).
        None where it is not known: then all is in pixels.
    channels
        Names of the channels, for the columns.
    axes
        Names of the leading axes, for the columns; "t" and "z" are usual.
    volume
        Whether objects extend over the third last axis.

    Returns
    -------
    DataFrame
        One row for each object of each plane, by plane and number. `label`; a column for each leading axis; `area` (or
        `volume`) in pixels, `centroid-0` and so on along the measured axes, `bbox-0` and so on (ends exclusive), shape
        as scikit-image's `regionprops` names it; `touches_border`; `neighbours` (objects that touch it, corners count),
        `nearest_distance` (between middles); `intensity_mean`, `_min`, `_max`, `_std` and `_sum`, with several channels
        followed by `_` and the channel's name. Where the pixel size is known, the same with `_um`, `_um2` or `_um3`.
        Lengths of outlines are in micrometres only if pixels are square.

    Raises
    ------
    InputError
        If shapes, pixel size or names do not fit, or the labels are no whole numbers.
    """
    import pandas as pd

    ndim = 3 if volume else 2
    shape = tuple(int(side) for side in labels.shape)
    if len(shape) < ndim:
        what = "a volume has three axes" if volume else "an image has two"
        raise InputError(f"The labels have the shape {shape}: {what}.")
    if np.dtype(labels.dtype).kind not in "bui":
        raise InputError(f"The labels have the type {labels.dtype}: labels are whole numbers.")
    names = _channel_names(shape, image, channels)
    sizes = _sizes(pixel_size, ndim)
    leading = shape[: len(shape) - ndim]
    index_names = list(axes) if axes is not None else [f"axis-{number}" for number in range(len(leading))]
    if len(index_names) != len(leading):
        raise InputError(f"{len(index_names)} names for {len(leading)} leading axes of the labels: give one for each.")
    tables = []
    for index in np.ndindex(leading):
        part = np.asarray(labels[index])
        pixels = None if image is None else np.asarray(image[index])
        columns = _measure(part, pixels, names, sizes)
        where = {name: np.full(len(columns["label"]), place) for name, place in zip(index_names, index, strict=True)}
        tables.append(pd.DataFrame({"label": columns.pop("label"), **where, **columns}))
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def add_micrometres(columns: Columns, pixel_size: Sequence[float] | None) -> Columns:
    """Return columns of a features table with micrometres beside pixels, where the size of pixels is known.

    Parameters
    ----------
    columns
        As `measure_records` names them: `area`, `centroid-0`, `perimeter` and so on.
    pixel_size
        (row, col) micrometres, or None.
    """
    if pixel_size is None:
        return dict(columns)
    rows, cols = pixel_size
    square = abs(rows - cols) <= ALIKE * max(rows, cols)
    factors = {
        "area": ("area_um2", rows * cols),
        "centroid-0": ("centroid-0_um", rows),
        "centroid-1": ("centroid-1_um", cols),
    }
    side = (rows * cols) ** 0.5
    factors |= {name: (f"{name}_um", side) for name in LENGTHS if square or name.startswith("equivalent")}
    found: Columns = {}
    for name, values in columns.items():
        found[name] = values
        if name in factors and factors[name][0] not in columns:
            unit, factor = factors[name]
            found[unit] = np.asarray(values, float) * factor
    return found


def _channel_names(shape: tuple[int, ...], image: Any, channels: Sequence[str] | None) -> list[str] | None:
    """Return the names of an image's channels, [] without an image, None for a single one without a name."""
    if image is None:
        return []
    found = tuple(int(side) for side in image.shape)
    if found == shape:
        count = 1
    elif found[:-1] == shape:
        count = found[-1]
    else:
        raise InputError(
            f"The image has the shape {found}, the labels {shape}: give labels of the image, channels as its last axis."
        )
    if channels is not None and len(channels) != count:
        raise InputError(f"{len(channels)} names for {count} channels: give one for each.")
    if channels is None:
        return None if count == 1 else [str(number) for number in range(count)]
    return [str(name) for name in channels] if len(set(channels)) == count else [str(k) for k in range(count)]


def _sizes(pixel_size: float | Sequence[float] | None, ndim: int) -> tuple[float, ...] | None:
    if pixel_size is None:
        return None
    sizes = (float(pixel_size),) * ndim if np.ndim(pixel_size) == 0 else tuple(float(x) for x in pixel_size)  # type: ignore[arg-type, union-attr]
    if len(sizes) != ndim or not all(np.isfinite(sizes)) or min(sizes) <= 0:
        raise InputError(f"The pixel size is {pixel_size}: give {ndim} numbers of micrometres above 0, or one.")
    return sizes


def _measure(labels: Array, image: Array | None, names: list[str] | None, sizes: tuple[float, ...] | None) -> Columns:
    ndim = labels.ndim
    ids, dense = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    ids, dense = ids[ids != 0], dense[:-1].reshape(labels.shape).astype(np.int32)  # from 1, whatever the numbers
    columns: Columns = {"label": ids}
    columns |= _shapes(dense, SHAPES[ndim], None)
    if sizes is not None:
        scaled = _shapes(dense, SCALED[ndim], sizes)
        columns |= {f"{name}_um{ndim if name == 'area' else ''}": values for name, values in scaled.items()}
        if ndim == 2 and abs(sizes[0] - sizes[1]) <= ALIKE * max(sizes):
            columns["perimeter_um"] = columns["perimeter"] * sizes[0]
    if ndim == 3:
        columns = {re.sub(r"^area\b|^area(?=_um)", "volume", name): values for name, values in columns.items()}
    columns["touches_border"] = _at_border(columns, labels.shape)
    columns |= _neighbours(dense, columns, sizes, len(ids))
    if image is not None:
        several = image if image.ndim > ndim else image[..., None]
        for number in range(several.shape[-1]):
            ending = "" if names is None else f"_{names[number]}"
            for name, values in _brightness(dense, several[..., number], len(ids)):
                columns[f"{name}{ending}"] = values
    return columns


def _shapes(dense: Array, properties: Sequence[str], spacing: tuple[float, ...] | None) -> Columns:
    from skimage.measure import regionprops_table

    with warnings.catch_warnings():  # of objects too flat for a hull: their solidity is no number
        warnings.simplefilter("ignore")
        found = dict(regionprops_table(dense, properties=properties, spacing=spacing))
    if "solidity" in found:
        found["solidity"] = np.where(np.isfinite(found["solidity"]), found["solidity"], np.nan)
    return found


def _at_border(columns: Columns, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    ndim = len(shape)
    touching = np.zeros(len(columns["label"]), bool)
    for axis, side in enumerate(shape):
        if side > 1:
            touching |= (columns[f"bbox-{axis}"] == 0) | (columns[f"bbox-{axis + ndim}"] == side)
    return touching


def _neighbours(dense: Array, columns: Columns, sizes: tuple[float, ...] | None, count: int) -> Columns:
    """Return how many objects touch each, and how far away the middle of the nearest other one is."""
    from scipy.spatial import cKDTree

    pairs = [pair for pair in _touching(dense) if len(pair)]
    touching = np.zeros(count, np.int64)
    if pairs:
        both = np.unique(np.concatenate(pairs), axis=0)
        touching = np.bincount(both.ravel(), minlength=count + 1)[1:]
    found: Columns = {"neighbours": touching}
    middles = np.stack([columns[f"centroid-{axis}"] for axis in range(dense.ndim)], axis=1)
    for name, scale in (("nearest_distance", 1.0), ("nearest_distance_um", sizes)):
        if scale is not None:
            distances = cKDTree(middles * scale).query(middles * scale, k=2)[0][:, 1] if count > 1 else [np.nan] * count
            found[name] = np.array(distances, float)
    return found


def _touching(dense: Array) -> Iterator[Array]:
    """Yield (n, 2) pairs of different objects, the smaller number first, whose pixels touch, for each direction."""
    steps = [step for step in itertools.product((-1, 0, 1), repeat=dense.ndim) if step > (0,) * dense.ndim]
    for step in steps:
        here = tuple(slice(max(0, -s), side - max(0, s)) for s, side in zip(step, dense.shape, strict=True))
        there = tuple(slice(max(0, s), side - max(0, -s)) for s, side in zip(step, dense.shape, strict=True))
        one, other = dense[here], dense[there]
        at = (one != other) & (one > 0) & (other > 0)
        yield np.unique(np.sort(np.stack([one[at], other[at]], axis=1), axis=1), axis=0)


def _brightness(dense: Array, pixels: Array, count: int) -> Iterator[tuple[str, Array]]:
    from scipy import ndimage

    values = pixels.astype(np.float64)
    finite = np.isfinite(values)
    where = np.where(finite, dense, 0)
    numbers = np.arange(1, count + 1)
    some = np.bincount(where.ravel(), minlength=count + 1)[1:] > 0
    values = np.where(finite, values, 0)
    for name, function in (
        ("mean", ndimage.mean),
        ("min", ndimage.minimum),
        ("max", ndimage.maximum),
        ("std", ndimage.standard_deviation),
        ("sum", ndimage.sum_labels),
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            measured = np.asarray(function(values, where, numbers), float) if count else np.zeros(0)
        yield f"intensity_{name}", np.where(some, measured, np.nan)

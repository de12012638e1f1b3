"""Measuring the labels of an image that lies in files, plane by plane or in 3D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.image_level import MICROMETRES
from napari_sam.io.images import read_image
from napari_sam.io.label_numbers import label_numbers, read_labels
from napari_sam.io.label_store import labels_exist
from napari_sam.io.large_image import LargeImage, open_large_image
from napari_sam.ops.measurements import measure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["measure_files", "pixel_micrometres"]

Index = dict[str, int]


@dataclass(frozen=True)
class _Source:
    """Hold what is measured: planes by stacked axis, names of channels, the size of a pixel by axis."""

    name: str
    sizes: dict[str, int]
    read: Callable[[Index], npt.NDArray[Any]]
    channels: tuple[str, ...] = ()
    micrometres: dict[str, float] | None = None

    @property
    def stacked(self) -> list[str]:
        return [axis for axis in self.sizes if axis not in "yx"]


def measure_files(
    image: str | Path,
    labels: str | Path,
    *,
    level: int = 0,
    channels: Sequence[str] | None = None,
    pixel_size: float | Sequence[float] | None = None,
    volume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure labels on their image: see `ops.measurements.measure` for the columns.

    Parameters
    ----------
    image
        Of any kind that is read.
    labels
        A label image of the same size, or the name of labels inside an OME-Zarr image.
    level
        Of the image's pyramid, 0 the finest, at which the labels were made.
    channels
        Names or numbers of the channels to measure; all by default.
    pixel_size
        Micrometres, instead of what the image says: one number, or one for each of (z,) y, x.
    volume
        Measure objects over all z at once.
    progress
        Called with planes (or volumes) done and in all.

    Raises
    ------
    InputError
        If a file cannot be read, or the labels do not belong to the image.
    """
    import pandas as pd

    picture = _open(image, level, channels)
    marked = _open_labels(str(labels), str(image), picture)
    if volume and "z" not in marked.sizes:
        raise InputError(f"{labels} has the axes {', '.join(marked.sizes)} and no z: leave out volume.")
    axes = ("z", "y", "x") if volume else ("y", "x")
    outer = [axis for axis in marked.stacked if axis not in axes]
    known = picture.micrometres or marked.micrometres
    sizes = pixel_size if pixel_size is not None or known is None else [known.get(axis, 0.0) for axis in axes]
    if isinstance(sizes, list) and min(sizes) <= 0:
        sizes = None
    indices = [dict(zip(outer, index, strict=True)) for index in np.ndindex(*(marked.sizes[axis] for axis in outer))]
    tables = []
    for number, index in enumerate(indices):
        numbers = label_numbers(np.squeeze(_read(marked, index, volume=volume)), marked.name)
        values = _read(picture, index, volume=volume)
        table = measure(
            numbers.reshape(values.shape[: len(axes)]),
            values,
            pixel_size=sizes,
            channels=picture.channels or None,
            volume=volume,
        )
        for place, (axis, position) in enumerate(index.items()):
            table.insert(1 + place, axis, position)
        tables.append(table)
        if progress is not None:
            progress(number + 1, len(indices))
    return pd.concat(tables, ignore_index=True)


def pixel_micrometres(image: str | Path) -> tuple[float, float] | None:
    """Return how far rows and columns of an image are apart in micrometres; None where it does not say."""
    try:
        known = _open(image, 0, None).micrometres
    except InputError:  # reading it says what is wrong
        return None
    return (known["y"], known["x"]) if known is not None else None


def _read(source: _Source, index: Index, *, volume: bool) -> npt.NDArray[Any]:
    if not volume:
        return source.read(index)
    depth = source.sizes.get("z", 1)
    return np.stack([source.read({**index, "z": z}) for z in range(depth)])


def _open(image: str | Path, level: int, channels: Sequence[str] | None) -> _Source:
    try:
        large = open_large_image(str(image), level=level)
    except InputError:
        if not Path(image).is_file():
            raise
        return _picture(image, read_image(image))  # a kind that is not read in pieces
    chosen = large.channels(channels) if channels else None
    names = tuple(large.channel_names[k] for k in chosen) if chosen else large.channel_names
    return _from_large(large, chosen, names, str(image))


def _picture(name: str | Path, pixels: npt.NDArray[Any]) -> _Source:
    colours = ("red", "green", "blue", "alpha")[: pixels.shape[2]] if pixels.ndim == 3 else ()
    return _Source(str(name), {"y": pixels.shape[0], "x": pixels.shape[1]}, lambda _: pixels, colours)


def _from_large(large: LargeImage, chosen: tuple[int, ...] | None, names: tuple[str, ...], name: str) -> _Source:
    stored = large.levels[large.level]
    units = dict(zip(large.axes, stored.units, strict=True))
    lengths = {
        axis: stored.pixel_size(place)
        for place, axis in enumerate(large.axes)
        if axis in "zyx" and units[axis] in MICROMETRES
    }

    def read(index: Index) -> npt.NDArray[Any]:
        return large.plane({axis: index.get(axis, 0) for axis in large.stacked}, chosen)[...]

    sizes = {axis: large.sizes[axis] for axis in (*large.stacked, "y", "x")}
    return _Source(name, sizes, read, names, lengths if {"y", "x"} <= set(lengths) else None)


def _open_labels(labels: str, image: str, picture: _Source) -> _Source:
    """Open labels and give their axes the names of the image's."""
    inside = "/" not in labels and not Path(labels).exists() and labels_exist(image, labels)
    location = f"{image.rstrip('/')}/labels/{labels}" if inside else labels
    if not inside and Path(location).is_file() and not location.lower().endswith((".tif", ".tiff", ".zip", ".ozx")):
        values = read_labels(location) if Path(location).suffix.lower() != ".npy" else np.load(location, mmap_mode="r")
        found = _of_array(location, values, picture)
    else:
        large = open_large_image(location)
        found = _from_large(large, (0,) if "c" in large.axes else None, (), location)
        found = _with_axes(found, picture)
    for axis in dict.fromkeys((*picture.sizes, *found.sizes)):
        if picture.sizes.get(axis, 1) != found.sizes.get(axis, 1):
            raise InputError(
                f"{labels} has the sides {_text(found.sizes)}, the image {picture.name} {_text(picture.sizes)}: give "
                "labels of this image, or the level of its pyramid that they belong to."
            )
    return found


def _of_array(name: str, values: Any, picture: _Source) -> _Source:
    wanted = [axis for axis in picture.stacked if picture.sizes[axis] > 1]
    names = (*wanted, "y", "x") if len(values.shape) == len(wanted) + 2 else (*picture.stacked, "y", "x")
    if len(values.shape) != len(names):
        raise InputError(f"{name} has the shape {tuple(values.shape)}, the image the sides {_text(picture.sizes)}.")
    sizes = dict(zip(names, map(int, values.shape), strict=True))
    stacked = [axis for axis in names if axis not in "yx"]
    return _Source(name, sizes, lambda index: values[tuple(index.get(axis, 0) for axis in stacked)])


def _with_axes(found: _Source, picture: _Source) -> _Source:
    """Name axes of labels, which files of arrays do not name, as the image's that have the same sides."""
    theirs = [axis for axis in picture.stacked if picture.sizes[axis] > 1]
    ours = [axis for axis in found.stacked if found.sizes[axis] > 1]
    if set(ours) <= set(picture.sizes) or [found.sizes[a] for a in ours] != [picture.sizes[a] for a in theirs]:
        return found
    names = dict(zip(theirs, ours, strict=True))
    sizes = {axis: picture.sizes[axis] for axis in (*theirs, "y", "x")}

    def read(index: Index) -> npt.NDArray[Any]:
        return found.read({names[axis]: number for axis, number in index.items() if axis in names})

    return _Source(found.name, sizes, read, micrometres=found.micrometres)


def _text(sizes: dict[str, int]) -> str:
    return ", ".join(f"{axis} {side}" for axis, side in sizes.items())

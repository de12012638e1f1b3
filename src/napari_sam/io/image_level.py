"""One level of an image's pyramid, where its pixels lie, and the names of axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_sam.errors import InputError

__all__ = [
    "AXES",
    "ImageLevel",
    "ImageRecord",
    "Sizes",
    "axis_name",
    "check_axes",
    "guess_axes",
    "nearest_level",
    "specimen_sizes",
]

AXES = ("t", "c", "z", "y", "x")
MICROMETRES = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
NAMES = {
    **{axis: axis for axis in AXES},
    **dict.fromkeys(("time", "frame", "frames"), "t"),
    **dict.fromkeys(("channel", "channels", "ch"), "c"),
    **dict.fromkeys(("depth", "plane", "slice"), "z"),
    **dict.fromkeys(("row", "rows", "height"), "y"),
    **dict.fromkeys(("col", "column", "columns", "width"), "x"),
}
CHANNELS = (4, 8)  # that a last axis without a name may have where the others are longer; no image is so narrow
PRINTED = 0.02  # pixels per micrometre that printers' 72 to 300 dots per inch do not reach: they say nothing of cells
Sizes = Mapping[str, tuple[float, str]]  # by axis: distance of pixels and its unit


@dataclass(frozen=True)
class ImageLevel:
    """Hold one level; scale, translation and units go by the image's axes.

    Parameters
    ----------
    array
        A `zarr.Array` or `HeldArray`, read piece by piece.
    scale
        Distance of neighbouring pixels, in `units`.
    translation
        Place of the first pixel's centre, in `units`.
    units
        As OME-Zarr names them ("micrometer", "second"), "" where unknown.
    """

    array: Any
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    units: tuple[str, ...]

    @classmethod
    def sized(cls, array: Any, axes: Sequence[str], sizes: Sizes, translation: Sequence[float] = ()) -> ImageLevel:
        """Return a level with the sizes of the axes that are known, 1 of the others."""
        known = [sizes.get(axis, (1.0, "")) for axis in axes]
        place = tuple(translation) or (0.0,) * len(known)
        return cls(array, tuple(size for size, _ in known), place, tuple(unit for _, unit in known))

    def pixel_size(self, axis: int) -> float:
        """Return the scale of an axis in micrometres, or as it is where its unit is no length."""
        return self.scale[axis] * MICROMETRES.get(self.units[axis], 1.0)


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """Hold what a file says of its image.

    Parameters
    ----------
    axes
        Names as stored, among t, c, z, y, x.
    levels
        Of the pyramid, the finest first.
    channel_names
        As far as the file has them.
    alpha
        Number of the channel that the file says is alpha: how opaque a pixel is, not how bright.
    version
        Of OME-Zarr, "" for all else.
    affine
        (4, 4) rows of numbers that lead from (x, y, z) pixels to millimetres, of NIfTI.
    """

    axes: tuple[str, ...]
    levels: tuple[ImageLevel, ...]
    channel_names: tuple[str, ...] = ()
    alpha: int | None = None
    version: str = ""
    affine: tuple[tuple[float, ...], ...] = ()


def nearest_level(levels: Sequence[ImageLevel], axis: int, wanted: float) -> int:
    """Return the number of the level whose pixels along an axis are nearest in ratio to `wanted` micrometres."""
    return min(range(len(levels)), key=lambda number: abs(math.log(levels[number].pixel_size(axis) / wanted)))


def check_axes(axes: Sequence[str], shapes: Sequence[tuple[int, ...]], location: str) -> tuple[str, ...]:
    """Return the axes if they can be those of an image and fit the shapes of its levels.

    Raises
    ------
    InputError
        If they are not y, x and perhaps t, c, z, each once, as many as the arrays have.
    """
    if len(shapes[0]) < 2:
        raise InputError(f"{location} has shape {shapes[0]}: an image has at least two axes.")
    known = len(set(axes)) == len(axes) and {"y", "x"} <= set(axes) <= set(AXES)
    if not known or any(len(shape) != len(axes) for shape in shapes):
        raise InputError(
            f"{location} has shape {shapes[0]} and the axes {', '.join(axes) or 'unknown'}: an image has y and x and "
            "may have t, c and z, each once; name those of a plain array or TIFF yourself."
        )
    return tuple(axes)


def guess_axes(shape: tuple[int, ...], names: Sequence[str | None] | None = None) -> tuple[str, ...]:
    """Return the axes of an array that nothing but its shape, and perhaps names of its dimensions, tells about.

    Three axes are (y, x, c) where the last is at most 4, or 8, and the others are longer, else (z, y, x); four are
    (z, y, x, c) by the same rule, else (t, z, y, x); five are (t, c, z, y, x). Empty where there is no such reading.
    """
    found = tuple(axis_name(name or "") for name in names or ())
    if len(found) == len(shape) and len(set(found)) == len(found) and {"y", "x"} <= set(found) <= set(AXES):
        return found
    colour = len(shape) in (3, 4) and any(shape[-1] <= most < min(shape[-3:-1]) for most in CHANNELS)
    guesses = {2: "yx", 3: "yxc" if colour else "zyx", 4: "zyxc" if colour else "tzyx", 5: "tczyx"}
    return tuple(guesses.get(len(shape), ""))


def axis_name(name: object) -> str:
    """Return t, c, z, y or x for an axis as files name it ("Y", "channel", "Time"); others in small letters."""
    text = str(name).strip().lower()
    return NAMES.get(text, text)


def specimen_sizes(rows: float, cols: float) -> Sizes:
    """Return the sizes of pixels from how many go to a micrometre; none where only a printer would mean it."""
    if not min(rows, cols) > PRINTED:
        return {}
    return {"y": (1 / rows, "micrometer"), "x": (1 / cols, "micrometer")}

"""One level of an image's pyramid, and the choice of a level by the size of its pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_sam.errors import InputError

__all__ = ["AXES", "ImageLevel", "check_axes", "guess_axes", "nearest_level"]

AXES = ("t", "c", "z", "y", "x")
MICROMETRES = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
NAMES = {"time": "t", "channel": "c", "channels": "c", **{axis: axis for axis in AXES}}


@dataclass(frozen=True)
class ImageLevel:
    """Hold one level; scale, translation and units go by the image's axes.

    Parameters
    ----------
    array
        A `zarr.Array`, read piece by piece.
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

    def pixel_size(self, axis: int) -> float:
        """Return the scale of an axis in micrometres, or as it is where its unit is no length."""
        return self.scale[axis] * MICROMETRES.get(self.units[axis], 1.0)


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
    known = len(set(axes)) == len(axes) and {"y", "x"} <= set(axes) <= set(AXES)
    if not known or any(len(shape) != len(axes) for shape in shapes):
        raise InputError(
            f"{location} has shape {shapes[0]} and the axes {', '.join(axes) or 'unknown'}: an image has y and x and "
            "may have t, c and z, each once; name those of a plain array or TIFF yourself."
        )
    return tuple(axes)


def guess_axes(shape: tuple[int, ...], names: Sequence[str | None] | None = None) -> tuple[str, ...]:
    """Return the axes of an array that nothing but its shape, and perhaps names of its dimensions, tells about.

    Three axes are (y, x, c) where the last is at most 4 and the others are longer, else (z, y, x); four are
    (z, y, x, c) by the same rule, else (t, z, y, x); five are (t, c, z, y, x). Empty where there is no such reading.
    """
    found = tuple(NAMES.get((name or "").lower(), "") for name in names or ())
    if len(found) == len(shape) and all(found) and len(set(found)) == len(found) and {"y", "x"} <= set(found):
        return found
    colour = len(shape) in (3, 4) and shape[-1] <= 4 < min(shape[-3:-1])
    guesses = {2: "yx", 3: "yxc" if colour else "zyx", 4: "zyxc" if colour else "tzyx", 5: "tczyx"}
    return tuple(guesses.get(len(shape), ""))

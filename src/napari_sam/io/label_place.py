"""Where the pixels of labels lie, and how each kind of file says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.io.image_level import MICROMETRES

__all__ = ["Place", "nifti_affine", "png_options", "tiff_options"]

MOST_DOTS = 2**31 - 1  # to a metre, in PNG
INCH = 0.0254  # metres, as Pillow counts


@dataclass(frozen=True)
class Place:
    """Hold where pixels lie.

    Parameters
    ----------
    axes
        The last two are y and x.
    scale, translation, units
        Of each axis as in `ImageLevel`.
    affine
        (4, 4) from (x, y, z) pixels to millimetres, of NIfTI; else ().
    """

    axes: tuple[str, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    units: tuple[str, ...]
    affine: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def unknown(cls, ndim: int) -> Place:
        """Return what stands for no knowledge: steps of 1 from 0."""
        axes = ("t", "z", "y", "x")[-ndim:]
        return cls(axes, (1.0,) * ndim, (0.0,) * ndim, ("",) * ndim)

    def last(self, count: int) -> Place:
        """Return the place of the last axes, that of one plane say."""
        if count > len(self.axes):
            return Place.unknown(count)
        return Place(
            self.axes[-count:], self.scale[-count:], self.translation[-count:], self.units[-count:], self.affine
        )

    def ordered(self, order: Sequence[int]) -> Place:
        """Return the place with its axes in another order."""
        return Place(
            tuple(self.axes[axis] for axis in order),
            tuple(self.scale[axis] for axis in order),
            tuple(self.translation[axis] for axis in order),
            tuple(self.units[axis] for axis in order),
            self.affine,
        )

    def micrometres(self, axis: str) -> float | None:
        """Return the size of pixels along an axis, None where its unit is no length."""
        if axis not in self.axes:
            return None
        number = self.axes.index(axis)
        unit = MICROMETRES.get(self.units[number])
        return None if unit is None else self.scale[number] * unit


def tiff_options(labels: npt.NDArray[Any], place: Place | None) -> dict[str, Any]:
    """Return what `tifffile.imwrite` is told of labels: OME-XML and the resolution where pixels have a known size."""
    plain = {"photometric": "minisblack", "metadata": {"axes": "Q" * (labels.ndim - 2) + "YX"}}  # Q: some axis
    if place is None:
        return plain
    y, x = place.micrometres("y"), place.micrometres("x")
    if y is None or x is None:
        return plain
    about: dict[str, Any] = {"axes": "".join(place.axes).upper()}
    for axis in ("z", "y", "x"):
        size = place.micrometres(axis)
        if size is not None:
            about |= {f"PhysicalSize{axis.upper()}": size, f"PhysicalSize{axis.upper()}Unit": "µm"}
    if any(place.translation):
        count = int(np.prod(labels.shape[:-2], dtype=int))
        about["Plane"] = {}
        for axis, size in (("y", y), ("x", x)):
            at = place.axes.index(axis)
            corner = place.translation[at] * size / place.scale[at]
            about["Plane"] |= {f"Position{axis.upper()}": [corner] * count}
            about["Plane"] |= {f"Position{axis.upper()}Unit": ["µm"] * count}
    return {
        "photometric": "minisblack",
        "ome": True,
        "metadata": about,
        "resolution": (1e4 / x, 1e4 / y),
        "resolutionunit": "CENTIMETER",
    }


def png_options(place: Place | None) -> Mapping[str, Any]:
    """Return what Pillow is told of the size of a PNG's pixels."""
    sizes = [None if place is None else place.micrometres(axis) for axis in "xy"]
    if any(size is None or 1e6 / size > MOST_DOTS for size in sizes):
        return {}
    return {"dpi": tuple(1e6 / (size or 1) * INCH for size in sizes)}


def nifti_affine(place: Place | None) -> npt.NDArray[np.float64]:
    """Return the (4, 4) matrix from (x, y, z) pixels to millimetres: the image's own, or one of sizes and places."""
    if place is not None and place.affine:
        return np.array(place.affine)
    affine = np.eye(4)
    for number, axis in enumerate("xyz"):
        size = None if place is None else place.micrometres(axis)
        if place is not None and size:
            affine[number, number] = size / 1000
            at = place.axes.index(axis)
            affine[number, 3] = place.translation[at] * size / place.scale[at] / 1000
    return affine

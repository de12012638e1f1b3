"""Positions that a script gives, checked and completed to all axes of the image layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.widgets.image_view import ImageView

__all__ = ["box_corners", "complete_positions"]


def complete_positions(
    viewer: ViewerModel, view: ImageView, positions: Sequence[Sequence[float]]
) -> npt.NDArray[np.float64]:
    """Turn (n, 2) or (n, ndim) positions into (n, ndim) data coordinates of the image layer.

    Two axes mean (row, col) in the displayed plane; with all axes, the slider moves to the plane of the first position.

    Raises
    ------
    InputError
        If the shape is another or a position lies outside the image.
    """
    image, plane = view.place()
    places = np.asarray(positions, dtype=float)
    if places.ndim != 2 or places.shape[1] not in (2, image.ndim):
        raise InputError(
            f"Positions have the shape {places.shape}: give (row, col), or all {image.ndim} axes of the image layer."
        )
    if places.shape[1] == image.ndim > 2:
        world = image.data_to_world(places[0])
        for axis in set(range(viewer.dims.ndim)) - set(viewer.dims.displayed):
            if (of_layer := axis - viewer.dims.ndim) >= -image.ndim:
                viewer.dims.set_point(axis, world[of_layer])
        _, plane = view.place()
    else:
        places = plane.embed(places)
    inside = (places[:, plane.axes] >= -0.5) & (places[:, plane.axes] <= np.array(plane.shape) - 0.5)
    if not inside.all():
        row, col = places[~inside.all(axis=1)][0][list(plane.axes)]
        raise InputError(
            f"The position ({row:g}, {col:g}) lies outside the image of {plane.shape[0]} rows and "
            f"{plane.shape[1]} columns: give positions inside it."
        )
    return places


def box_corners(box: Sequence[float]) -> list[tuple[float, float]]:
    """Return the drawn corners of a box with exclusive ends: half a pixel before, as pixel centres are at integers."""
    if len(box) != 4:
        raise InputError(f"The box has {len(box)} numbers: give (row0, col0, row1, col1).")
    row0, col0, row1, col1 = (float(value) - 0.5 for value in box)
    if row1 <= row0 or col1 <= col0:
        raise InputError(
            f"The box {tuple(box)} has no area: give (row0, col0, row1, col1) with row0 < row1, col0 < col1."
        )
    return [(row0, col0), (row0, col1), (row1, col1), (row1, col0)]

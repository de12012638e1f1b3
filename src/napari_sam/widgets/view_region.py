"""Parts of a plane: what the canvas shows of it, and what a drawn shape encloses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from napari.layers import Shapes

from napari_sam.errors import InputError
from napari_sam.widgets.findings import Region
from napari_sam.widgets.plane import Plane
from napari_sam.widgets.screen_marks import keep_screen_size
from napari_sam.widgets.transforms import placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["draw_region", "drawn_region", "show_plane", "visible_region"]


def visible_region(image: Image, plane: Plane) -> Region:
    """Return the part of a plane of the image that the canvas shows; all of it if nothing was drawn yet."""
    corners = np.asarray(image.corner_pixels, dtype=float)
    if image.multiscale:
        corners = corners * np.asarray(image.downsample_factors)[image.data_level]
    (row0, col0), (row1, col1) = corners[:, plane.axes]
    height, width = plane.shape
    region = max(int(row0), 0), max(int(col0), 0), min(int(row1) + 1, height), min(int(col1) + 1, width)
    seen = row1 > row0 and col1 > col0 and region[0] < region[2] and region[1] < region[3]
    return region if seen else (0, 0, height, width)


def draw_region(viewer: ViewerModel, image: Image, shapes: Shapes | None, name: str) -> Shapes:
    """Get a shapes layer ready for a rectangle over the image, a new one of that name if there is none."""
    if shapes is None:
        look = {"face_color": "transparent", "edge_color": "#1fb4ff"}
        shapes = Shapes(ndim=image.ndim, name=name, **look, **placement(image))
        viewer.add_layer(shapes)
        keep_screen_size(shapes, viewer.camera.zoom)
    viewer.layers.selection.active = shapes
    shapes.mode = "add_rectangle"
    return shapes


def drawn_region(viewer: ViewerModel, shapes: Shapes | None, image: Image, plane: Plane) -> Region:
    """Return the box around the selected shape of a layer, of the last one if none is selected, cut to the image.

    Raises
    ------
    InputError
        If there is no shape, or it lies outside the image.
    """
    if shapes is None or shapes.nshapes == 0:
        raise InputError('There is no region: press "Draw" and drag a rectangle over the part of the image to search.')
    index = max(shapes.selected_data, default=shapes.nshapes - 1)
    corners = np.array([_to_image(viewer, shapes, image, vertex) for vertex in shapes.data[index]])[:, plane.axes]
    # the pixels whose middles are inside
    start = np.maximum(np.ceil(corners.min(axis=0)), 0).astype(int)
    stop = np.minimum(np.floor(corners.max(axis=0)) + 1, plane.shape).astype(int)
    if (stop <= start).any():
        raise InputError(
            f"The last shape of {shapes.name!r} encloses no pixel of {image.name!r}: draw a rectangle over the image."
        )
    return int(start[0]), int(start[1]), int(stop[0]), int(stop[1])


def show_plane(viewer: ViewerModel, image: Image, plane: Plane) -> None:
    """Move the sliders to a plane of the image."""
    world = image.data_to_world(plane.index)
    for axis in set(range(viewer.dims.ndim)) - set(viewer.dims.displayed):
        if (of_layer := axis - viewer.dims.ndim) >= -image.ndim:
            viewer.dims.set_point(axis, world[of_layer])


def _to_image(
    viewer: ViewerModel, shapes: Shapes, image: Image, vertex: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the position of a vertex in the image, on axes that the shapes lack that of the sliders."""
    world = np.array(viewer.dims.point, dtype=float)
    world[-shapes.ndim :] = shapes.data_to_world(vertex)
    return np.asarray(image.world_to_data(world[-image.ndim :]), dtype=float)

"""Points and edges that are as large on the screen at any zoom, pixel size and image size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points, Shapes

from napari_sam.widgets.transforms import data_to_world_matrix, split_matrix

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

__all__ = ["EDGE", "POINT", "data_pixels", "keep_screen_size", "set_screen_size"]

POINT, EDGE = 10.0, 2.0  # pixels of the screen
SAME = 0.02  # of its size a mark may be off before it is drawn anew


def data_pixels(layer: Layer, pixels: float, zoom: float | None = None) -> float:
    """Return how many of a layer's own pixels make up a length on the screen.

    Parameters
    ----------
    layer
        The layer.
    pixels
        Of the screen.
    zoom
        Of the camera, in pixels of the screen per unit of the world; None: as the layer was drawn last.
    """
    unit = float(layer.scale_factor) if zoom is None else 1 / zoom
    steps = split_matrix(data_to_world_matrix(layer))["scale"][-2:]
    # napari makes points round by the scale of the last axis; edges are as thick as the pixel is wide and high
    step = steps[-1] if isinstance(layer, Points) else np.sqrt(np.prod(np.abs(steps)))
    return float(pixels * unit / abs(step))


def set_screen_size(layer: Points | Shapes, zoom: float | None = None) -> None:
    """Give the marks of a layer, those there and those to come, their size on the screen."""
    size = data_pixels(layer, POINT if isinstance(layer, Points) else EDGE, zoom)
    if isinstance(layer, Points):
        with layer.block_update_properties():
            layer.current_size = size
        if len(layer.data) and not np.allclose(layer.size, size, rtol=SAME, atol=0):
            layer.size = size
        return
    with layer.block_update_properties():
        layer.current_edge_width = size
    if layer.nshapes and not np.allclose(layer.edge_width, size, rtol=SAME, atol=0):
        layer.edge_width = size


def keep_screen_size(layer: Points | Shapes, zoom: float) -> None:
    """Let the marks of a layer follow the zoom, which is `zoom` now, from now on."""
    set_screen_size(layer, zoom)
    layer.events.scale_factor.connect(_on_zoomed)


def _on_zoomed(event: Event) -> None:
    set_screen_size(event.source)

"""What the mouse is drawing or dragging in a layer: strokes, and an orderly end before anything else happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points, Shapes

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

__all__ = ["draw_strokes", "end_drag", "finish_drawing", "finish_in_mode", "is_drawing"]

STEP = 4  # pixels of the screen between the vertices of a stroke


def is_drawing(layer: Layer | None) -> bool:
    """Tell whether a shape of the layer is being drawn, whose last vertex still follows the mouse."""
    return bool(getattr(layer, "_is_creating", False))


def draw_strokes(layer: Shapes) -> None:
    """Let paths of the layer be one stroke each: press, drag, release.

    napari ends a path at the release only after a long drag, and else waits for another click.
    """
    path = layer._modeclass.ADD_PATH
    layer._drag_modes = {**layer._drag_modes, path: _stroke}


def _stroke(layer: Shapes, event: Event) -> Iterator[None]:
    start, row = np.asarray(layer.world_to_data(event.position), dtype=float), layer.nshapes
    vertices, last = [start, start], np.asarray(event.pos, dtype=float)
    layer._is_creating = True
    layer.add(np.array(vertices), shape_type="path", gui=True)
    layer._moving_value = layer._value = (row, 1)
    yield
    while event.type == "mouse_move":
        last = _reach(layer, event, vertices, last, row)
        yield
    _reach(layer, event, vertices, last, row)
    if len(vertices) > 2 and np.array_equal(vertices[-1], vertices[-2]):
        layer._data_view.edit(row, np.array(vertices[:-1]))
    layer._is_creating = False
    layer.selected_data = set()
    layer._finish_drawing()  # says that the shape is there


def _reach(layer: Shapes, event: Event, vertices: list[Any], last: Any, row: int) -> Any:
    """Let the end of a stroke follow the mouse, and return where the last vertex was put."""
    vertices[-1] = np.asarray(layer.world_to_data(event.position), dtype=float)
    pos = np.asarray(event.pos, dtype=float)
    layer._data_view.edit(row, np.array(vertices))
    layer.refresh(extent=False, thumbnail=False)
    if np.linalg.norm(pos - last) < STEP:
        return last
    vertices.append(vertices[-1])
    return pos


def finish_drawing(layer: Shapes, *, keep: bool = True) -> bool:
    """End what is being drawn, and tell whether there was anything.

    Parameters
    ----------
    layer
        The layer.
    keep
        Whether to keep the shape as far as it got, if that is enough for one; False: remove it.
    """
    drawing = is_drawing(layer)
    before = layer.nshapes
    end_drag(layer)
    if drawing and not keep and layer.nshapes == before:
        layer.selected_data = set()
        layer.remove([before - 1])
    return drawing


def end_drag(layer: Layer) -> None:
    """Let the mouse go of what it drags, so that rows of the layer can go."""
    layer._mouse_drag_gen.clear()
    layer._persisted_mouse_event.clear()
    if isinstance(layer, Shapes):
        layer._finish_drawing()
    elif isinstance(layer, Points):
        layer._drag_start = layer._drag_box = None
        layer._is_selecting = False


def finish_in_mode(layer: Shapes, mode: Any) -> None:
    """Finish a shape of a mode that was just left, which napari would finish as one of the new mode."""
    now, layer._mode = layer._mode, mode
    try:
        finish_drawing(layer)
    finally:
        layer._mode = now

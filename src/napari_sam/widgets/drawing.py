"""What the mouse is drawing or dragging in a layer: strokes, and an orderly end before anything else happens.

napari has no public way to end a drawing, so this is the one place that reaches into its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points, Shapes

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

__all__ = ["end_drag", "finish_drawing", "finish_in_mode", "is_drawing", "prepare_drawing"]

STEP = 4  # pixels of the screen between the vertices of a stroke
_BY_CORNERS = {"add_polygon": 3, "add_polygon_lasso": 3, "add_polyline": 2}  # fewer are no shape


def is_drawing(layer: Layer | None) -> bool:
    """Tell whether a shape of the layer is being drawn."""
    return bool(getattr(layer, "_is_creating", False))


def prepare_drawing(layer: Shapes) -> None:
    """Let a path of the layer be one stroke, and every shape end well, whatever ends it.

    napari ends a path at the release only after a long drag, and else waits for another click; what is ended while the
    button is down, it goes on dragging; of a shape with too few corners, it keeps features and colours.
    """
    modes = layer._modeclass
    dragged = (modes.ADD_RECTANGLE, modes.ADD_ELLIPSE, modes.ADD_LINE)
    ending_well = {mode: partial(_drag, layer._drag_modes[mode]) for mode in dragged}
    layer._drag_modes = {**layer._drag_modes, **ending_well, modes.ADD_PATH: _stroke}
    layer._finish_drawing = partial(_finish, layer)


def finish_drawing(layer: Shapes, *, keep: bool = True) -> bool:
    """End what is being drawn or dragged, and tell whether anything was drawn.

    Parameters
    ----------
    layer
        The layer.
    keep
        Whether to keep the shape as far as it got, if that is enough for one; False: remove it.
    """
    drawing = is_drawing(layer)
    if drawing and not keep:
        _take_away(layer)
    end_drag(layer)
    return drawing


def finish_in_mode(layer: Shapes, mode: Any) -> None:
    """Finish a shape of a mode that was just left, which napari would finish as one of the new mode."""
    now, layer._mode = layer._mode, mode
    try:
        finish_drawing(layer)
    finally:
        layer._mode = now


def end_drag(layer: Layer) -> None:
    """Let the mouse go of what it drags, so that rows of the layer can go."""
    layer._mouse_drag_gen.clear()
    layer._persisted_mouse_event.clear()
    if isinstance(layer, Shapes):
        layer._finish_drawing()
    elif isinstance(layer, Points):
        layer._drag_start = layer._drag_box = None
        layer._is_selecting = False


def _finish(layer: Shapes, _event: Event | None = None) -> None:
    """Do what napari does to finish a drawing, well."""
    if layer._is_creating:
        if layer.nshapes and len(layer.data[-1]) <= _BY_CORNERS.get(layer.mode, 0):  # the last one follows the mouse
            _take_away(layer)
            return
        if layer.mode == "add_path":  # a stroke is complete as it is
            layer._is_creating = False
    Shapes._finish_drawing(layer)


def _take_away(layer: Shapes) -> None:
    """Remove the shape that is being drawn, which is the last one."""
    layer._is_creating, layer._moving_value = False, (None, None)
    layer.selected_data = set()
    layer.remove([layer.nshapes - 1])


def _drag(draw: Callable[[Shapes, Event], Iterator[None]], layer: Shapes, event: Event) -> Iterator[None]:
    """Draw as napari does, until the drawing is ended by whatever."""
    for _ in draw(layer, event):
        yield
        if not layer._is_creating:
            return


def _stroke(layer: Shapes, event: Event) -> Iterator[None]:
    """Draw a path from press to release."""
    start, row = np.asarray(layer.world_to_data(event.position), dtype=float), layer.nshapes
    vertices, last = [start, start], np.asarray(event.pos, dtype=float)
    layer._is_creating = True
    layer.add(np.array(vertices), shape_type="path", gui=True)
    layer._moving_value = layer._value = (row, 1)
    yield
    while event.type == "mouse_move" and layer._is_creating:
        last = _reach(layer, event, vertices, last, row)
        yield
    if not layer._is_creating:
        return
    _reach(layer, event, vertices, last, row)
    if len(vertices) > 2 and np.array_equal(vertices[-1], vertices[-2]):
        layer._data_view.edit(row, np.array(vertices[:-1]))
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

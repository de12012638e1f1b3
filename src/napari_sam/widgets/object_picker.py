"""Clicks on objects of a labels layer, while a tool of the dock is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

__all__ = ["ObjectPicker", "label_at"]

STILL = 3  # canvas pixels that the mouse may move during a click


class ObjectPicker:
    """Call back with the label that was clicked on.

    Parameters
    ----------
    viewer
        Whose clicks.
    layer
        Returns the labels layer, None while there is none.
    on_click
        Called with the label.
    """

    def __init__(
        self, viewer: ViewerModel, layer: Callable[[], Labels | None], on_click: Callable[[int], None]
    ) -> None:
        self._viewer = viewer
        self._layer = layer
        self._on_click = on_click
        self._on = False

    def set_on(self, on: bool) -> None:
        """Listen to clicks or not; while listening, a click paints and adds nothing in other layers."""
        if on == self._on:
            return
        self._on = on
        if on:
            self._viewer.mouse_drag_callbacks.append(self._on_press)
            active = self._viewer.layers.selection.active
            if active is not None and hasattr(active, "mode"):
                active.mode = "pan_zoom"
        else:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def close(self) -> None:
        """Let go of the viewer."""
        self.set_on(False)

    def _on_press(self, _viewer: ViewerModel, event: Any) -> Iterator[None]:
        start, moved = np.asarray(event.pos, dtype=float), False
        if event.button != 1:
            return
        yield
        while event.type == "mouse_move":
            moved = moved or float(np.abs(np.asarray(event.pos) - start).max()) > STILL
            yield
        layer = self._layer()
        if moved or layer is None or self._viewer.dims.ndisplay != 2:
            return
        if label := label_at(layer, event.position):
            self._on_click(label)


def label_at(layer: Labels, position: Sequence[float]) -> int:
    """Return the label that a layer shows at a world position, 0 where there is none."""
    found = layer.get_value(position, world=True)
    if isinstance(found, tuple):  # of a multiscale layer: the level, too
        found = found[1]
    return 0 if found is None else int(found)

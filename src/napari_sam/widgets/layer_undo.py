"""Ctrl+Z while the labels layer of a dock is selected: strokes of the brush by napari, everything else by the dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["LayerUndo"]

UNDO, REDO = "Ctrl+Z", "Ctrl+Shift+Z"


class LayerUndo:
    """Share the two keys of one labels layer between napari's undo of strokes and a dock's.

    What happened last is taken back first. napari binds its own undo to every labels layer, which would otherwise get
    the key even where there is no stroke to take back.

    Parameters
    ----------
    last_step
        Returns the dock's last step, which it would take back next; None if there is none.
    undo, redo
        The dock's.
    """

    def __init__(self, last_step: Callable[[], object], undo: Callable[[], object], redo: Callable[[], object]) -> None:
        self._last_step, self._undo, self._redo = last_step, undo, redo
        self._layer: Labels | None = None
        self._done: list[object] = []  # the dock's last step at the time of each stroke
        self._undone: list[object] = []  # likewise of the strokes that were taken back

    def follow(self, layer: Labels | None) -> None:
        """Take the keys of a layer, and give back those of the one before."""
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._on_paint)
            for key in (UNDO, REDO):
                self._layer.bind_key(key, None)
        self._layer, self._done, self._undone = layer, [], []
        if layer is not None:
            self._done = [self._last_step()] * len(layer._undo_history)
            layer.events.paint.connect(self._on_paint)
            layer.bind_key(UNDO, self._on_undo, overwrite=True)
            layer.bind_key(REDO, self._on_redo, overwrite=True)

    def _on_paint(self, _event: Any) -> None:
        self._done.append(self._last_step())
        self._undone.clear()

    def _on_undo(self, layer: Labels) -> None:
        if self._is_stroke_next(self._done, len(layer._undo_history)):
            self._undone.append(self._done.pop())
            self._move(layer, layer.undo, layer._undo_history[-1])
        else:
            self._undo()

    def _on_redo(self, layer: Labels) -> None:
        if self._is_stroke_next(self._undone, len(layer._redo_history)):
            self._done.append(self._undone.pop())
            self._move(layer, layer.redo, layer._redo_history[-1])
        else:
            self._redo()

    def _move(self, layer: Labels, move: Callable[[], object], stroke: Any) -> None:
        """Let napari take back a stroke or do it again, and tell whoever looks for strokes, which napari does not."""
        move()
        with layer.events.paint.blocker(self._on_paint):
            layer.events.paint(value=stroke)

    def _is_stroke_next(self, steps: list[object], known: int) -> bool:
        """Tell whether the last stroke was painted where the dock is now; napari knows only the last strokes."""
        del steps[: max(0, len(steps) - known)]
        return bool(steps) and steps[-1] is self._last_step()

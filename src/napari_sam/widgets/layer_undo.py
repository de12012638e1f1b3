"""Ctrl+Z while a labels layer of a dock is selected: strokes of the brush by napari, everything else by the docks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from napari_sam.widgets.history import now

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["LayerUndo"]

UNDO, REDO = "Ctrl+Z", "Ctrl+Shift+Z"


class _Times(Protocol):
    """A history, as far as it says when."""

    @property
    def done_at(self) -> int: ...

    @property
    def undone_at(self) -> int: ...


class LayerUndo:
    """Share the two keys of labels layers between napari's undo of strokes and the undo of all docks that write there.

    What happened last is taken back first, and what was taken back last is done again first, whoever did it. napari
    binds its own undo to every labels layer, which would otherwise get the key: it takes back the last stroke as if
    nothing had been written since, and with it pixels of objects.

    Parameters
    ----------
    history
        Returns the dock's history of a layer, None if there is none.
    undo, redo
        The dock's.
    """

    def __init__(
        self, history: Callable[[Labels], _Times | None], undo: Callable[[], object], redo: Callable[[], object]
    ) -> None:
        self._history, self.undo, self.redo = history, undo, redo
        self._layers: tuple[Labels, ...] = ()

    def done_at(self, layer: Labels) -> int:
        """When the step was done that `undo` would take back; 0 if there is none."""
        return history.done_at if (history := self._history(layer)) is not None else 0

    def undone_at(self, layer: Labels) -> int:
        """When the step was undone that `redo` would do again; 0 if there is none."""
        return history.undone_at if (history := self._history(layer)) is not None else 0

    def follow(self, *layers: Labels | None) -> None:
        """Take the keys of layers, None is none, and give back those of the ones before."""
        wanted = tuple(layer for layer in layers if layer is not None)
        before, self._layers = self._layers, wanted
        for layer in before:
            if layer not in wanted:
                _keys[layer].leave(self, layer)
        for layer in wanted:
            if layer not in before:
                _keys.setdefault(layer, _LayerKeys()).join(self, layer)


class _LayerKeys:
    """What the two keys do in one layer, and when each of its strokes was made or taken back."""

    def __init__(self) -> None:
        self._docks: list[LayerUndo] = []
        self._done: list[int] = []
        self._undone: list[int] = []

    def join(self, dock: LayerUndo, layer: Labels) -> None:
        """Let a dock take part."""
        self._docks.append(dock)
        if len(self._docks) == 1:
            self._done, self._undone = [now() for _ in layer._undo_history], [now() for _ in layer._redo_history]
            layer.events.paint.connect(self._on_paint)
            layer.bind_key(UNDO, self._on_undo, overwrite=True)
            layer.bind_key(REDO, self._on_redo, overwrite=True)

    def leave(self, dock: LayerUndo, layer: Labels) -> None:
        """Let a dock go, and with it the strokes below what it did: nobody could take that back before them."""
        self._forget(layer)
        below = sum(at < dock.done_at(layer) for at in self._done)
        for _ in range(below):
            del layer._undo_history[0], self._done[0]
        self._docks.remove(dock)
        if not self._docks:
            layer.events.paint.disconnect(self._on_paint)
            for key in (UNDO, REDO):
                layer.bind_key(key, None)
            del _keys[layer]

    def _on_paint(self, _event: Any) -> None:
        self._done.append(now())
        self._undone.clear()

    def _on_undo(self, layer: Labels) -> None:
        self._forget(layer)
        dock = max(self._docks, key=lambda each: each.done_at(layer))
        if self._done and self._done[-1] > dock.done_at(layer):
            self._done.pop()
            self._undone.append(now())
            self._move(layer, layer.undo, layer._undo_history[-1])
        else:
            dock.undo()

    def _on_redo(self, layer: Labels) -> None:
        self._forget(layer)
        dock = max(self._docks, key=lambda each: each.undone_at(layer))
        if self._undone and self._undone[-1] > dock.undone_at(layer):
            self._undone.pop()
            self._done.append(now())
            self._move(layer, layer.redo, layer._redo_history[-1])
        else:
            dock.redo()

    def _move(self, layer: Labels, move: Callable[[], object], stroke: Any) -> None:
        """Let napari take back a stroke or do it again, and tell whoever looks for strokes, which napari does not."""
        move()
        with layer.events.paint.blocker(self._on_paint):
            layer.events.paint(value=stroke)

    def _forget(self, layer: Labels) -> None:
        """Forget when those strokes were that napari forgot: it knows only the last ones."""
        for times, known in ((self._done, layer._undo_history), (self._undone, layer._redo_history)):
            del times[: max(0, len(times) - len(known))]


_keys: WeakKeyDictionary[Labels, _LayerKeys] = WeakKeyDictionary()  # of the layers that any dock follows

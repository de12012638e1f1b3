"""A mouse over napari's canvas: Qt's own events, at places of the world or of a layer's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

Position = Sequence[float]


class Mouse:
    """Press, drag and release the left button; places are data coordinates of a layer, as napari draws it."""

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer = viewer
        self._layer = layer
        self._canvas = viewer.window._qt_viewer.canvas.native
        self._down = False
        self._last = QPointF(0, 0)
        viewer.reset_view()
        settle()
        viewer.window._qt_viewer.canvas.on_draw()  # tells the layers the zoom; a window that is not shown draws nothing

    def on_screen(self, at: Position) -> tuple[float, float]:
        """(x, y) on the canvas of a (row, col) in the displayed plane of the layer."""
        axes = [axis - self._viewer.dims.ndim for axis in self._viewer.dims.displayed]
        full = np.asarray(self._layer.world_to_data(self._viewer.dims.point), dtype=float)
        full[axes] = at
        row, col = np.asarray(self._layer.data_to_world(full))[axes]
        view = self._viewer.window._qt_viewer.canvas.view
        x, y = (view.transform * view.scene.transform).map([col, row])[:2]
        return float(x), float(y)

    def click(self, at: Position, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        self.move(at, modifiers)
        self.press(at, modifiers)
        self.release(at, modifiers)

    def double_click(self, at: Position) -> None:
        self.click(at)
        self._send(QEvent.Type.MouseButtonDblClick, self._point(at))
        self.release(at)

    def drag(self, *places: Position, steps: int = 4) -> None:
        """Press at the first place, go to each of the others, release at the last one."""
        self.move(places[0])
        self.press(places[0])
        self.go(*places, steps=steps)
        self.release(places[-1])

    def go(self, *places: Position, steps: int = 4) -> None:
        for start, stop in pairwise(places):
            for share in np.linspace(0, 1, steps + 1)[1:]:
                self.move(np.add(start, share * np.subtract(stop, start)))

    def move(self, at: Position, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        self._send(QEvent.Type.MouseMove, self._point(at), modifiers)

    def press(self, at: Position, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        self._down = True
        self._send(QEvent.Type.MouseButtonPress, self._point(at), modifiers)

    def release(self, at: Position, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        self._down = False
        self._send(QEvent.Type.MouseButtonRelease, self._point(at), modifiers)

    def _point(self, at: Position) -> QPointF:
        return QPointF(*self.on_screen(at))

    def _send(self, kind: Any, at: QPointF, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        moving = kind == QEvent.Type.MouseMove
        button = Qt.MouseButton.NoButton if moving else Qt.MouseButton.LeftButton
        buttons = Qt.MouseButton.LeftButton if self._down else Qt.MouseButton.NoButton
        glob = QPointF(self._canvas.mapToGlobal(QPoint(round(at.x()), round(at.y()))))
        QApplication.sendEvent(self._canvas, QMouseEvent(kind, at, glob, button, buttons, modifiers))
        settle()


def settle() -> None:
    """Let Qt do what it has to do."""
    for _ in range(3):
        QApplication.processEvents()

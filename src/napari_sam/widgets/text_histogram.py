"""How many masks have which score for a text, with a handle for the least score of an object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["TextHistogram"]

BINS = 50
SIDE, TOP, BOTTOM = 8, 6, 16  # pixels around the bars
STEP = 0.01  # of the arrow keys


class TextHistogram(QWidget):
    """Draw the histogram of one text's scores; emits `moved(threshold)` while the user drags the handle."""

    moved = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.counts = np.zeros(BINS, np.int64)
        self.threshold = 0.5
        self._colour = QColor("#e69f00")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setToolTip(
            "How many masks have which score. Drag the line or use the arrow keys: masks to the right of it are objects"
        )

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that it wants."""
        return QSize(260, 96)

    def show_scores(self, scores: Sequence[float] | np.ndarray, colour: str) -> None:
        """Show the scores (0 to 1) of masks in a colour."""
        self.counts = np.histogram(np.asarray(scores, float), bins=BINS, range=(0, 1))[0]
        self._colour = QColor(colour)
        self.update()

    def show_threshold(self, threshold: float) -> None:
        """Move the handle, without a signal."""
        self.threshold = threshold
        self.update()

    def position_of(self, score: float) -> float:
        """Return the pixel column of a score."""
        return SIDE + score * self._width()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Move the handle to the mouse."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._move((event.pos().x() - SIDE) / self._width())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Drag the handle."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Move the handle by the arrow keys."""
        steps = {Qt.Key.Key_Left: -STEP, Qt.Key.Key_Right: STEP}
        if event is not None and (step := steps.get(Qt.Key(event.key()))) is not None:
            self._move(self.threshold + step)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw bars, axis and handle."""
        painter = QPainter(self)
        area = QRectF(SIDE, TOP, self._width(), max(1, self.height() - TOP - BOTTOM))
        heights = np.sqrt(self.counts / max(1, self.counts.max()))  # a few masks are seen beside thousands
        width = area.width() / BINS
        faint = QColor(self._colour)
        faint.setAlpha(90)
        for number, height in enumerate(heights.tolist()):
            chosen = (number + 0.5) / BINS >= self.threshold
            bar = QRectF(area.left() + number * width, area.bottom() - height * area.height(), width - 1, 0)
            bar.setBottom(area.bottom())
            painter.fillRect(bar, self._colour if chosen else faint)
        text = self.palette().color(self.foregroundRole())
        painter.setPen(text)
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        for score in (0.0, 0.5, 1.0):
            place = QRectF(self.position_of(score) - 20, area.bottom() + 2, 40, 12)
            place.moveLeft(min(max(place.left(), 0), self.width() - 40))
            side = {0.0: Qt.AlignmentFlag.AlignLeft, 1.0: Qt.AlignmentFlag.AlignRight}
            painter.drawText(place, side.get(score, Qt.AlignmentFlag.AlignHCenter), f"{score:g}")
        self._draw_handle(painter, area, text)
        painter.end()

    def _draw_handle(self, painter: QPainter, area: QRectF, colour: QColor) -> None:
        x = self.position_of(self.threshold)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, 2))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(x, area.top() + 2), 4, 4)

    def _width(self) -> int:
        return max(1, self.width() - 2 * SIDE)

    def _move(self, score: float) -> None:
        self.threshold = round(min(max(score, 0.0), 1.0), 2)
        self.update()
        self.moved.emit(self.threshold)

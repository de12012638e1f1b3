"""A plot that grows while a model learns: the loss, and the scores on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["TrainPlot"]

LOSS, CLICK, BOX = "#9aa0a6", "#00beff", "#ff8c00"
SMOOTH = 0.85  # share of the past in the smoothed loss
LEFT, RIGHT, TOP, BOTTOM = 34, 30, 20, 18  # pixels around the curves

Curve = list[tuple[int, float]]


class TrainPlot(QWidget):
    """Draw the loss (left axis) and the mean IoU of one click and of a box (right axis, 0 to 1) against the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: Curve = []
        self.smoothed: Curve = []
        self.clicks: Curve = []
        self.boxes: Curve = []
        self._steps = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Grey: the loss, smoothed. Blue and orange: mean IoU on held-out images, one click and box.")

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that it wants."""
        return QSize(260, 150)

    def start(self, steps: int) -> None:
        """Begin anew, with room for so many steps."""
        for curve in (self.losses, self.smoothed, self.clicks, self.boxes):
            curve.clear()
        self._steps = max(1, steps)
        self.update()

    def add_loss(self, step: int, loss: float) -> None:
        """Draw the loss of one more step."""
        past = self.smoothed[-1][1] if self.smoothed else loss
        self.losses.append((step, loss))
        self.smoothed.append((step, SMOOTH * past + (1 - SMOOTH) * loss))
        self.update()

    def add_score(self, step: int, one_click: float, box: float) -> None:
        """Draw scores that were taken after a step."""
        self.clicks.append((step, one_click))
        self.boxes.append((step, box))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw everything."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(LEFT, TOP, max(1, self.width() - LEFT - RIGHT), max(1, self.height() - TOP - BOTTOM))
        highest = max((value for _, value in self.losses), default=1.0) or 1.0
        self._draw_frame(painter, area, highest)
        self._draw_curve(painter, area, self.losses, highest, QColor(LOSS).darker(200))
        self._draw_curve(painter, area, self.smoothed, highest, QColor(LOSS), width=2)
        for curve, colour in ((self.clicks, CLICK), (self.boxes, BOX)):
            self._draw_curve(painter, area, curve, 1.0, QColor(colour), width=2, dots=True)
        painter.end()

    def _draw_frame(self, painter: QPainter, area: QRectF, highest: float) -> None:
        text = self.palette().color(self.foregroundRole())
        faint = QColor(text)
        faint.setAlpha(60)
        painter.setPen(faint)
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        right, left = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft
        middle = Qt.AlignmentFlag.AlignVCenter
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height() - 7
            painter.setPen(QColor(LOSS))
            painter.drawText(QRectF(0, y, LEFT - 4, 14), right | middle, f"{share * highest:.2g}")
            painter.setPen(text)
            painter.drawText(QRectF(area.right() + 4, y, RIGHT, 14), left | middle, f"{share:g}")
        below = QRectF(area.left(), area.bottom() + 3, area.width(), 14)
        painter.drawText(below, left | middle, "0")
        painter.drawText(below, right | middle, f"{self._steps} steps")
        names = (("loss", LOSS), ("one click", CLICK), ("box", BOX))
        for number, (name, colour) in enumerate(names):
            painter.setPen(QColor(colour))
            painter.drawText(QRectF(area.left() + number * area.width() / 3, 2, area.width() / 3, 14), left, name)

    def _draw_curve(
        self,
        painter: QPainter,
        area: QRectF,
        curve: Sequence[tuple[int, float]],
        highest: float,
        colour: QColor,
        *,
        width: int = 1,
        dots: bool = False,
    ) -> None:
        points = [
            QPointF(area.left() + step / self._steps * area.width(), area.bottom() - value / highest * area.height())
            for step, value in curve
        ]
        painter.setPen(QPen(colour, width))
        painter.drawPolyline(QPolygonF(points))
        if dots:
            painter.setBrush(colour)
            for point in points:
                painter.drawEllipse(point, 2, 2)
            painter.setBrush(Qt.BrushStyle.NoBrush)

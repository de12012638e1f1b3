"""The candidates of the current object as buttons: a picture of each mask, its score, hovering shows it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from napari_sam.types import BoolArray
from napari_sam.widgets.candidates import Candidate

__all__ = ["CandidateView"]

COUNT = 3
SIDE = 56
_SEEN = (31, 180, 255)
_UNSEEN = (60, 64, 72)


class CandidateView(QWidget):
    """Show up to three masks with their scores.

    Emits `hovered(i)` while the mouse is over one (-1 when it leaves) and `chosen(i)` when one is clicked.
    """

    hovered = Signal(int)
    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.setStyleSheet(
            "QToolButton { border: 2px solid transparent; border-radius: 4px; }"
            "QToolButton:hover { border-color: #5a626c; } QToolButton:checked { border-color: #1fb4ff; }"
        )
        self.buttons = [self._make_button(i) for i in range(COUNT)]
        for button in self.buttons:
            layout.addWidget(button)
        self.show_candidates((), 0)

    def show_candidates(self, candidates: Sequence[Candidate], chosen: int) -> None:
        """Show candidates; without any the view is empty."""
        for i, button in enumerate(self.buttons):
            here = i < len(candidates)
            button.setEnabled(here)
            button.setChecked(here and i == chosen)
            button.setText(f"score {candidates[i].score:.2f}" if here else "")
            button.setIcon(QIcon(_picture(candidates[i].patch.mask)) if here else QIcon())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Tell over which candidate the mouse is."""
        if event is None or watched not in self.buttons:
            pass
        elif event.type() == QEvent.Type.Enter and watched.isEnabled():
            self.hovered.emit(self.buttons.index(watched))
        elif event.type() == QEvent.Type.Leave:
            self.hovered.emit(-1)
        return bool(super().eventFilter(watched, event))

    def _make_button(self, i: int) -> QToolButton:
        button = QToolButton(self)
        button.setCheckable(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setIconSize(QSize(SIDE, SIDE))
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setMinimumHeight(SIDE + 26)
        button.setToolTip("Rest the mouse here to see this outline in the image; click to choose it (Q: the next one)")
        button.clicked.connect(partial(self._choose, i))
        button.installEventFilter(self)
        return button

    def _choose(self, i: int, _checked: bool = False) -> None:
        self.chosen.emit(i)


def _picture(mask: BoolArray) -> QPixmap:
    """Draw a mask that is cut to its bounding box into a square of SIDE pixels."""
    picture = np.full((SIDE, SIDE, 3), _UNSEEN, dtype=np.uint8)
    if mask.size:
        half, middle = max(mask.shape) / 2 * 1.15, np.array(mask.shape) / 2
        steps = (np.arange(SIDE) + 0.5) / SIDE * 2 * half - half
        at_rows, at_cols = np.floor(steps + middle[0]).astype(int), np.floor(steps + middle[1]).astype(int)
        inside_rows, inside_cols = (
            (at >= 0) & (at < size) for at, size in zip((at_rows, at_cols), mask.shape, strict=True)
        )
        seen = np.zeros((SIDE, SIDE), dtype=bool)
        seen[np.ix_(inside_rows, inside_cols)] = mask[np.ix_(at_rows[inside_rows], at_cols[inside_cols])]
        picture[seen] = _SEEN
    image = QImage(picture.tobytes(), SIDE, SIDE, 3 * SIDE, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image)

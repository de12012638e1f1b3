"""Held-out images side by side: what one click an object found before, and with the best weights so far."""

from __future__ import annotations

from base64 import b64encode

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_sam.widgets.train_engine import Pictures

__all__ = ["TrainPictures"]

WIDTH = 124  # pixels of a picture
LARGE = 2  # enlarged so many times under the mouse
LEGEND = (
    '<span style="color:#00beff">your label</span>, <span style="color:#ff8c00">found by one click</span>, '
    "white: both. Rest the mouse on a picture to see it larger."
)


class TrainPictures(QWidget):
    """Show two columns of pictures with their scores; hidden until there are some."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self.before: Pictures | None = None
        self.best: Pictures | None = None
        self.labels: list[QLabel] = []
        self.clear()

    def clear(self) -> None:
        """Forget all pictures."""
        self.before = self.best = None
        self._empty()
        self.hide()

    def show_pictures(self, pictures: Pictures) -> None:
        """Show pictures: the first ones are those before, all later ones replace those of the best."""
        if not pictures.found:
            return
        self.before, self.best = self.before or pictures, pictures
        self._empty()
        for column, title in enumerate(("Before", "Best so far")):
            self._add(QLabel(title), 0, column)
        for row, (old, new) in enumerate(zip(self.before.found, self.best.found, strict=True)):
            for column, (name, png, score) in enumerate((old, new)):
                self._add(_picture(name, png), 2 * row + 1, column)
                caption = QLabel(f"IoU {score:.2f}")
                caption.setToolTip("Mean over the objects of this image")
                self._add(caption, 2 * row + 2, column)
        legend = QLabel(LEGEND)
        legend.setWordWrap(True)
        self._grid.addWidget(legend, 2 * len(pictures.found) + 1, 0, 1, 2)
        self.labels.append(legend)
        self.show()

    def _add(self, label: QLabel, row: int, column: int) -> None:
        self._grid.addWidget(label, row, column)
        self.labels.append(label)

    def _empty(self) -> None:
        for label in self.labels:
            self._grid.removeWidget(label)
            label.deleteLater()
        self.labels = []


def _picture(name: str, png: bytes) -> QLabel:
    whole = QPixmap()
    whole.loadFromData(png)
    label = QLabel()
    label.setPixmap(whole.scaledToWidth(WIDTH, Qt.TransformationMode.SmoothTransformation))
    label.setToolTip(
        f'{name}<br><img width="{LARGE * whole.width()}" src="data:image/png;base64,{b64encode(png).decode()}">'
    )
    return label

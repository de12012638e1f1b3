"""The parts that the docks' forms are made of."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

__all__ = ["TallScrollArea", "make_brightness", "make_button", "make_combo", "make_form", "make_group", "make_row"]

WIDTH = 300


class TallScrollArea(QScrollArea):
    """A scroll area that asks for its content's height, so that napari's cap on a dock's height leaves room for it."""

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the content's size and room for the scroll bar."""
        inner = self.viewportSizeHint()
        return QSize(max(WIDTH, inner.width()) + 16, inner.height() + 4)


def make_combo(tip: str) -> QComboBox:
    """Make a combo box that shrinks with the dock."""
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def make_brightness() -> QComboBox:
    """Make the choice of how values become brightness; its data are what `ImageView.set_normalization` takes."""
    combo = make_combo("How the model sees the brightness of the image")
    for text, normalization in (
        ("automatic", "auto"),
        ("as shown in napari", "displayed"),
        ("values are 0 to 255", "none"),
    ):
        combo.addItem(text, normalization)
    return combo


def make_button(text: str, tip: str, *, checkable: bool = False) -> QPushButton:
    """Make a button."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setCheckable(checkable)
    return button


def make_row(*widgets: QWidget) -> QHBoxLayout:
    """Put widgets side by side."""
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return row


def make_form(rows: list[tuple[str, QWidget]]) -> QFormLayout:
    """Put widgets below each other, with their names on the left."""
    form = QFormLayout()
    form.setSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for text, widget in rows:
        form.addRow(text, widget)
    return form


def make_group(title: str, *parts: QWidget | QLayout) -> QGroupBox:
    """Put parts below each other into a box with a title."""
    group = QGroupBox(title)
    layout = QVBoxLayout(group)
    layout.setSpacing(4)
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)
    return group

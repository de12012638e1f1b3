"""The parts that the docks' forms are made of."""

from __future__ import annotations

import re

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QContextMenuEvent, QHelpEvent, QKeyEvent, QKeySequence, QPaintEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

__all__ = [
    "Sentence",
    "TallScrollArea",
    "make_brightness",
    "make_button",
    "make_combo",
    "make_form",
    "make_group",
    "make_row",
    "make_sentence",
]

WIDTH = 300
BREAK = "\u200b"  # zero-width space: a line may end here


class TallScrollArea(QScrollArea):
    """A scroll area that asks for its content's height, so that napari's cap on a dock's height leaves room for it."""

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the content's size and room for the scroll bar."""
        inner = self.viewportSizeHint()
        return QSize(max(WIDTH, inner.width()) + 16, inner.height() + 4)


class Sentence(QLabel):
    """A label that breaks words longer than a line, such as paths, which Qt would cut; `text()` is what was set."""

    def __init__(self) -> None:
        super().__init__()
        self._said = ""

    def setText(self, text: str | None) -> None:  # noqa: N802 (Qt's name)
        """Show a text."""
        self._said = text or ""
        super().setText(_breakable(self._said))

    def text(self) -> str:
        """Return the text as it was set."""
        return self._said

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Copy what is selected as it was set, without the places where it may break."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            _copy(self.selectedText())
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Offer to copy the sentence, or what is selected of it."""
        if event is not None:
            menu = QMenu(self)
            menu.addAction("Copy", lambda: _copy(self.selectedText() or self._said))
            menu.popup(event.globalPos())


class Combo(QComboBox):
    """A combo box that ends in "…" what it cannot show, and says all of it when the mouse rests there."""

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw it."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self._cut(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def event(self, event: QEvent | None) -> bool:
        """Show the whole text above the tip."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            option = QStyleOptionComboBox()
            self.initStyleOption(option)
            whole = f"{option.currentText}\n" if self._cut(option) != option.currentText else ""
            QToolTip.showText(event.globalPos(), whole + self.toolTip(), self)
            return True
        return bool(super().event(event))

    def _cut(self, option: QStyleOptionComboBox) -> str:
        part, style, text = QStyle.SubControl.SC_ComboBoxEditField, self.style(), option.currentText or ""
        if style is None:
            return text
        room = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self).width()
        return option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideRight, room - 2)


def _copy(text: str) -> None:
    if (clipboard := QApplication.clipboard()) is not None:
        clipboard.setText(text.replace(BREAK, ""))


def _breakable(text: str) -> str:
    """Let long words break: after the signs of a path, and where there are none after some letters."""
    if "<" in text:  # its tags must stay whole
        return text
    return re.sub(r"\S{24,}", lambda word: re.sub(r"([/\\_.:-]|\w{20})", rf"\1{BREAK}", word[0]), text)


def make_combo(tip: str) -> QComboBox:
    """Make a combo box that shrinks with the dock."""
    combo = Combo()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
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


def make_sentence(text: str = "") -> Sentence:
    """Make a label for sentences: they wrap, however long a word is, and can be copied."""
    label = Sentence()
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setWordWrap(True)
    label.setText(text)
    return label


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
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
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

"""The look of the dock `SAM Prompts`: its groups, buttons and texts, without behaviour."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.bindings import BINDINGS
from napari_sam.widgets.candidate_view import CandidateView
from napari_sam.widgets.prompt_layers import NEGATIVE_COLOR, POSITIVE_COLOR

__all__ = ["PromptForm", "TallScrollArea"]

WIDTH = 300


class TallScrollArea(QScrollArea):
    """A scroll area that asks for its content's height, so that napari's cap on a dock's height leaves room for it."""

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the content's size and room for the scroll bar."""
        inner = self.viewportSizeHint()
        return QSize(max(WIDTH, inner.width()) + 16, inner.height() + 4)


class PromptForm(QWidget):
    """Hold the dock's controls as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.image = _combo("The image layer to work on")
        self.model = _combo("The model that finds outlines; `cells` comes with the package and needs no download")
        self.stretch = _combo("How the model sees the brightness of the image")
        self.stretch.addItem("automatic", "auto")
        self.stretch.addItem("as shown in napari", "displayed")
        self.stretch.addItem("values are 0 to 255", "none")
        self.labels = _combo("The labels layer that accepted objects are written to")
        self.positive = _button("Object", "Clicks and scribbles say: this is part of the object (W)", checkable=True)
        self.negative = _button(
            "Background", "Clicks and scribbles say: this is not part of it (W, or hold Shift)", checkable=True
        )
        self.positive.setIcon(_dot(POSITIVE_COLOR))
        self.negative.setIcon(_dot(NEGATIVE_COLOR))
        self.positive.setChecked(True)
        polarity = QButtonGroup(self)
        polarity.addButton(self.positive)
        polarity.addButton(self.negative)
        self.tools = {
            "point": _button("Click", "Click on an object; hold Shift to click on what is not part of it"),
            "rectangle": _button("Box", "Drag a box around an object"),
            "ellipse": _button("Ellipse", "Drag an ellipse over an object; it snaps to the outline"),
            "polygon": _button("Polygon", "Click around an object, double-click to end; it snaps to the outline"),
            "path": _button("Scribble", "Click along an object, double-click to end"),
        }
        self.one_per_shape = QCheckBox("One object per shape")
        self.one_per_shape.setToolTip(
            "On: each box, ellipse, polygon or scribble is an object of its own, with the points inside it.\n"
            "Off: all prompts together are one object."
        )
        self.improve = _button(
            "Improve selected label",
            "Start from the label that is selected in the labels layer, then correct it with clicks",
        )
        self.candidates = CandidateView()
        self.accept = _button("Accept (N)", "Write the outline as a label and start the next object")
        self.accept_all = _button("Accept all (Shift+N)", "Write the outlines of all unfinished objects in this plane")
        self.next_object = _button("Next object (G)", "Go to the next unfinished object, with 'One object per shape'")
        self.discard = _button("Discard (Shift+D)", "Remove the prompts of this object")
        self.undo = _button("Undo", "Take back the last prompt or accepted object (Ctrl+Z)")
        self.redo = _button("Redo", "Do again what was taken back (Ctrl+Shift+Z)")
        self.keep_existing = QCheckBox("Don't overwrite existing labels")
        self.keep_existing.setToolTip("On: pixels that already have a label keep it")
        self.keep_existing.setChecked(True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.cancel = _button("Cancel", "Stop what runs")
        self.status = QLabel("")
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.status.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.status.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(
            _group(
                "Image and model", _form([("Image", self.image), ("Model", self.model), ("Brightness", self.stretch)])
            )
        )
        tools = QGridLayout()
        tools.setSpacing(4)
        for i, name in enumerate(("point", "rectangle", "path")):
            tools.addWidget(self.tools[name], 0, 2 * i, 1, 2)
        for i, name in enumerate(("ellipse", "polygon")):
            tools.addWidget(self.tools[name], 1, 3 * i, 1, 3)
        layout.addWidget(_group("Prompts", tools, _row(self.positive, self.negative), self.one_per_shape, self.improve))
        actions = QGridLayout()
        actions.setSpacing(4)
        for i, button in enumerate(
            (self.accept, self.discard, self.accept_all, self.next_object, self.undo, self.redo)
        ):
            actions.addWidget(button, i // 2, i % 2)
        layout.addWidget(_group("Candidates", self.candidates, actions))
        layout.addWidget(_group("Labels", _form([("Write to", self.labels)]), self.keep_existing))
        layout.addLayout(_row(self.progress, self.cancel))
        layout.addWidget(self.status)
        layout.addWidget(_group("Keys", _key_table()))
        layout.addStretch()
        for part in (self.progress, self.cancel):
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            part.setSizePolicy(policy)
            part.hide()
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def _button(text: str, tip: str, *, checkable: bool = False) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setCheckable(checkable)
    return button


def _dot(color: str) -> QIcon:
    """Draw a disc in the colour that such points have."""
    picture = QPixmap(12, 12)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(color))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawEllipse(1, 1, 10, 10)
    painter.end()
    return QIcon(picture)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return row


def _form(rows: list[tuple[str, QWidget]]) -> QFormLayout:
    form = QFormLayout()
    form.setSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for text, widget in rows:
        form.addRow(text, widget)
    return form


def _group(title: str, *parts: QWidget | QFormLayout | QGridLayout | QHBoxLayout) -> QGroupBox:
    group = QGroupBox(title)
    layout = QVBoxLayout(group)
    layout.setSpacing(4)
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)
    return group


def _key_table() -> QLabel:
    keys = [(each.shown, each.text) for each in BINDINGS] + [("Shift+click", "background, not object")]
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{text}</td></tr>" for key, text in keys)
    return QLabel(f"<table cellspacing=1>{rows}</table>")

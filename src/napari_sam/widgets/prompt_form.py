"""The look of the dock `SAM Prompts`: its groups, buttons and texts, without behaviour."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.bindings import BINDINGS, key_table
from napari_sam.widgets.candidate_view import CandidateView
from napari_sam.widgets.colour_choice import ColourChoice
from napari_sam.widgets.form_parts import (
    make_brightness,
    make_button,
    make_combo,
    make_form,
    make_group,
    make_row,
    make_sentence,
)
from napari_sam.widgets.prompt_layers import NEGATIVE_COLOR, POSITIVE_COLOR
from napari_sam.widgets.work_step import WorkBar

__all__ = ["PromptForm"]


class PromptForm(QWidget):
    """Hold the dock's controls as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.image = make_combo("The image layer to work on")
        self.model = make_combo("The model that finds outlines; `cells` comes with the package and needs no download")
        self.stretch = make_brightness()
        self.colours = ColourChoice()
        self.labels = make_combo("The labels layer that accepted objects are written to")
        self.place = make_combo(
            "Where new labels of this Zarr image go: beside it into a Zarr of their own, or into its folder `labels`"
        )
        self.place.addItem("beside the image", "beside")
        self.place.addItem("into the image", "inside")
        self.place_row = QWidget()
        row = make_form([("New labels go", self.place)])
        row.setContentsMargins(0, 0, 0, 0)
        self.place_row.setLayout(row)
        self.positive = make_button(
            "Object", "Clicks and scribbles say: this is part of the object (W)", checkable=True
        )
        self.negative = make_button(
            "Background", "Clicks and scribbles say: this is not part of it (W, or hold Shift)", checkable=True
        )
        self.positive.setIcon(_dot(POSITIVE_COLOR))
        self.negative.setIcon(_dot(NEGATIVE_COLOR))
        self.positive.setChecked(True)
        polarity = QButtonGroup(self)
        polarity.addButton(self.positive)
        polarity.addButton(self.negative)
        self.tools = {
            "point": make_button(
                "Click", "Click on an object; hold Shift to click on what is not part of it", checkable=True
            ),
            "rectangle": make_button("Box", "Drag a box around an object", checkable=True),
            "ellipse": make_button(
                "Ellipse", "Drag an ellipse over an object; it snaps to the outline", checkable=True
            ),
            "polygon": make_button(
                "Polygon", "Click around an object, double-click to end; it snaps to the outline", checkable=True
            ),
            "path": make_button("Scribble", "Press, drag along the object, release", checkable=True),
        }
        self.one_per_shape = QCheckBox("One object per shape")
        self.one_per_shape.setToolTip(
            "On: each box, ellipse, polygon or scribble is an object of its own, with the points inside it.\n"
            "Off: all prompts together are one object."
        )
        self.improve = make_button(
            "Improve selected label",
            "Start from the label that is selected in the labels layer, then correct it with clicks",
        )
        self.candidates = CandidateView()
        self.accept = make_button("Accept (N)", "Write the outline as a label and start the next object")
        self.accept_all = make_button(
            "Accept all (Shift+N)", "Write the outlines of all unfinished objects in this plane"
        )
        self.next_object = make_button(
            "Next object (G)", "Go to the next unfinished object, with 'One object per shape'"
        )
        self.discard = make_button("Discard (Shift+D)", "Remove the prompts of this object")
        self.undo = make_button("Undo", "Take back the last prompt or accepted object (Ctrl+Z)")
        self.redo = make_button("Redo", "Do again what was taken back (Ctrl+Shift+Z)")
        self.keep_existing = QCheckBox("Don't overwrite labels")
        self.keep_existing.setToolTip("On: pixels that already have a label keep it")
        self.keep_existing.setChecked(True)
        self.same_label = QCheckBox("Same label as selected")
        self.same_label.setToolTip(
            "On: accepted objects join the label selected in the labels layer, at first the one accepted last;\n"
            "so one object gets one label on several planes"
        )
        self.paint_by_hand = make_button(
            "Paint by hand here", "Open what the canvas shows of labels on disk for napari's brush; strokes are saved"
        )
        self.progress = WorkBar()
        self.progress.setTextVisible(True)
        self.cancel = make_button("Cancel", "Stop what runs")
        self.status = make_sentence()
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(
            make_group(
                "Image and model",
                make_form([("Image", self.image), ("Model", self.model), ("Brightness", self.stretch)]),
                self.colours,
            )
        )
        tools = QGridLayout()
        tools.setSpacing(4)
        for i, name in enumerate(("point", "rectangle", "path")):
            tools.addWidget(self.tools[name], 0, 2 * i, 1, 2)
        for i, name in enumerate(("ellipse", "polygon")):
            tools.addWidget(self.tools[name], 1, 3 * i, 1, 3)
        layout.addWidget(
            make_group("Prompts", tools, make_row(self.positive, self.negative), self.one_per_shape, self.improve)
        )
        actions = (
            make_row(self.accept, self.discard),
            make_row(self.accept_all, self.next_object),
            make_row(self.undo, self.redo),
        )
        layout.addWidget(make_group("Candidates", self.candidates, *actions))
        layout.addWidget(
            make_group(
                "Labels",
                make_form([("Write to", self.labels)]),
                self.place_row,
                self.same_label,
                self.keep_existing,
                self.paint_by_hand,
            )
        )
        layout.addLayout(make_row(self.progress, self.cancel))
        layout.addWidget(make_group("Keys", key_table(BINDINGS, ("Shift+click", "background, not object"))))
        layout.addStretch()
        for part in (self.progress, self.cancel):
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            part.setSizePolicy(policy)
            part.hide()
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_place(self, place: str | None) -> None:
        """Show where new labels go, or with None that there is nothing to choose."""
        self.place_row.setVisible(place is not None)
        if place is not None:
            self.place.setCurrentIndex(self.place.findData(place))


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

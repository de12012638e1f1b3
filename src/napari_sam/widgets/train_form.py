"""The look of the dock `SAM Train`: its groups, buttons and texts, without behaviour."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QLineEdit,
    QListWidget,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.form_parts import make_button, make_combo, make_form, make_group, make_row, make_sentence
from napari_sam.widgets.train_pictures import TrainPictures
from napari_sam.widgets.train_plot import TrainPlot
from napari_sam.widgets.work_step import WorkBar, WorkStep, show_step

__all__ = ["TRAIN_MODES", "TrainForm"]

TRAIN_MODES = {
    "decoder": (
        "Decoder only",
        "Learns to outline from what the model sees already; every image is encoded once. Minutes on a CPU: try it "
        "first.",
    ),
    "lora": (
        "Decoder and LoRA",
        "Also bends how the model sees, by small adapters in the encoder. Slower; for images that look like nothing "
        "the model knows.",
    ),
    "all": ("Everything", "Every weight learns. Slowest, most memory; for hundreds of images and a GPU."),
}


class TrainForm(QWidget):
    """Hold the dock's controls as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.image = make_combo("An image layer; of a stack the planes with labels are learnt from")
        self.labels = make_combo("The labels layer with the objects of this image, each with a number of its own")
        self.add = make_button("Add layers", "Learn from this image and its labels")
        self.add_folder = make_button("Add folder…", "Learn from a folder with images/ and labels/, or an OME-Zarr")
        self.remove = make_button("Remove", "Take the selected lines from the list, all if none is selected")
        self.sources = QListWidget()
        self.sources.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.sources.setFixedHeight(4 * self.fontMetrics().lineSpacing() + 8)
        self.sources.setToolTip("What is learnt from")
        self.complete = QCheckBox("All of their objects are labelled")
        self.complete.setToolTip("If not, what lies between labels is not taken as background by automatic masks")
        self.model = make_combo("The model to start from, which stays as it is; `cells` comes with the package")
        self.mode = make_combo("What learns")
        for mode, (text, _) in TRAIN_MODES.items():
            self.mode.addItem(text, mode)
        self.mode_text = make_sentence()
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0, 10000)
        self.minutes.setDecimals(2)
        self.minutes.setSpecialValueText("no limit")
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("Stop after so long at the latest; it stops earlier when scores no longer rise")
        self.held_out = QSpinBox()
        self.held_out.setRange(0, 90)
        self.held_out.setSuffix(" % of the images")
        self.held_out.setToolTip("Images that are not learnt from: they choose the best weights and give the scores")
        self.name = QLineEdit()
        self.name.setToolTip("Under which the result is in the model lists")
        self.memory = make_sentence()
        self.start = make_button("Start", "Learn in the background; the viewer stays usable")
        self.progress = WorkBar()
        self.cancel = make_button("Stop", "Stop after this step; the best weights so far become the model")
        self.plot = TrainPlot()
        self.scores = make_sentence()
        self.pictures = TrainPictures()
        self.status = make_sentence()
        self._lay_out()
        self.mode.currentIndexChanged.connect(self._show_mode)
        self._show_mode()

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show how far work got, nothing if the text is empty."""
        show_step(WorkStep(text, done, total), self.progress, [self.cancel], [self.start])
        for group in self._inputs:
            group.setEnabled(not text)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        layers = make_form([("Image", self.image), ("Labels", self.labels)])
        buttons = make_row(self.add, self.add_folder, self.remove)
        data = make_group("Learn from", layers, buttons, self.sources, self.complete)
        model = make_group("Model", make_form([("Start from", self.model), ("Learns", self.mode)]), self.mode_text)
        rows: list[tuple[str, QWidget]] = [("Time", self.minutes), ("Hold out", self.held_out), ("Name", self.name)]
        run = make_group("Run", make_form(rows), self.memory)
        self._inputs = (data, model, run)
        for part in (data, model, run):
            layout.addWidget(part)
        layout.addLayout(make_row(self.start, self.progress, self.cancel))
        layout.addWidget(make_group("Loss and held-out IoU", self.plot, self.scores, self.pictures))
        layout.addStretch()
        self.show_progress(0, 0, "")
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def _show_mode(self) -> None:
        self.mode_text.setText(TRAIN_MODES[self.mode.currentData()][1])

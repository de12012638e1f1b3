"""The look of the dock `SAM Text`: its groups, buttons and texts, without behaviour."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QPlainTextEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sam.config.auto import AUTO_PRESETS
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
from napari_sam.widgets.text_histogram import TextHistogram
from napari_sam.widgets.text_settings import TextSettingsForm
from napari_sam.widgets.text_sheet import colour_of
from napari_sam.widgets.work_step import WorkBar, WorkStep, show_step

__all__ = ["TextForm"]

LINES = 4  # of the field for texts
LONGEST = 60  # letters of a text that are shown in a list


class TextForm(QWidget):
    """Hold the dock's controls as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.image = make_combo("The image layer to work on")
        self.model = make_combo("The model that finds masks; `cells` comes with the package and needs no download")
        self.clip = make_combo("The CLIP that tells which mask fits a text; a larger one knows more words")
        self.route = make_combo(
            "<p>Who tells which mask is meant: the CLIP, which looks at each mask; or the model, which says where what "
            "the text names is in the image, if it was trained with texts.</p>"
        )
        self.route.addItem("a CLIP ranks the masks", "rank")
        self.route.addItem("the text prompts the model", "prompt")
        self.stretch = make_brightness()
        self.colours = ColourChoice()
        self.texts = QPlainTextEdit()
        self.texts.setPlaceholderText("bright round nuclei\ndebris")
        self.texts.setToolTip("What to segment: one line for each class")
        self.texts.setTabChangesFocus(True)
        self.texts.setFixedHeight(LINES * self.fontMetrics().lineSpacing() + 16)
        self.history = make_combo("Texts that were asked before")
        self.preset = make_combo("How masks are searched; the settings of SAM Auto that suit a kind of image")
        self.preset.addItems(list(AUTO_PRESETS))
        self.where = make_combo("What a run searches")
        self.where.addItem("this plane", "plane")
        self.where.addItem("what the window shows of it", "view")
        self.where.addItem("a region of it", "region")
        self.shapes = make_combo("The shapes layer whose selected (or last) rectangle is the region")
        self.draw = make_button("Draw", "Drag a rectangle over the part of the image to search")
        self.region = QWidget()
        self.run = make_button("Run", "Find all masks, and among them what the texts name")
        self.progress = WorkBar()
        self.cancel = make_button("Cancel", "Stop; the same run goes on from there")
        self.shown = make_combo("The text whose scores are shown")
        self.histogram = TextHistogram()
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(0, 1)
        self.threshold.setSingleStep(0.01)
        self.threshold.setKeyboardTracking(False)
        self.threshold.setToolTip("Least score of an object")
        self.mapped = QCheckBox("Score map")
        self.mapped.setToolTip("Show over the image how well each mask fits that text, from dark (0) to bright (100 %)")
        self.count = make_sentence()
        self.settings = TextSettingsForm()
        self.output = make_combo("Where objects are written to")
        self.output.addItem("one labels layer per text", "layers")
        self.output.addItem("one labels layer, texts in its features", "features")
        self.refine = make_button(
            "Refine", "Click on an object to correct it with clicks in the dock SAM Prompts", checkable=True
        )
        self.status = make_sentence()
        self._lay_out()
        self.where.currentIndexChanged.connect(self._show_region)
        self._show_region()
        self.show_history([])

    def lines(self) -> tuple[str, ...]:
        """Return the texts that are typed, without empty lines."""
        return tuple(line.strip() for line in self.texts.toPlainText().splitlines() if line.strip())

    def show_lines(self, texts: Sequence[str]) -> None:
        """Show texts, without a signal; a line break in one becomes a space."""
        self.texts.blockSignals(True)
        self.texts.setPlainText("\n".join(" ".join(text.split()) for text in texts))
        self.texts.blockSignals(False)

    def show_choice(self, texts: Sequence[str]) -> None:
        """Offer texts to show the scores of; the chosen one stays chosen by its place."""
        chosen = min(max(self.shown.currentIndex(), 0), len(texts) - 1)
        self.shown.clear()
        for number, text in enumerate(texts):
            dot = QPixmap(12, 12)
            dot.fill(QColor(colour_of(number)))
            self.shown.addItem(QIcon(dot), _short(text))
        self.shown.setCurrentIndex(chosen)

    def show_history(self, entries: Sequence[Sequence[str]]) -> None:
        """Offer earlier texts."""
        self.history.clear()
        self.history.addItem("earlier texts…", None)
        for entry in entries:
            self.history.addItem(_short(" | ".join(entry)), entry)
        self.history.setEnabled(bool(entries))

    def show_threshold(self, threshold: float) -> None:
        """Show the least score at the handle and in its box, without a signal."""
        self.histogram.show_threshold(threshold)
        self.threshold.blockSignals(True)
        self.threshold.setValue(threshold)
        self.threshold.blockSignals(False)

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show how far work got, nothing if the text is empty."""
        show_step(WorkStep(text, done, total), self.progress, [self.cancel], [self.run])

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        rows = [("Image", self.image), ("Model", self.model), ("CLIP", self.clip), ("Brightness", self.stretch)]
        layout.addWidget(make_group("Image and models", make_form([*rows, ("Preset", self.preset)]), self.colours))
        layout.addWidget(make_group("What to segment: one line per class", self.texts, self.history))
        region = make_row(self.shapes, self.draw)
        region.setContentsMargins(0, 0, 0, 0)
        self.region.setLayout(region)
        run = make_row(self.run, self.progress, self.cancel)
        layout.addWidget(make_group("Run", make_form([("How", self.route), ("On", self.where)]), self.region, run))
        handle = make_form([("Score from", self.threshold)])
        scores = (make_form([("Of", self.shown)]), self.histogram, handle, self.mapped, self.count, self.settings)
        layout.addWidget(make_group("Scores, without a new run", *scores))
        layout.addWidget(make_group("Labels", make_form([("Write to", self.output)]), self.refine))
        layout.addStretch()
        self.show_progress(0, 0, "")
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def _show_region(self) -> None:
        self.region.setVisible(self.where.currentData() == "region")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

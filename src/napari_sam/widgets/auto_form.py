"""The look of the dock `SAM Auto`: its groups, buttons and texts, without behaviour."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_sam.widgets.bindings import AUTO_BINDINGS, key_table
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
from napari_sam.widgets.settings_form import SettingsForm
from napari_sam.widgets.work_step import WorkBar, WorkStep, show_step

__all__ = ["TOOLS", "AutoForm"]

TOOLS = {
    "accept": ("Accept", "Click on objects to settle them: no slider and no new run changes them"),
    "delete": ("Delete", "Click on objects to remove them"),
    "merge": ("Merge", "Click on two or more objects, then press the button below"),
    "refine": ("Refine", "Click on an object to correct or split it with clicks in the dock SAM Prompts"),
}
MERGE = "Merge the clicked objects"


class AutoForm(QWidget):
    """Hold the dock's controls as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.image = make_combo("The image layer to work on")
        self.model = make_combo("The model that finds objects; `cells` comes with the package and needs no download")
        self.stretch = make_brightness()
        self.colours = ColourChoice()
        self.settings = SettingsForm()
        self.where = make_combo("What a run searches")
        self.where.addItem("this plane", "plane")
        self.where.addItem("a region of it", "region")
        self.where.addItem("every plane", "stack")
        self.shapes = make_combo("The shapes layer whose selected (or last) rectangle is the region")
        self.draw = make_button("Draw", "Drag a rectangle over the part of the image to search")
        self.region = QWidget()
        self.preview = make_button("Preview", "Search only what the window shows now, and write no labels")
        self.run = make_button("Run", "Search, and write what is found to the labels layer")
        self.progress = WorkBar()
        self.cancel = make_button("Cancel", "Stop; what was found stays, and the same run goes on from there")
        self.count = make_sentence()
        self.tools = {name: make_button(text, tip, checkable=True) for name, (text, tip) in TOOLS.items()}
        self.merge = make_button(MERGE, "Make one object of those that were clicked with the tool Merge")
        self.link = make_button(
            "Link planes",
            "Give objects that are one on neighbouring planes one label, and settle them; Undo parts them",
        )
        self.undo = make_button("Undo", "Take back the last run, edit or import")
        self.redo = make_button("Redo", "Do again what was taken back")
        self.labels = make_combo("The labels layer that objects are written to")
        self.export = make_button("Export…", "Write the objects of this plane: COCO, GeoJSON, ImageJ ROIs or CSV")
        self.measure = make_button(
            "Measure…", "Write a table of all objects of the labels layer: size, shape, brightness, neighbours"
        )
        self.load = make_button("Import…", "Read objects from such a file into the labels layer")
        self.load_prompts = make_button(
            "… as boxes", "Read objects from such a file as boxes into the dock SAM Prompts"
        )
        self.status = make_sentence()
        self._lay_out()
        self.where.currentIndexChanged.connect(self._show_region)
        self._show_region()

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show how far work got, nothing if the text is empty."""
        show_step(WorkStep(text, done, total), self.progress, [self.cancel], [self.preview, self.run])

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        chosen = make_form([("Image", self.image), ("Model", self.model), ("Brightness", self.stretch)])
        layout.addWidget(make_group("Image and model", chosen, self.colours))
        layout.addWidget(make_group("Search", self.settings))
        region = make_row(self.shapes, self.draw)
        region.setContentsMargins(0, 0, 0, 0)
        self.region.setLayout(region)
        run = make_row(self.preview, self.run, self.progress, self.cancel)
        layout.addWidget(make_group("Run", make_form([("On", self.where)]), self.region, run))
        layout.addWidget(make_group("Filter, without a new run", self.settings.filter, self.count))
        tools = QGridLayout()
        tools.setSpacing(4)
        for i, button in enumerate(self.tools.values()):
            tools.addWidget(button, 0, i)
        layout.addWidget(make_group("Click on objects", tools, self.merge, self.link, make_row(self.undo, self.redo)))
        files = make_row(self.export, self.measure)
        found = make_row(self.load, self.load_prompts)
        layout.addWidget(make_group("Labels", make_form([("Write to", self.labels)]), files, found))
        layout.addWidget(make_group("Keys, with the mouse over an object", key_table(AUTO_BINDINGS)))
        layout.addStretch()
        self.show_progress(0, 0, "")
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def _show_region(self) -> None:
        self.region.setVisible(self.where.currentData() == "region")

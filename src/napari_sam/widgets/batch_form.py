"""The look of the dock `SAM Batch`: its groups, buttons and texts, without behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QLineEdit,
    QListWidget,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sam.batch.progress import PHASES
from napari_sam.widgets.batch_look import duration_text
from napari_sam.widgets.batch_place import PlaceRow
from napari_sam.widgets.batch_settings_form import BatchEditors, Fold, make_more
from napari_sam.widgets.form_parts import make_button, make_combo, make_form, make_group, make_row, make_sentence
from napari_sam.widgets.settings_form import SettingsForm
from napari_sam.widgets.work_step import WorkBar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.batch.progress import BatchProgress, FailedUnit
    from napari_sam.widgets.batch_choice import BatchChoice
    from napari_sam.widgets.batch_look import Plan

__all__ = ["BatchForm"]

IMAGES = "Images (*.tif *.tiff *.zip *.ozx);;All files (*)"
PROMPTS = "Prompts (*.csv *.geojson *.json *.tif *.tiff *.zip);;All files (*)"
NOTHING = "Choose an image that lies on disk or at an address."
STEPS = 1000  # of the bar


class BatchForm(QWidget):
    """Hold the dock's controls as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.input = PlaceRow(
            "path, https://… or s3://…",
            "OME-Zarr image or plate, Zarr array or TIFF: folder, .zip, file or address",
            IMAGES,
            "An image layer that was read from disk or an address",
        )
        self.found = make_sentence(NOTHING)
        self.editors = BatchEditors()
        self.model = make_combo("The model that finds objects; `cells` comes with the package and needs no download")
        self.auto = SettingsForm()
        self.prompts = PlaceRow(
            "table, label image, or name of labels",
            "A table of prompts (.csv, .geojson), a label image of seeds, or the name of labels inside the image",
            PROMPTS,
            "A labels layer of seeds that lies on disk",
        )
        self.into = make_combo("Into the image, as labels/NAME, or into an OME-Zarr of their own")
        self.into.addItem("into the image itself", "beside")
        self.into.addItem("into a new OME-Zarr", "apart")
        self.output = PlaceRow("new folder, as labels.zarr", "OME-Zarr that gets the labels", "All files (*)")
        self.where = make_combo("Where the job runs")
        self.where.addItem("this computer", "local")
        self.where.addItem("a Dask cluster", "cluster")
        self.workers = QSpinBox()
        self.workers.setRange(0, 256)
        self.workers.setValue(1)
        self.workers.setPrefix("workers: ")
        self.workers.setSpecialValueText("as many workers as fit")
        self.workers.setToolTip("1: a thread of napari; more: processes of their own, some 2 GB of memory each")
        self.scheduler = QLineEdit()
        self.scheduler.setPlaceholderText("tls://HOST:8786")
        self.scheduler.setToolTip("Address of a Dask scheduler whose workers see image and output under the same names")
        self.security = PlaceRow(
            "certificates, if it asks for them",
            "YAML with the certificates by which the scheduler lets you in, as Dask's own configuration has them",
            "Certificates (*.yaml *.yml *.json)",
        )
        self.restart = QCheckBox("Begin anew and replace the labels")
        self.restart.setToolTip("Forget what an earlier job did; without it, the job goes on where it stopped")
        self.replace_edits = QCheckBox("Replace what was edited by hand, too")
        self.replace_edits.setToolTip("Without it, labels that were edited since the job wrote them stay and are named")
        self.adopt = make_button("Take over its settings", "The settings with which the job that lies there was begun")
        self.plan = make_sentence("")
        self.run = make_button("Run", "Segment in the background; the viewer stays usable. A stopped job goes on")
        self.trial = make_button(
            "Try a region", "Segment what you see of the image with these settings, before the long run; writes nothing"
        )
        self.progress = WorkBar()
        self.cancel = make_button("Stop", "Stop within a second; what is done is kept for Go on, today or later")
        self.rate = make_sentence("")
        self.failed = QListWidget()
        self.failed.setFixedHeight(5 * self.fontMetrics().lineSpacing() + 8)
        self.failed.setToolTip("What failed, and why; Run tries it again")
        self.failed.setWordWrap(True)
        self.failed.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.failures = make_group("Failed", self.failed)
        self.failures.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.results = make_combo("Whose labels to open")
        self.open_result = make_button("Open result", "Show the labels as a layer, as far as they are written")
        self.status = make_sentence("")
        self._lay_out()
        self.into.currentIndexChanged.connect(self.show_parts)
        self.where.currentIndexChanged.connect(self.show_parts)
        self.show_parts()
        self.show_idle()

    def show_parts(self) -> None:
        """Show the controls that count."""
        mode = self.editors.mode.currentData()
        self._auto.setVisible(mode == "auto")
        self._seeds.setVisible(mode == "prompts")
        self.output.setVisible(self.into.currentData() == "apart")
        cluster = self.where.currentData() == "cluster"
        self.scheduler.setVisible(cluster)
        self.security.setVisible(cluster)
        self.workers.setVisible(not cluster)

    def show_choice(self, choice: BatchChoice) -> None:
        """Show what was chosen, without a signal."""
        self.editors.show_settings(choice.values)
        self.auto.show_settings(choice.auto)
        self.input.show_place(choice.location)
        self.prompts.show_place(choice.values["prompts"])
        self.output.show_place(choice.output or "")
        self.into.setCurrentIndex(self.into.findData("beside" if choice.output is None else "apart"))
        if not choice.location:
            self.found.setText(NOTHING)
        self.show_parts()

    def show_plan(self, plan: Plan | None, rate: float, problem: str = "") -> None:
        """Show a plan, at `rate` megapixels a second, or why there is none."""
        continues = plan is not None and plan.done is not None and not plan.other_job and not plan.complete
        self.run.setText("Go on" if continues else "Run")
        for box in (self.restart, self.replace_edits):
            box.setVisible(plan is not None and (plan.done is not None or bool(plan.there)))
        self.adopt.setVisible(plan is not None and plan.other_job)
        self.show_results(plan.there if plan is not None else ())
        self.plan.setText(problem if plan is None else plan.text(rate))

    def show_idle(self) -> None:
        """Show that no job is going on."""
        self._show_running(False)
        self.rate.setText("")
        self.rate.setVisible(False)

    def show_begun(self) -> None:
        """Show that a job is going on, of which nothing is known yet."""
        self._show_running(True)
        self.progress.setRange(0, 0)
        self.progress.setFormat("Starting")

    def show_progress(self, progress: BatchProgress) -> None:
        """Show how far a job is."""
        phase = PHASES.get(progress.phase)
        if phase is None:
            return
        count = "" if progress.phase == "ready" else f" ({progress.done} of {progress.total})"
        self.progress.setRange(0, STEPS)
        self.progress.setValue(round(STEPS * progress.share))
        self.progress.setFormat(f"{phase} %p %{count}")
        parts = []
        if progress.items_total > 1:
            parts.append(f"Image {progress.item} ({progress.items_done} of {progress.items_total} done)")
        if progress.rate:
            parts.append(
                f"{progress.rate:.2g} a second" if progress.rate >= 0.1 else f"{60 * progress.rate:.2g} a minute"
            )
        if progress.seconds_left is not None:
            parts.append(f"{duration_text(progress.seconds_left)} left for this step")
        if progress.dashboard:
            parts.append(f'<a href="{progress.dashboard}">Dask dashboard</a>')
        self.rate.setText(" · ".join(parts))
        self.rate.setVisible(bool(parts))

    def show_failed(self, failed: Sequence[FailedUnit]) -> None:
        """List what failed."""
        self.failures.setVisible(bool(failed))
        self.failures.setTitle(f"Failed: {len(failed)}")
        for unit in failed[self.failed.count() :] if len(failed) >= self.failed.count() else self._cleared(failed):
            self.failed.addItem(f"{unit.name}: {unit.reason}")

    def show_results(self, names: Sequence[str]) -> None:
        """Offer the labels that are there, by the names of the images, "" without a plate."""
        chosen = self.results.currentText()
        self.results.clear()
        self.results.addItems(list(names))
        self.results.setCurrentIndex(max(0, self.results.findText(chosen)))
        self.results.setVisible(len(names) > 1)
        self.open_result.setEnabled(bool(names))

    def _cleared(self, failed: Sequence[FailedUnit]) -> Sequence[FailedUnit]:
        self.failed.clear()
        return failed

    def _show_running(self, running: bool) -> None:
        for part in (self.progress, self.cancel):
            part.setVisible(running)
        for part in (self.trial, self.run):
            part.setVisible(not running)
        for group in self._inputs:
            group.setEnabled(not running)

    def _lay_out(self) -> None:
        rows = self.editors.rows
        source = make_group("Image", self.input, self.found, make_form(rows("channels", "level", "pixel_size")))
        part = QWidget()
        part.setLayout(_tight(QVBoxLayout(), self.auto, self.auto.filter))
        self._auto = QWidget()
        self._auto.setLayout(_tight(QVBoxLayout(), Fold("Settings of automatic masks", part), part))
        self._seeds = QWidget()
        one_each = make_form([("Seeds", self.editors.editors["seeds"].widget)])
        seeds = _tight(QVBoxLayout(), self.prompts)
        seeds.addLayout(one_each)
        self._seeds.setLayout(seeds)
        more, folded = make_more(self.editors)
        what = make_form([("Model", self.model), ("Segment", self.editors.mode)])
        links = make_form(rows("link"))
        search = make_group("What", what, self._auto, self._seeds, links, more, folded)
        name = make_form([("Where", self.into), ("Name", self.editors.editors["label"].widget)])
        goal = make_group("Labels", name, self.output)
        runs = make_form([("Run on", self.where)])
        again = (self.adopt, self.restart, self.replace_edits)
        plan = make_group("Job", runs, self.workers, self.scheduler, self.security, self.plan, *again)
        self._inputs = (source, search, goal, plan)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        for group in self._inputs:
            layout.addWidget(group)
        layout.addLayout(make_row(self.trial, self.run, self.progress, self.cancel))
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        for part in (self.rate, self.failures):
            layout.addWidget(part)
        layout.addLayout(make_row(self.results, self.open_result))
        layout.addStretch()
        self.rate.setOpenExternalLinks(True)
        self.rate.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.adopt.setVisible(False)
        self.show_failed(())
        self.show_results(())


def _tight(layout: QVBoxLayout, *parts: QWidget) -> QVBoxLayout:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for part in parts:
        layout.addWidget(part)
    return layout

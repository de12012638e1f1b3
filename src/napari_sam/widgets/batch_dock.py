"""The dock `SAM Batch`: images larger than memory, volumes and plates, in jobs that can be stopped and go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from napari.layers import Image, Labels, Layer

from napari_sam.config.auto import AutoSettings
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.io.zarr_location import absolute
from napari_sam.widgets.batch_choice import BatchChoice
from napari_sam.widgets.batch_form import BatchForm
from napari_sam.widgets.batch_look import Found, Plan, suggest_output
from napari_sam.widgets.batch_place import Arrivals, are_seeds, image_place, lies_on_disk, seeds_place
from napari_sam.widgets.batch_preview import ResultLayers, TilePreview
from napari_sam.widgets.batch_runner import BatchResult, BatchRunner, BatchTask
from napari_sam.widgets.batch_trial import READY, Trials, make_task
from napari_sam.widgets.dock import Dock, plain_viewer
from napari_sam.widgets.layer_choice import LayerChoice
from napari_sam.widgets.model_choice import ModelChoice
from napari_sam.widgets.next_step import batch_step
from napari_sam.widgets.reporter import without_argument
from napari_sam.widgets.shutdown import at_end

if TYPE_CHECKING:
    from napari_sam.batch.progress import BatchProgress
    from napari_sam.batch.segmenters import Segmenter
    from napari_sam.io.large_image import LargeImage

__all__ = ["BatchDock"]


class BatchDock(Dock):
    """Plan, run, stop and go on with batch jobs, and open what they made.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it.
    """

    _missing = "The labels were not there"
    _form: BatchForm

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        viewer, form, runner = plain_viewer(napari_viewer), BatchForm(), BatchRunner()
        super().__init__(viewer, runner, form)
        self._runner = runner
        self._choice = BatchChoice()
        self._segmenter: Segmenter | None = None
        self._plan: Plan | None = None
        self._image: LargeImage | None = None  # what lies at the place that was chosen, of a plate the first
        self._result: BatchResult | None = None
        self._ending: BatchResult | None = None  # to be told when the plan is there again
        self._layers = ResultLayers(viewer, runner)
        self._rates: dict[tuple[str, str, AutoSettings], float] = {}  # megapixels a second, by what was run
        self._images = LayerChoice(viewer, form.input.layers, lies_on_disk, "a layer, or below a path or address")
        self._seeds = LayerChoice(viewer, form.prompts.layers, are_seeds, "a layer, or below a path")
        self._models = ModelChoice(form.model)
        self._trials = Trials(viewer, form, runner, self._reporter)
        self._arrivals = Arrivals(viewer)
        self._end = at_end(_let_go, (self._images, self._seeds, self._arrivals), self._runner)  # knows nothing of self
        self._connect()
        self._show()
        for layer in reversed(viewer.layers):
            self._on_arrival(layer)

    # for scripts: what to do

    def set_input(self, source: Image | str | Path) -> None:
        """Choose the image or plate: a layer of the viewer that shows one on disk, its name, or a path or address.

        Raises
        ------
        InputError
            If the layer lies in memory only, or a job is going on. What is wrong with a path comes later, see
            `wait_idle`.
        """
        self._check_idle()
        known = isinstance(source, str) and source in self._viewer.layers
        layer = self._viewer.layers[source] if known else source
        if isinstance(layer, str | Path):
            place, level = absolute(layer), 0
        elif isinstance(layer, Image):
            place, level = image_place(layer)
        else:
            raise InputError(f"The layer {layer.name!r} is not an image: choose an image layer, a path or an address.")
        self._images.choose(layer if isinstance(layer, Image) else None)
        self._take_input(place, level)

    def set_output(self, output: str | Path | None) -> None:
        """Choose the OME-Zarr that gets the labels; None: the image itself."""
        self._check_idle()
        self._layers.preview = None
        self._choice.take_output(None if output is None else absolute(output))
        self._show()

    def set_model(self, model: str) -> None:
        """Choose the model by its name."""
        self._check_idle()
        self._models.choose(model)
        self._on_model(model)

    def set_settings(self, settings: BatchSettings | None = None, **changes: Any) -> None:
        """Choose settings, or change fields of `BatchSettings`; `auto` may be a mapping of those that differ.

        Raises
        ------
        InputError
            If a setting is unknown or not allowed; then nothing is changed.
        """
        self._check_idle()
        self._choice.take_settings(settings, changes)
        self._models.choose(self._choice.values["model"])
        self._show()

    @property
    def settings(self) -> BatchSettings:
        """The settings of the next job.

        Raises
        ------
        InputError
            If something is missing, the prompts say.
        """
        return self._choice.settings

    def set_workers(self, workers: int) -> None:
        """Run on this computer: 1 in a thread of napari, more in processes of their own, 0 for as many as fit."""
        self._check_idle()
        self._form.where.setCurrentIndex(self._form.where.findData("local"))
        self._form.workers.setValue(workers)

    def set_scheduler(self, address: str, security: str | Path = "") -> None:
        """Run on the workers of a Dask scheduler; `security` is a file with certificates, if it asks for them."""
        self._check_idle()
        self._form.where.setCurrentIndex(self._form.where.findData("cluster"))
        self._form.scheduler.setText(address)
        self._form.security.show_place(str(security))

    def set_segmenter(self, segmenter: Segmenter | None) -> None:
        """Let something else find the objects of a tile (see `segment_zarr`); None: the model."""
        self._check_idle()
        self._segmenter = segmenter
        self._form.model.setEnabled(segmenter is None)

    @property
    def plan(self) -> Plan | None:
        """What the job would do; None while that is not known."""
        return self._plan

    # for scripts: the job

    def run(self, restart: bool = False, replace_edits: bool = False) -> None:
        """Run the job in the background, or go on with it; with `restart` begin anew and replace the labels.

        Labels that were edited since the job wrote them stay and are named, unless `replace_edits` gives them up.

        Raises
        ------
        InputError
            If a job is going on, or something is missing. What only reading shows comes later, see `wait_idle`.
        """
        self._check_idle()
        task = replace(self._task(), restart=restart, replace_edits=replace_edits)
        self._result = self._ending = None
        self._layers.forget()
        self._form.show_failed(())
        self._form.show_begun()
        self._reporter.say(READY)
        self._runner.start(task)
        self._show_plan()

    def try_region(self) -> None:
        """Segment what is seen of the image, or its middle, with these settings; nothing is written.

        Raises
        ------
        InputError
            If a job is going on, something is missing, or the image was not looked at yet.
        """
        self._check_idle()
        self._trials.begin(self._task(), self._images.chosen, self._image)

    def _task(self) -> BatchTask:
        return make_task(self._choice, self._form, self.settings, self._segmenter)

    def cancel(self) -> None:
        """Stop where the work is; `run` goes on with the tiles that are not done, also in another session."""
        if self._runner.running:
            self._reporter.say("Stopping.")
            self._runner.cancel()

    def wait_idle(self, timeout: float = 900) -> None:
        """Process events until the job, and the look at the input, are done.

        Raises
        ------
        NapariSamError
            What the job failed with, or what is wrong with the input.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        super().wait_idle(timeout)

    @property
    def busy(self) -> bool:
        """Tell whether a job is going on."""
        return self._runner.running

    @property
    def result(self) -> BatchResult | None:
        """What came of the last job: `outputs`, `objects`, `failed` and `stopped`; None without any."""
        return self._result

    def open_result(self, name: str | None = None) -> Labels:
        """Add the labels as a layer that is read as it is looked at; of a plate those of the image NAME, as "A/1/0".

        While a job is at work, or was stopped, also by another session: what its tiles have found so far.

        Raises
        ------
        InputError
            If there are none yet.
        """
        shown = self._form.results.currentText()
        return self._layers.open(self._plan, self._choice.location, shown if name is None else name)

    def take_job_settings(self) -> None:
        """Take over the settings of the job that lies beside the output.

        Raises
        ------
        InputError
            If there is none.
        """
        if self._plan is None or self._plan.job_settings is None:
            raise InputError("There is no job to take settings from: choose its image, output and name.")
        self.set_settings(BatchSettings().changed(**self._plan.job_settings))

    def _connect(self) -> None:
        form, runner, guarded = self._form, self._runner, self._reporter.guarded
        actions: dict[str, Callable[[], object]] = {
            "run": lambda: self.run(form.restart.isChecked(), form.replace_edits.isChecked()),
            "cancel": self.cancel,
            "trial": self.try_region,
            "open_result": self.open_result,
            "adopt": self.take_job_settings,
        }
        for name, action in actions.items():
            getattr(form, name).clicked.connect(without_argument(guarded(action)))
        form.input.entered.connect(lambda place: guarded(lambda: self.set_input(place))())
        self._images.picked.connect(
            lambda layer: guarded(lambda: self.set_input(layer) if layer else self._take_input(""))()
        )
        form.output.entered.connect(lambda place: guarded(lambda: self.set_output(place or None))())
        form.into.activated.connect(without_argument(guarded(self._on_into)))
        form.prompts.entered.connect(lambda place: self._on_changed("prompts", place))
        self._seeds.picked.connect(lambda layer: guarded(lambda: self._on_seeds(layer))())
        form.editors.changed.connect(self._on_changed)
        form.auto.changed.connect(self._on_auto)
        form.auto.failed.connect(self._reporter.report)
        self._models.picked.connect(self._on_model)
        self._arrivals.arrived.connect(self._on_arrival)
        runner.found.connect(self._on_found)
        runner.planned.connect(self._on_planned)
        runner.lost.connect(self._on_lost)
        runner.progressed.connect(self._on_progress)
        runner.previewed.connect(self._on_preview)
        runner.unpainted.connect(self._reporter.report)
        runner.tried.connect(self._trials.finish)
        runner.ended.connect(self._on_ended)
        self.destroyed.connect(without_argument(self._end))

    def _check_idle(self) -> None:
        if self._runner.running:
            raise InputError("A job is going on: wait for its end or stop it.")

    def _on_arrival(self, layer: Layer) -> None:
        """Take the first image that comes from a disk."""
        if not self._choice.location and not self.busy and lies_on_disk(layer):
            try:
                self.set_input(layer)
            except InputError:  # a file that jobs do not read
                return

    def _take_input(self, place: str, level: int = 0) -> None:
        self._layers.preview = None
        self._choice.take_input(place, level)
        self._show()

    def _on_into(self) -> None:
        location = self._choice.location
        if self._form.into.currentData() == "beside":
            self.set_output(None)
        elif location:
            self.set_output(self._choice.output or suggest_output(location))

    def _on_seeds(self, layer: Labels | None) -> None:
        if layer is not None:
            self._on_changed("prompts", seeds_place(layer, self._choice.location))

    def _on_model(self, model: str) -> None:
        self._choice.take_model(model)
        self._show()

    def _on_auto(self, auto: AutoSettings) -> None:
        self._choice.take_auto(auto)
        self._show()

    def _on_changed(self, name: str, value: Any) -> None:
        try:
            self._choice.take_value(name, value)
        except InputError as error:
            self._reporter.report(error)
        self._show()

    def _show(self) -> None:
        """Show what was chosen, and look at it."""
        self._form.show_choice(self._choice)
        self._plan = self._image = None
        if not self._choice.location:
            self._show_plan("")
            return
        settings: BatchSettings | None = None
        try:
            settings = self.settings
        except InputError as error:  # something is still missing
            self._show_plan(str(error))
        self._runner.look(self._choice.location, self._choice.output, settings)

    def _show_plan(self, problem: str = "") -> None:
        self._form.show_plan(self._plan, self._rates.get(self._choice.kind, 0.0), problem)
        if self._layers.preview is not None:
            self._form.open_result.setEnabled(True)
        self._reporter.guide(batch_step(self._runner.running, self._plan, bool(self._choice.location)))

    def _on_found(self, found: Found) -> None:
        self._image = found.image
        self._form.found.setText(found.text)
        self._form.editors.show_levels(found.levels)
        self._form.editors.show_channels(found.image.channel_names)
        if not found.holds_labels and self._choice.take_suggestion():
            self._show()

    def _on_planned(self, plan: Plan) -> None:
        self._plan = plan
        self._show_plan()
        if self._ending is not None:
            self._reporter.say(self._ending.text)
            self._ending = None

    def _on_lost(self, error: BaseException) -> None:
        self._show_plan()
        self._form.found.setText(str(error))

    def _on_progress(self, progress: BatchProgress) -> None:
        self._form.show_progress(progress)
        self._form.show_failed(progress.failed)
        if progress.phase == "tiles":
            self._reporter.say("")
            if progress.rate and self._plan is not None:
                self._rates[self._choice.kind] = progress.rate * self._plan.pixels / self._plan.tiles / 1e6
                self._show_plan()

    def _on_preview(self, preview: TilePreview) -> None:
        self._layers.take(preview, self._choice.location)
        self._show_plan()

    def _on_ended(self, result: BatchResult, error: BaseException | None) -> None:
        self._result = result
        if result.outputs and not result.stopped:
            self._layers.finish(self._plan)
        self._form.show_idle()
        self._form.restart.setChecked(False)
        self._form.replace_edits.setChecked(False)
        if error is not None:
            self._reporter.report(error)
            if (model := self._models.fall_back(error)) is not None:
                self._choice.take_model(str(model))
        else:
            self._reporter.say(result.text)
            self._ending = result
        self._models.refresh()
        self._show()


def _let_go(held: Sequence[LayerChoice | Arrivals], runner: BatchRunner) -> None:
    """Stop and let go of the viewer. More than once does no harm."""
    if runner.closed:
        return
    for each in held:
        each.close()
    runner.close()

"""The dock `SAM Train`: teach a model one's own objects from labels in the viewer or in folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import napari
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sam.errors import InputError
from napari_sam.model.registry import check_name, user_models
from napari_sam.widgets.dock import Dock, plain_viewer
from napari_sam.widgets.layer_choice import LayerChoice, find_layer, first_image, is_image
from napari_sam.widgets.model_choice import ModelChoice
from napari_sam.widgets.next_step import train_step
from napari_sam.widgets.overlay import is_overlay
from napari_sam.widgets.reporter import without_argument
from napari_sam.widgets.shutdown import at_end
from napari_sam.widgets.train_data import LayerPair
from napari_sam.widgets.train_engine import Estimate, Saved, Started, TrainTask
from napari_sam.widgets.train_form import TrainForm
from napari_sam.widgets.train_runner import TrainRunner
from napari_sam.widgets.train_sources import TrainSources

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam
    from napari_sam.training.finetune_score import HeldOutScore
    from napari_sam.training.finetune_settings import FinetuneSettings

__all__ = ["TrainDock"]

MINUTES = 10.0
HELD_OUT = 20  # percent


class TrainDock(Dock):
    """Fine-tune a model in the background and add the result to the model lists.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it.
    """

    _missing = "The model was not there"
    _form: TrainForm

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        napari_viewer = plain_viewer(napari_viewer)
        runner = TrainRunner()
        super().__init__(napari_viewer, runner, TrainForm())
        self._runner = runner
        self._model: str | Sam = "cells"
        self._more: dict[str, Any] = {}  # settings that have no control
        self._own_name = False  # whether anyone chose a name
        self._result: Saved | None = None
        self._images = LayerChoice(napari_viewer, self._form.image, is_image, "choose an image", eager=True)
        self._labels = LayerChoice(napari_viewer, self._form.labels, _is_target, "choose its labels", eager=True)
        self._sources = TrainSources(napari_viewer, self._form.sources)
        self._models = ModelChoice(self._form.model)
        self._end = at_end(_let_go, (self._images, self._labels), self._sources, self._runner)  # knows nothing of self
        self._form.minutes.setValue(MINUTES)
        self._form.held_out.setValue(HELD_OUT)
        self._form.complete.setChecked(True)
        self._connect()
        self._images.choose(first_image(napari_viewer))
        self._labels.choose(next((layer for layer in reversed(napari_viewer.layers) if _is_target(layer)), None))
        self._refresh()

    # for scripts: what to learn from

    def add_layers(self, image: Image | str, labels: Labels | str) -> None:
        """Learn from an image layer and its labels layer; of stacks from the planes that have labels.

        Raises
        ------
        InputError
            If they are no such layers or their sizes differ.
        """
        found, drawn = find_layer(self._viewer, image), find_layer(self._viewer, labels)
        if not is_image(found):
            raise InputError(f"The layer {found.name!r} is not an image: choose an image layer.")
        if not isinstance(drawn, Labels):
            raise InputError(f"The layer {drawn.name!r} is not a labels layer: choose the labels of {found.name!r}.")
        self._check_idle()
        self._sources.add(LayerPair.shown(self._viewer, found, drawn))

    def add_folder(self, path: str | Path) -> None:
        """Learn from a folder with `images/` and `labels/`, or another source that `napari-sam train` takes."""
        self._check_idle()
        self._sources.add(Path(path))

    def clear_data(self) -> None:
        """Take everything from the list of what is learnt from."""
        self._check_idle()
        self._sources.remove(list(range(self._form.sources.count())))

    @property
    def data(self) -> list[str]:
        """What is learnt from, as the card calls it."""
        return self._sources.names

    # for scripts: how

    def set_model(self, model: Sam | str) -> None:
        """Choose the model to start from, by name or a model that was loaded or built; it stays as it is."""
        self._models.choose(model)
        self._on_model(model)

    def set_settings(self, mode: str | None = None, **changes: Any) -> None:
        """Choose the mode ("decoder", "lora" or "all") and any other field of `FinetuneSettings`.

        Raises
        ------
        InputError
            If a setting is unknown or its value not allowed; then nothing is changed.
        """
        from napari_sam.training.finetune_settings import finetune_settings

        form = self._form
        chosen = finetune_settings(mode or form.mode.currentData(), self._overrides() | changes)
        form.mode.setCurrentIndex(form.mode.findData(chosen.mode))
        form.minutes.setValue(chosen.minutes)
        form.complete.setChecked(chosen.complete_labels)
        self._more |= {name: value for name, value in changes.items() if name not in ("minutes", "complete_labels")}
        self._refresh()

    @property
    def settings(self) -> FinetuneSettings:
        """The settings of the next run."""
        from napari_sam.training.finetune_settings import finetune_settings

        return finetune_settings(self._form.mode.currentData(), self._overrides())

    def set_held_out(self, share: float) -> None:
        """Choose the share of images (0 to 0.9) that are scored on and not learnt from."""
        if not 0 <= share <= 0.9:
            raise InputError(f"The held-out share is {share}: give a number from 0 to 0.9.")
        self._form.held_out.setValue(round(100 * share))

    def set_name(self, name: str) -> None:
        """Choose the name of the result; empty: one is made of the model and the data."""
        self._own_name = bool(name)
        self._form.name.setText(name)
        self._refresh()

    # for scripts: the run

    def start(self) -> None:
        """Fine-tune in the background.

        Raises
        ------
        InputError
            If a run is going on, there is nothing to learn from, or the name is not usable. What only reading the data
            shows comes later, see `wait_idle`.
        """
        self._check_idle()
        if not self.data:
            raise InputError(
                "There is nothing to learn from: choose an image and its labels and press Add layers, or add a folder."
            )
        name = self._form.name.text().strip()
        check_name(name)
        if name in {row.name for row in user_models()}:
            raise InputError(f"A model {name!r} is in the list already: choose another name, such as {_free(name)!r}.")
        task = TrainTask(
            model=self._model,
            pairs=tuple(pair.planes() for pair in self._sources.pairs),
            folders=tuple(self._sources.folders),
            data=tuple(self.data),
            held_out=self._form.held_out.value() / 100,
            settings=self.settings,
            name=name,
        )
        self._result = None
        self._form.plot.start(task.settings.steps)
        self._form.pictures.clear()
        self._form.scores.clear()
        self._reporter.say("Getting ready.")
        self._runner.start(task)
        self._show_next_step()

    def cancel(self) -> None:
        """Stop within one step; the best weights so far become the model."""
        if self._runner.running:
            self._reporter.say("Stopping after this step.")
            self._runner.cancel()

    def wait_idle(self, timeout: float = 900) -> None:
        """Process events until the run and the memory estimate are done.

        Raises
        ------
        NapariSamError
            What the run failed with.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        super().wait_idle(timeout)

    @property
    def busy(self) -> bool:
        """Tell whether a run is going on."""
        return self._runner.running

    @property
    def result(self) -> Saved | None:
        """What came of the last run: `name`, `card`, `record` and `stopped`; None without any."""
        return self._result

    def _connect(self) -> None:
        form, runner, guarded = self._form, self._runner, self._reporter.guarded
        actions: dict[str, Callable[[], object]] = {
            "add": self._add_chosen,
            "add_folder": self._ask_folder,
            "remove": self._sources.remove_selected,
            "start": self.start,
            "cancel": self.cancel,
        }
        for name, action in actions.items():
            getattr(form, name).clicked.connect(without_argument(guarded(action)))
        form.mode.activated.connect(without_argument(self._refresh))
        form.name.textEdited.connect(self._on_name)
        self._models.picked.connect(self._on_model)
        for choice in (self._images, self._labels):
            choice.picked.connect(self._show_next_step)
        self._sources.changed.connect(self._refresh)
        runner.progressed.connect(form.show_progress)
        runner.learnt.connect(form.plot.add_loss)
        runner.scored.connect(self._on_score)
        runner.drawn.connect(form.pictures.show_pictures)
        runner.started.connect(self._on_started)
        runner.saved.connect(self._on_saved)
        runner.ended.connect(self._on_ended)
        runner.estimated.connect(self._on_estimate)
        self.destroyed.connect(without_argument(self._end))

    def _add_chosen(self) -> None:
        if self._images.chosen is None or self._labels.chosen is None:
            raise InputError("No pair is chosen: choose an image layer and the labels layer with its objects.")
        self.add_layers(self._images.chosen, self._labels.chosen)

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder with images and labels")
        if path:
            self.add_folder(path)

    def _check_idle(self) -> None:
        if self._runner.running:
            raise InputError("A run is going on: wait for its end or stop it.")

    def _overrides(self) -> dict[str, Any]:
        form = self._form
        return self._more | {"minutes": form.minutes.value(), "complete_labels": form.complete.isChecked()}

    def _on_model(self, model: Sam | str) -> None:
        self._model = model
        self._refresh()

    def _go_back(self, error: BaseException) -> None:
        """Start from the last model that can be had."""
        if (model := self._models.fall_back(error)) is not None:
            self._on_model(cast("Sam | str", model))

    def _on_name(self, text: str) -> None:
        self._own_name = bool(text)

    def _refresh(self) -> None:
        """Bring name and memory estimate up to date."""
        if not self._own_name:
            base = self._model if isinstance(self._model, str) else self._model.name
            self._form.name.setText(_free(f"{base}_{self._sources.first_name or 'mine'}"))
        if not self.data:
            self._form.memory.setText("")
        elif not self._runner.running:
            self._form.memory.setText("Estimating the memory…")
            self._runner.estimate(self._model, self.settings)
        self._show_next_step()

    def _show_next_step(self, _layer: Layer | None = None) -> None:
        opened = self._images.chosen is not None
        paired = opened and self._labels.chosen is not None
        learnt = self._result.name if self._result is not None else ""
        self._reporter.guide(train_step(self._runner.running, opened, paired, bool(self.data), learnt))

    def _on_estimate(self, found: Estimate | BaseException) -> None:
        if isinstance(found, Estimate):
            text = f"Takes about {found.needed / 1e9:.1f} GB of memory; {found.free / 1e9:.1f} GB are free."
            advice = "" if found.fits else " <b>That will not do:</b> choose another mode or a smaller model."
            self._form.memory.setText(text + advice)
        else:
            self._form.memory.setText(f"The memory is not known: {found}")

    def _on_started(self, what: Started) -> None:
        self._reporter.say(
            f"Learning from {what.objects} objects in {what.images} images; images held out: {what.held_out}."
        )

    def _on_score(self, step: int, score: HeldOutScore, before: HeldOutScore) -> None:
        self._form.plot.add_score(step, score.one_click, score.box)
        self._form.scores.setText(
            f"Held-out IoU, one click: {before.one_click:.2f} before, {score.one_click:.2f} now; "
            f"box: {before.box:.2f} before, {score.box:.2f} now."
        )

    def _on_saved(self, what: Saved) -> None:
        self._result = what
        _add_to_lists()
        self._reporter.say(_outcome(what))

    def _on_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._reporter.report(error)
            self._go_back(error)
        elif self._result is None:
            self._reporter.say("Stopped before anything was learnt: nothing was saved.")
        self._models.refresh()
        self._refresh()


def _outcome(what: Saved) -> str:
    """Say what came of a run."""
    record = what.record
    begin = f"{'Stopped. ' if what.stopped else ''}{what.name} is in the model lists now"
    before, after = record.before, record.after
    if before is None or after is None:
        return f"{begin}; no image was held out, so nothing was measured. Card: {what.card}"
    if not record.gained:
        return (
            f"{begin}, but nothing scored better than {record.base} on the held-out images, so it is the same: "
            f"add images or take more time. Card: {what.card}"
        )
    return (
        f"{begin}. Held-out IoU, one click: {before.one_click:.2f} → {after.one_click:.2f}, "
        f"box: {before.box:.2f} → {after.box:.2f}. Card: {what.card}"
    )


def _add_to_lists() -> None:
    """Let every open dock offer the user's models, leaving its choice as it is."""
    for window in QApplication.topLevelWidgets():
        for choice in window.findChildren(ModelChoice):
            choice.refresh()


def _free(name: str) -> str:
    """Return a usable name like this that no model has."""
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-") or "model"
    taken = {row.name for row in user_models()}
    number, found = 2, clean
    while found in taken:
        number, found = number + 1, f"{clean}_{number}"
    return found


def _is_target(layer: Layer) -> bool:
    return isinstance(layer, Labels) and not is_overlay(layer)


def _let_go(choices: Sequence[LayerChoice], sources: TrainSources, runner: TrainRunner) -> None:
    """Stop and let go of the viewer. More than once does no harm."""
    if runner.closed:
        return
    for choice in choices:
        choice.close()
    sources.close()
    runner.close()

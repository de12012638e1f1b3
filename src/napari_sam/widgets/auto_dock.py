"""The dock `SAM Auto`: all objects of an image at once, filtered and edited without another run of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import napari
import numpy as np
from napari.layers import Image, Labels, Layer, Shapes

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.errors import InputError
from napari_sam.io.mask_entries import left_out
from napari_sam.io.mask_files import read_mask_entries, write_masks
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.widgets.auto_form import AutoForm
from napari_sam.widgets.auto_keys import key_actions
from napari_sam.widgets.auto_session import AutoSession
from napari_sam.widgets.auto_summary import count_text, result_text
from napari_sam.widgets.bindings import AUTO_BINDINGS, KeyBindings
from napari_sam.widgets.dock import ImageDock, plain_viewer
from napari_sam.widgets.label_measurer import ask_table
from napari_sam.widgets.layer_choice import LayerChoice, find_layer, first_image, is_image
from napari_sam.widgets.layer_undo import LayerUndo
from napari_sam.widgets.mask_dialogs import ask_open_masks, ask_save_masks
from napari_sam.widgets.model_choice import ModelChoice, is_windowed
from napari_sam.widgets.next_step import auto_step
from napari_sam.widgets.object_tools import ObjectTools
from napari_sam.widgets.plane import base_level
from napari_sam.widgets.prompt_handover import hand_over_boxes, hand_over_label
from napari_sam.widgets.prompt_layers import is_prompt_layer
from napari_sam.widgets.reporter import without_argument
from napari_sam.widgets.shutdown import at_end
from napari_sam.widgets.view_region import draw_region, show_plane

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam
    from napari_sam.widgets.prompt_dock import PromptDock

__all__ = ["AutoDock"]

REGION = "SAM Auto region"


class AutoDock(ImageDock):
    """Find all objects of an image, choose among them by sliders, and correct them by clicks.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it.
    """

    _missing = "The masks were not there"
    _session: AutoSession
    _form: AutoForm

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        napari_viewer = plain_viewer(napari_viewer)
        super().__init__(napari_viewer, AutoSession(napari_viewer), AutoForm())
        self._board = self._session.board
        self._own_settings = False  # whether anyone chose settings
        self._summarise = False  # whether to say what came of the run, once it is over
        self._images = LayerChoice(napari_viewer, self._form.image, is_image, "choose an image", eager=True)
        self._shapes = LayerChoice(napari_viewer, self._form.shapes, _is_drawing, "choose shapes", eager=True)
        self._targets = LayerChoice(napari_viewer, self._form.labels, self._is_target, "new layer")
        self._models = ModelChoice(self._form.model)
        self._tools = ObjectTools(
            napari_viewer, self._session, self._form.tools, self._form.merge, self._object_actions()
        )
        choices = self._images, self._shapes, self._targets
        actions = key_actions(self, self._board, self._tools, self._reporter.guarded)
        keys = self._bind_keys(actions, AUTO_BINDINGS)
        self._layer_undo = LayerUndo(self._board.history_of, actions["undo"], actions["redo"])
        self._end = at_end(_let_go, self._tools, keys, self._layer_undo, choices, self._session)
        self._connect()
        if (image := first_image(napari_viewer)) is not None:
            self.set_image(image)

    # for scripts: what to work on

    def set_image(self, layer: Image | str) -> None:
        """Choose the image layer, by itself or by name."""
        found = find_layer(self._viewer, layer)
        if not is_image(found):
            raise InputError(f"The layer {found.name!r} is not an image: choose an image layer.")
        self._images.choose(found)
        self._on_image(found)

    def set_model(self, model: Sam | str) -> None:
        """Choose the model, by name or a model that was loaded or built; it is loaded in the background."""
        self._models.choose(model)
        self._on_model(model)

    def set_labels_layer(self, layer: Labels | str | None) -> None:
        """Choose the labels layer to write to; None: a new one. Labels that are in it already stay as they are."""
        found = None if layer is None else find_layer(self._viewer, layer)
        if found is not None and not isinstance(found, Labels):
            raise InputError(f"The layer {found.name!r} is not a labels layer: choose one, or None for a new one.")
        self._board.set_layer(found)
        self._refresh()

    def set_region(self, layer: Shapes | str) -> None:
        """Choose the shapes layer whose selected (or last) rectangle is the region."""
        found = find_layer(self._viewer, layer)
        if not isinstance(found, Shapes):
            raise InputError(f"The layer {found.name!r} is not a shapes layer: choose one with a rectangle in it.")
        self._shapes.choose(found)

    def set_settings(self, settings: AutoSettings | str, **changes: Any) -> None:
        """Choose settings, or a preset by name, with some of them changed."""
        chosen = load_auto_settings(settings) if isinstance(settings, str) else settings
        chosen = chosen.changed(**changes) if changes else chosen
        self._own_settings = True
        self._form.settings.show_settings(chosen)
        self._board.set_settings(chosen)
        self._board.filter_now()

    def set_filter(self, **changes: Any) -> None:
        """Change settings of the filter (`pred_iou_thresh=0.8, min_area=20`) at once, without the model."""
        self.set_settings(self.settings, **changes)

    @property
    def settings(self) -> AutoSettings:
        """The settings of the next run, and of the filter."""
        return self._board.settings

    # for scripts: runs

    def preview(self) -> None:
        """Search what the window shows of the displayed plane, and write no labels."""
        self._session.preview()

    def run(self, where: str = "plane") -> None:
        """Search the displayed "plane", a "region" of it, or every plane of the "stack", and write labels."""
        self._summarise = True
        self._session.run(where, self._shapes.chosen)
        self._refresh()

    def cancel(self) -> None:
        """Stop a run within one step of the model; what was found stays, and the same run goes on from there."""
        self._session.runner.cancel()

    # for scripts: objects

    @property
    def objects(self) -> dict[int, MaskRecord]:
        """The objects on the displayed plane by label, each with exactly the pixels that its label has."""
        return dict(self._board.objects())

    @property
    def records(self) -> list[MaskRecord]:
        """The same without their labels."""
        return list(self._board.objects().values())

    @property
    def labels_layer(self) -> Labels | None:
        """The labels layer that is written to; None before the first run. Its `features` hold the table of objects."""
        return self._board.layer

    def accept(self, label: int) -> None:
        """Settle an object: no filter and no run changes it any more."""
        self._board.accept(label)
        self._reporter.say(f"Object {label} is settled: sliders and runs leave it as it is.")

    def delete(self, label: int) -> None:
        """Remove an object."""
        self._board.delete(label)
        self._reporter.say(f"Object {label} is removed.")

    def merge(self, labels: Sequence[int]) -> int:
        """Make one object of several and return its label, the first one's."""
        label = self._board.merge(list(labels))
        self._reporter.say(f"{len(labels)} objects are one now, object {label}.")
        return label

    def link_planes(self, axis: int | None = None) -> int:
        """Give objects that are one on neighbouring planes one label, and settle them; return how many there are.

        Parameters
        ----------
        axis
            Of the image, along which planes are neighbours; None: the last that is not displayed. Along an axis called
            t or time objects are one where they overlap; along others as sections of bodies are.
        """
        count = self._board.link(axis)
        self._reporter.say(f"{count} objects after linking; each has one label on all of its planes. Undo parts them.")
        return count

    def refine(self, label: int) -> PromptDock:
        """Go on with an object in the dock SAM Prompts, where accepting replaces it; return that dock."""
        image, layer = self._session.view.layer, self._board.layer
        plane = self._board.plane_of(label)
        self._board.accept(label)
        assert image is not None  # noqa: S101 - it has the object
        assert layer is not None  # noqa: S101
        show_plane(self._viewer, image, plane)
        self._reporter.say(f"Correct object {label} with clicks in SAM Prompts, then accept it there.")
        view = self._session.view
        return hand_over_label(self._viewer, image, layer, label, view)

    def undo(self) -> None:
        """Take back the last run, edit or import."""
        self._board.undo()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._board.redo()

    # for scripts: files

    def export(self, path: str | Path) -> None:
        """Write the objects of the displayed plane with their table: .json (COCO), .geojson, .zip (ImageJ) or .csv."""
        image, plane = self._session.view.place()
        table = {name: column for name, column in self._board.table().items() if name != "index"}
        write_masks(path, self.records, features=table, image_name=image.name, shape=plane.shape)
        self._reporter.say(f"{len(self.records)} objects written to {Path(path).name}.")

    def measure(self, path: str | Path) -> None:
        """Write a table of all objects of the labels layer, of every plane: .csv or .parquet; see `ns.measure`."""
        self._session.measure(path)

    def import_masks(self, path: str | Path, as_prompts: bool = False) -> list[int]:
        """Read such a file into the labels of the displayed plane, where nothing is settled yet.

        Parameters
        ----------
        path
            The file.
        as_prompts
            Give the dock SAM Prompts a box around each object instead.

        Returns
        -------
        list
            The labels of the objects, empty with `as_prompts`.
        """
        image, plane = self._session.view.place()
        found = read_mask_entries(path, plane.shape)
        records, odd = found.records, left_out(found.problems, Path(path).name)
        view, name = self._session.view, Path(path).name
        if as_prompts:
            hand_over_boxes(self._viewer, image, [r.box for r in records], view)
            self._reporter.say(f"{len(records)} boxes of {name} are in SAM Prompts. {odd}".strip())
            return []
        labels = self._board.add_objects(records)
        self._reporter.say(
            f"{len(labels)} of {len(records)} objects of {name} added; the others are there already. {odd}".strip()
        )
        return labels

    # for the mouse

    def switch_tool(self, tool: str | None) -> None:
        """Let clicks on objects "accept", "delete", "merge" or "refine" them; None: do nothing."""
        self._tools.switch(tool)

    def draw_region(self) -> None:
        """Get a shapes layer ready for a rectangle."""
        image, _ = self._session.view.place()
        self._shapes.choose(draw_region(self._viewer, image, self._shapes.chosen, REGION))

    def _connect(self) -> None:
        form, session, guarded = self._form, self._session, self._reporter.guarded
        actions: dict[str, Callable[[], object]] = {
            "preview": self.preview,
            "run": lambda: self.run(form.where.currentData()),
            "cancel": self.cancel,
            "draw": self.draw_region,
            "merge": self.merge_marked,
            "link": self.link_planes,
            "undo": self.undo,
            "redo": self.redo,
            "export": self._ask_export,
            "measure": self._ask_measure,
            "load": self._ask_import,
            "load_prompts": lambda: self._ask_import(as_prompts=True),
        }
        for name, action in actions.items():
            getattr(form, name).clicked.connect(without_argument(guarded(action)))
        form.settings.changed.connect(self._on_settings)
        form.settings.failed.connect(self._reporter.report)
        self._images.picked.connect(self._on_image)
        self._targets.picked.connect(lambda layer: guarded(lambda: self.set_labels_layer(layer))())
        self._models.picked.connect(self._on_model)
        session.changed.connect(self._refresh)
        session.view.moved.connect(self._refresh)
        session.said.connect(self._reporter.say)
        session.failed.connect(self._on_failed)
        self._tools.changed.connect(self._show_next_step)
        session.runner.progressed.connect(form.show_progress)
        session.runner.ended.connect(without_argument(self._models.refresh))
        self.destroyed.connect(without_argument(self._end))
        self._refresh()

    def _object_actions(self) -> dict[str, Callable[[int], object]]:
        guarded = self._reporter.guarded
        return {
            "accept": lambda label: guarded(lambda: self.accept(label))(),
            "delete": lambda label: guarded(lambda: self.delete(label))(),
            "refine": lambda label: guarded(lambda: self.refine(label))(),
        }

    def merge_marked(self) -> None:
        """Make one object of those that are marked."""
        if len(self._tools.marked) < 2:
            raise InputError("Fewer than two objects are marked: point at each that belongs together and press G.")
        self.merge(self._tools.marked)
        self._tools.clear()

    def _ask_export(self) -> None:
        image, _ = self._session.view.place()
        if (path := ask_save_masks(self, image.name)) is not None:
            self.export(path)

    def _ask_measure(self) -> None:
        image, _ = self._session.view.place()
        if (path := ask_table(self, image.name)) is not None:
            self.measure(path)

    def _ask_import(self, as_prompts: bool = False) -> None:
        if (path := ask_open_masks(self)) is not None:
            self.import_masks(path, as_prompts=as_prompts)

    def _on_image(self, image: Image | None) -> None:
        self._session.set_image(image)
        if image is not None:
            shape = base_level(image).shape[: image.ndim]
            self._form.settings.set_largest(int(np.prod(shape[-2:])))
        self._targets.refill()

    def _on_model(self, model: Sam | str) -> None:
        """Take a model, and the settings that suit it unless anyone chose some."""
        self._session.view.set_model(model)
        if not self._own_settings:
            settings = load_auto_settings("cells" if is_windowed(model) else "natural")
            self._form.settings.show_settings(settings)
            self._board.set_settings(settings)

    def _on_failed(self, error: BaseException) -> None:
        self._reporter.report(error)
        if (model := self._models.fall_back(error)) is not None:
            self._on_model(cast("Sam | str", model))

    def _on_settings(self, settings: AutoSettings) -> None:
        self._own_settings = True
        self._board.set_settings(settings)
        self._refresh()

    def _refresh(self) -> None:
        form, session = self._form, self._session
        if self._targets.chosen is not self._board.layer:
            self._targets.choose(self._board.layer)
        running, sheet = session.runner.busy, self._board.sheet
        for button in (form.preview, form.run):
            button.setEnabled(not running)
        form.count.setText(count_text(session))
        form.undo.setEnabled(sheet is not None and sheet.history.can_undo)
        form.redo.setEnabled(sheet is not None and sheet.history.can_redo)
        form.export.setEnabled(bool(sheet is not None and any(sheet.objects.values())))
        if self._summarise and not running and not self._board.choosing:
            self._summarise = False
            if session.completed:
                self._reporter.say(result_text(session))
        image = self._session.view.layer
        form.link.setVisible(image is not None and image.ndim > 2)
        self._layer_undo.follow(self._board.layer)
        self._tools.show()
        self._show_next_step()

    def _show_next_step(self) -> None:
        self._reporter.guide(auto_step(self._session, len(self._tools.marked), self._tools.tool))


def _is_drawing(layer: Layer) -> bool:
    return isinstance(layer, Shapes) and not is_prompt_layer(layer)


def _let_go(
    tools: ObjectTools,
    keys: KeyBindings,
    layer_undo: LayerUndo,
    choices: Sequence[LayerChoice],
    session: AutoSession,
) -> None:
    """End the session and let go of the viewer; the user's layers stay. More than once does no harm."""
    tools.close()
    keys.release()
    layer_undo.follow()
    for choice in choices:
        choice.close()
    session.close()

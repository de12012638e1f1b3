"""The dock `SAM Prompts`: click, box or scribble on an object, get its outline as a label; for mouse and scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import napari
import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels

from napari_sam.errors import InputError
from napari_sam.widgets.bindings import BINDINGS, KeyBindings
from napari_sam.widgets.dock import ImageDock, plain_viewer
from napari_sam.widgets.layer_choice import LayerChoice, find_layer, first_image, is_image
from napari_sam.widgets.layer_undo import LayerUndo
from napari_sam.widgets.model_choice import ModelChoice
from napari_sam.widgets.next_step import prompt_step
from napari_sam.widgets.object_prompts import MaskSeed
from napari_sam.widgets.positions import box_corners, complete_positions
from napari_sam.widgets.prompt_form import PromptForm
from napari_sam.widgets.reporter import without_argument
from napari_sam.widgets.session import PromptSession
from napari_sam.widgets.shutdown import at_end

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam
    from napari_sam.widgets.candidates import Candidate

__all__ = ["PromptDock"]

LEAST_CORNERS = {"path": 1, "polygon": 3}
NAMES = {"path": "scribble"}


class PromptDock(ImageDock):
    """Prompt a model with clicks, boxes, shapes, scribbles and labels, and write what it finds to a labels layer.

    Positions are data coordinates of the image layer, in array order: (row, col) in the displayed plane, or with all
    axes, in which case the slider moves there.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it.
    """

    _missing = "The prediction was not there"
    _session: PromptSession
    _form: PromptForm

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        napari_viewer = plain_viewer(napari_viewer)
        super().__init__(napari_viewer, PromptSession(napari_viewer), PromptForm())
        self._images = LayerChoice(napari_viewer, self._form.image, is_image, "choose an image", eager=True)
        self._targets = LayerChoice(napari_viewer, self._form.labels, self._is_target, "new layer")
        self._models = ModelChoice(self._form.model)
        actions, session = self._actions(), self._session
        keys = self._bind_keys(actions, BINDINGS)
        layer_undo = LayerUndo(lambda _layer: session.history, actions["undo"], actions["redo"])
        session.target.on_layers = layer_undo.follow
        self._end = at_end(_let_go, keys, self._images, self._targets, session)  # knows nothing of self
        self._connect()
        self._choose_first_image()

    # for scripts: what to work on

    def set_image(self, layer: Image | str) -> None:
        """Choose the image layer, by itself or by name.

        Raises
        ------
        InputError
            If there is no such image layer.
        """
        found = find_layer(self._viewer, layer)
        if not is_image(found):
            raise InputError(f"The layer {found.name!r} is not an image: choose an image layer.")
        self._session.view.set_layer(found)
        self._images.choose(found)
        self._targets.refill()

    def set_model(self, model: Sam | str) -> None:
        """Choose the model, by name or a model that was loaded or built; it is loaded in the background."""
        self._models.choose(model)
        self._session.view.set_model(model)

    @property
    def model(self) -> Sam | str:
        """The model, or its name."""
        return self._session.view.model

    def set_labels_layer(self, layer: Labels | str | None) -> None:
        """Choose the labels layer to write to; None: a new one."""
        found = None if layer is None else find_layer(self._viewer, layer)
        if found is not None and not isinstance(found, Labels):
            raise InputError(f"The layer {found.name!r} is not a labels layer: choose one, or None for a new one.")
        self._session.target.set_layer(found)
        self._targets.choose(found)
        self._refresh()

    def set_labels_place(self, place: str) -> None:
        """Choose where new labels of a large OME-Zarr image go: "beside" it or "inside" of it; remembered.

        Raises
        ------
        InputError
            If there is no such place.
        """
        self._session.target.choose_place(place)
        self._form.place.setCurrentIndex(self._form.place.findData(place))

    @property
    def labels_place(self) -> str:
        """Where new labels of a large OME-Zarr image go: "beside" it, unless anyone chose "inside"."""
        return self._session.target.place_of_new

    def set_one_per_shape(self, one_per_shape: bool) -> None:
        """Choose whether each shape is an object of its own."""
        self._form.one_per_shape.setChecked(one_per_shape)

    def set_same_label(self, same: bool) -> None:
        """Choose whether accepted objects join the selected label, as one object on several planes does."""
        self._form.same_label.setChecked(same)

    def set_keep_existing(self, keep: bool) -> None:
        """Choose whether pixels that already have a label keep it."""
        self._form.keep_existing.setChecked(keep)

    # for scripts: prompts

    def add_point(self, position: Sequence[float], positive: bool = True) -> None:
        """Add a point that is part of the object, or not."""
        place = complete_positions(self._viewer, self._session.view, [position])
        self._session.layers.add_points(self._image, place, positive)

    def add_box(self, box: Sequence[float]) -> None:
        """Add a box (row0, col0, row1, col1) with exclusive ends, in the displayed plane."""
        self._add_shape("rectangle", box_corners(box))

    def add_boxes(self, boxes: Sequence[Sequence[float]]) -> None:
        """Add many boxes at once."""
        places = [complete_positions(self._viewer, self._session.view, box_corners(box)) for box in boxes]
        self._session.layers.add_shapes(self._image, "rectangle", places)

    def add_ellipse(self, box: Sequence[float]) -> None:
        """Add the ellipse that fills a box (row0, col0, row1, col1), in the displayed plane."""
        self._add_shape("ellipse", box_corners(box))

    def add_polygon(self, vertices: Sequence[Sequence[float]]) -> None:
        """Add a polygon around the object; it snaps to the outline."""
        self._add_shape("polygon", vertices)

    def add_scribble(self, vertices: Sequence[Sequence[float]], positive: bool = True) -> None:
        """Add a path; points along it are part of the object, or not."""
        self._add_shape("path", vertices, positive)

    def add_mask(self, mask: npt.ArrayLike) -> None:
        """Start from a (H, W) mask of the displayed plane."""
        found, (_, plane) = np.asarray(mask, dtype=bool), self._session.view.place()
        if found.shape != plane.shape or not found.any():
            raise InputError(
                f"The mask has the shape {found.shape} and {int(found.sum())} pixels: "
                f"give a mask of the shape {plane.shape} that is not empty."
            )
        self._session.set_seed(MaskSeed.of(found))

    def improve_label(self, label: int | None = None) -> None:
        """Start from a label of the labels layer (None: its selected one), and let the mouse click on what is wrong.

        Accepting replaces that label.
        """
        self._session.improve_label(label)
        self.start("point")

    # for scripts: predictions

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The masks offered for the current object, best first: each has a `score` and a (H, W) bool `mask`."""
        return self._session.candidates

    @property
    def candidate_index(self) -> int:
        """Which of the candidates is chosen."""
        return self._session.choice

    def choose(self, candidate: int) -> None:
        """Choose a candidate by its index."""
        if not 0 <= candidate < len(self.candidates):
            raise InputError(f"There is no candidate {candidate}: there are {len(self.candidates)}, numbered from 0.")
        self._session.choose(candidate)

    def next_candidate(self) -> int:
        """Choose the next candidate and return its index."""
        if self.candidates:
            self._session.choose((self.candidate_index + 1) % len(self.candidates))
        return self.candidate_index

    def next_object(self) -> None:
        """Go to the next unfinished object, with one object per shape."""
        self._session.next_object()

    def accept(self, label: int | None = None) -> int:
        """Write the chosen mask of the current object to the labels layer and return its label.

        Parameters
        ----------
        label
            A label to join, on this plane or another; None: a new one, or the selected one (see `set_same_label`).
        """
        written = self._session.accept(label)
        self._targets.choose(self._session.target.layer)
        return written

    def accept_all(self) -> list[int]:
        """Write the chosen masks of all unfinished objects in the plane and return their labels."""
        labels = self._session.accept_all()
        self._targets.choose(self._session.target.layer)
        return labels

    def paint_by_hand(self) -> Labels:
        """Open what the canvas shows of labels on disk in a layer for napari's brush, and return it."""
        return self._session.target.paint_by_hand(*self._session.view.place())

    def discard(self) -> None:
        """Remove the prompts of the current object."""
        self._session.discard()

    def undo(self) -> None:
        """Take back the last change of a prompt, discard or accept."""
        self._session.undo()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._session.redo()

    def cancel(self) -> None:
        """Stop what runs."""
        self._session.service.cancel()

    def flip_polarity(self) -> None:
        """Turn what the next clicks say around: part of the object, or not."""
        (self._form.negative if self._session.layers.positive else self._form.positive).click()

    @property
    def labels_layer(self) -> Labels | None:
        """The labels layer that is written to; None before the first object is accepted."""
        return self._session.target.layer

    @property
    def journal_path(self) -> Path | None:
        """The file that prompts and labels are recorded in; None before the first prediction."""
        return self._session.journal.path

    # for the mouse

    def start(self, tool: str = "point") -> None:
        """Make the prompt layers and the labels layer, and get the tool ready."""
        image = self._image
        self._session.layers.ensure(image)
        self._session.target.ensure(image)
        self._targets.choose(self._session.target.layer)
        self._session.layers.take(image, tool)

    def _connect(self) -> None:
        form, session = self._form, self._session
        for name, action in self._actions().items():
            if (button := getattr(form, name, None)) is not None:
                button.clicked.connect(without_argument(action))
        for tool, button in form.tools.items():
            button.clicked.connect(without_argument(self._reporter.guarded(partial(self.start, tool))))
            button.clicked.connect(without_argument(self._show_tool))  # also where it could not be taken
        form.improve.clicked.connect(without_argument(self._reporter.guarded(self.improve_label)))
        form.paint_by_hand.clicked.connect(without_argument(self._reporter.guarded(self.paint_by_hand)))
        form.cancel.clicked.connect(without_argument(self.cancel))
        form.positive.toggled.connect(session.layers.set_polarity)
        form.place.activated.connect(lambda i: self.set_labels_place(form.place.itemData(i)))
        form.one_per_shape.toggled.connect(session.set_one_per_shape)
        form.keep_existing.toggled.connect(session.set_keep_existing)
        form.same_label.toggled.connect(lambda on: session.join.switch(on, session.target.layer))
        form.candidates.hovered.connect(session.hover)
        form.candidates.chosen.connect(session.choose)
        self._images.picked.connect(session.view.set_layer)
        self._targets.picked.connect(self.set_labels_layer)
        self._models.picked.connect(session.view.set_model)
        session.changed.connect(self._refresh)
        session.tool_changed.connect(self._show_tool)
        session.said.connect(self._reporter.say)
        session.failed.connect(self._on_failed)
        session.service.progressed.connect(self._show_progress)
        session.service.ended.connect(without_argument(self._models.refresh))
        self.destroyed.connect(without_argument(self._end))
        self._refresh()

    def _actions(self) -> dict[str, Callable[[], object]]:
        names = ("next_candidate", "flip_polarity", "accept", "accept_all", "next_object", "discard", "undo", "redo")
        return {name: self._reporter.guarded(getattr(self, name)) for name in names}

    def _show_tool(self) -> None:
        in_hand = self._session.layers.tool
        for tool, button in self._form.tools.items():
            button.setChecked(tool == in_hand)

    def _show_progress(self, done: int, total: int, text: str) -> None:
        bar = self._form.progress
        bar.setVisible(bool(text))
        self._form.cancel.setVisible(bool(text))
        bar.setRange(0, total)
        bar.setValue(done)
        bar.setFormat(f"{text} %p%" if total else text)

    def _refresh(self) -> None:
        form, session = self._form, self._session
        found = session.candidates
        if self._targets.chosen is not session.target.layer:  # labels were found on disk
            self._targets.choose(session.target.layer)
        form.candidates.show_candidates(found, session.choice)
        form.paint_by_hand.setVisible(session.target.place is not None)
        form.show_place(self.labels_place if session.target.asks_place else None)
        form.accept.setEnabled(bool(found))
        form.accept_all.setEnabled(len(session.drafts) > 1)
        form.next_object.setEnabled(len(session.drafts) > 1)
        form.discard.setEnabled(bool(session.drafts))
        form.undo.setEnabled(session.history.can_undo)
        form.redo.setEnabled(session.history.can_redo)
        self._reporter.guide(prompt_step(session))
        if not session.busy:
            self._reporter.hold(False)

    def _on_failed(self, error: BaseException) -> None:
        self._reporter.report(error)
        if (model := self._models.fall_back(error)) is not None:
            self._reporter.hold(True)  # until the model of before has answered
            self._session.go_back(cast("Sam | str", model), error)

    def _choose_first_image(self) -> None:
        if (image := first_image(self._viewer)) is not None:
            self.set_image(image)

    def _add_shape(self, kind: str, vertices: Sequence[Sequence[float]], positive: bool = True) -> None:
        corners = len({tuple(map(float, vertex)) for vertex in vertices})
        if kind == "path" and corners == 1:
            self.add_point(vertices[0], positive)
            return
        if corners < LEAST_CORNERS.get(kind, 1):
            raise InputError(
                f"The {NAMES.get(kind, kind)} has {corners} different positions: "
                f"give at least {LEAST_CORNERS.get(kind, 1)}, or add a point."
            )
        places = complete_positions(self._viewer, self._session.view, vertices)
        self._session.layers.add_shapes(self._image, kind, [places], positive)

    @property
    def _image(self) -> Image:
        image, _ = self._session.view.place()
        return image


def _let_go(keys: KeyBindings, images: LayerChoice, targets: LayerChoice, session: PromptSession) -> None:
    """End the session and let go of the viewer; the user's layers stay. More than once does no harm."""
    keys.release()
    images.close()
    targets.close()
    session.close()

"""The labels layer that accepted objects are written to, patch by patch, with undo and redo."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.pipeline.label_editor import revert, write_mask
from napari_sam.widgets.brush_window import BrushWindow
from napari_sam.widgets.free_labels import check_room, next_label, raise_highest
from napari_sam.widgets.label_colors import show_label
from napari_sam.widgets.label_layers import (
    add_labels_layer,
    check_labels_layer,
    find_stored_layer,
    make_stored_layer,
    needs_store,
)
from napari_sam.widgets.label_refresh import refresh_part
from napari_sam.widgets.label_shelf import PLACES, LabelShelf, remember_place, remembered_place
from napari_sam.widgets.label_watch import LabelWatch
from napari_sam.widgets.plane import LabelPlane, Plane, base_level
from napari_sam.widgets.stored_labels import adopt_layer, keeper_of
from napari_sam.widgets.view_region import visible_region

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from napari.utils.events import Event

    from napari_sam.pipeline.label_editor import Edit
    from napari_sam.widgets.candidates import Patch

__all__ = ["Drawn", "LabelTarget", "Written"]

LARGEST_SIDE = 4096  # pixels that are opened for painting
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Drawn:
    """Hold a part of a plane as anyone else left it: where its first pixel is, and (h, w) labels."""

    at: tuple[int, int]
    labels: npt.NDArray[Any]


@dataclass(frozen=True)
class Written:
    """Hold what one commit wrote, or what undo or redo of one did.

    Parameters
    ----------
    plane
        Where it was written.
    edit
        What changed.
    number
        The same of a commit, its undo and redo.
    """

    plane: LabelPlane
    edit: Edit
    number: int

    def before(self) -> npt.NDArray[Any]:
        """Return the (H, W) labels of the plane, which are in memory, as they were just before."""
        labels = np.array(self.plane[:, :])
        labels[self.edit.rows, self.edit.cols][self.edit.changed] = self.edit.before
        return labels


class LabelTarget:
    """Hold the labels layer of one viewer's session, made when first needed.

    Parameters
    ----------
    viewer
        The viewer that shows the layer.
    on_problem
        Called with the error when the disk refuses what was painted by hand.
    """

    def __init__(self, viewer: ViewerModel, on_problem: Callable[[InputError], None]) -> None:
        self._viewer = viewer
        self._on_problem = on_problem
        self.layer: Labels | None = None
        self.place_of_new = remembered_place()  # one of `PLACES`
        self.on_layers: Callable[[Labels | None, Labels | None], object] = lambda *_: None  # of labels, and to paint in
        self.can_choose_place = False  # whether new labels of the image could go into it
        self._brush: BrushWindow | None = None
        self._watch = LabelWatch()
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of viewer and layer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._end_painting()
        self.set_layer(None)
        self._watch.close()

    def set_layer(self, layer: Labels | None) -> None:
        """Choose an existing layer, or None: make a new one when needed."""
        self.layer = layer
        self._say_layers()

    def find(self, image: Image | None) -> None:
        """Go on with the labels on disk that were made for a large image before, unless a layer for it is chosen.

        Raises
        ------
        InputError
            If they cannot be opened.
        """
        self.can_choose_place = False
        if image is None or not needs_store(image):
            return
        layer = self.layer
        if layer is not None and base_level(layer).shape == base_level(image).shape[: image.ndim]:
            return
        self.set_layer(find_stored_layer(self._viewer, image))
        self.can_choose_place = LabelShelf(image).can_choose

    @property
    def asks_place(self) -> bool:
        """Tell whether the next label makes new labels that could go into a person's Zarr."""
        return self.can_choose_place and self.layer is None

    @property
    def hint(self) -> str:
        """Where labels of the image are kept on disk, or will be, in a sentence; "" if they are in memory."""
        if self.asks_place:
            where = "into" if self.place_of_new == "inside" else "beside"
            return f"The first label makes labels on disk, {where} the image: choose where under Labels."
        return f"Labels are saved in {self.place} as you go." if self.place else ""

    def choose_place(self, place: str) -> None:
        """Choose where new labels of an OME-Zarr image go, one of `PLACES`, now and later.

        Raises
        ------
        InputError
            If there is no such place.
        """
        if place not in PLACES:
            raise InputError(f"New labels cannot go {place!r}: choose one of {', '.join(PLACES)}.")
        self.place_of_new = place
        remember_place(place)

    @property
    def place(self) -> str | None:
        """Where on disk the labels lie; None if they are in memory."""
        keeper = None if self.layer is None else keeper_of(self.layer)
        return None if keeper is None else keeper.store.path

    def ensure(self, image: Image) -> Labels:
        """Return the labels layer, made over the image if there is none.

        Raises
        ------
        InputError
            If the chosen layer does not fit the image or cannot be written.
        """
        layer = self.layer if self.layer is not None else self._make(image)
        adopt_layer(layer)
        check_labels_layer(layer, image)
        return layer

    def paint_by_hand(self, image: Image, plane: Plane) -> Labels:
        """Open a layer for napari's brush over what the canvas shows of labels on disk, instead of an earlier one.

        Raises
        ------
        InputError
            If the labels are in memory.
        """
        layer = self.ensure(image)
        keeper = keeper_of(layer)
        if keeper is None:
            raise InputError(f"The labels are in memory: select the layer {layer.name!r} and paint in it.")
        row0, col0, row1, col1 = visible_region(image, plane)
        (row0, row1), (col0, col1) = _middle(row0, row1), _middle(col0, col1)
        self._end_painting()
        region, label = (row0, col0, row1, col1), keeper.highest + 1
        self._brush = BrushWindow(self._viewer, layer, plane, region, label, self._on_problem)
        self._say_layers()
        return self._brush.layer

    def _end_painting(self) -> None:
        if self._brush is not None:
            self._brush.close()
        self._brush = None

    def write(
        self, image: Image, plane: Plane, patch: Patch, *, label: int | None = None, overwrite: bool = False
    ) -> tuple[Written, tuple[Drawn, ...]]:
        """Write a mask; a label that is there already is replaced as far as the patch reaches.

        Parameters
        ----------
        image, plane
            Where the mask belongs.
        patch
            The mask.
        label
            What to write; None takes the next free label.
        overwrite
            Whether pixels of other labels are taken over.

        Returns
        -------
        written, drawn
            What was written, and which parts of the plane were not as this target left them: painted by hand, say.
        """
        labels = LabelPlane(self.ensure(image), plane)
        if label is None:
            check_room(labels.layer)
        drawn = self._look(labels)
        number = next_label(labels.layer) if label is None else label
        edit = write_mask(labels, patch.mask, patch.where, number, replace=label is not None, overwrite=overwrite)
        return self._finish(Written(labels, edit, next(_numbers))), drawn

    def revert(self, written: Written) -> tuple[Written, tuple[Drawn, ...]]:
        """Take back what was written, or write again what was taken back, where nobody changed it since.

        Raises
        ------
        InputError
            If the labels are of another shape now, or cannot be written; then nothing is changed.
        """
        drawn = self._look(written.plane)
        return self._finish(replace(written, edit=revert(written.plane, written.edit))), drawn

    def revert_all(self, steps: Sequence[Written]) -> tuple[list[tuple[Written, tuple[Drawn, ...]]], InputError | None]:
        """Revert one thing after the other, all or nothing.

        Returns
        -------
        done, problem
            What `revert` returned for each; without those whose array was replaced by one of another shape, about which
            `problem` is then.

        Raises
        ------
        InputError
            If labels cannot be written.
        """
        done: list[tuple[Written, tuple[Drawn, ...]]] = []
        problem: InputError | None = None
        for written in steps:
            try:
                written.plane.check_shape()
            except InputError as error:
                problem = error
                continue
            try:
                done.append(self.revert(written))
            except InputError:
                for reverted, _ in reversed(done):
                    with suppress(InputError):  # the first error is the one to tell
                        self.revert(reverted)
                raise
        return done, problem

    def _look(self, labels: LabelPlane) -> tuple[Drawn, ...]:
        return tuple(
            Drawn((row0, col0), np.array(labels[row0:row1, col0:col1]))
            for row0, col0, row1, col1 in self._watch.look(labels)
        )

    def _finish(self, written: Written) -> Written:
        layer, edit = written.plane.layer, written.edit
        self._watch.leave(written.plane)
        raise_highest(layer, edit.label)
        show_label(layer, edit.label)
        refresh_part(layer, written.plane.plane, edit.rows, edit.cols)
        if self._brush is not None:
            self._brush.take_in()
        return written

    def _make(self, image: Image) -> Labels:
        if needs_store(image):
            layer = make_stored_layer(self._viewer, image, self.place_of_new)
        else:
            layer = add_labels_layer(self._viewer, image, f"{image.name} labels")
        self.set_layer(layer)
        return layer

    def _on_removed(self, event: Event) -> None:
        if event.value is self.layer:
            self.set_layer(None)
        if self._brush is not None and not self._brush.is_open:
            self._brush = None
            self._say_layers()

    def _say_layers(self) -> None:
        brush = self._brush
        self.on_layers(self.layer, None if brush is None else brush.layer)


def _middle(start: int, stop: int) -> tuple[int, int]:
    """Return the middle of a range that is too long to paint in."""
    start += max(0, stop - start - LARGEST_SIDE) // 2
    return start, min(stop, start + LARGEST_SIDE)

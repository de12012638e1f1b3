"""The labels layer that accepted objects are written to, patch by patch, with undo and redo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.widgets.brush_window import BrushWindow
from napari_sam.widgets.label_layers import (
    add_labels_layer,
    check_labels_layer,
    find_stored_layer,
    make_stored_layer,
    needs_store,
)
from napari_sam.widgets.label_refresh import refresh_part
from napari_sam.widgets.label_watch import LabelWatch
from napari_sam.widgets.plane import LabelPlane, Plane, base_level
from napari_sam.widgets.stored_labels import adopt_layer, keeper_of
from napari_sam.widgets.view_region import visible_region

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from napari.utils.events import Event

    from napari_sam.pipeline.label_editor import Edit, LabelEditor
    from napari_sam.widgets.candidates import Patch

__all__ = ["LabelTarget", "Written"]

LARGEST_SIDE = 4096  # pixels that are opened for painting


@dataclass(frozen=True)
class Written:
    """Hold what one commit wrote.

    Parameters
    ----------
    editor
        What can take it back.
    plane
        Where it was written.
    edit
        What changed.
    found
        (H, W) labels of the plane before, if they were not as this target left them: painted by hand, say.
    """

    editor: LabelEditor
    plane: LabelPlane
    edit: Edit
    found: npt.NDArray[Any] | None = None

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
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None
        self._brush: BrushWindow | None = None
        self._editors: dict[tuple[Labels, Plane], LabelEditor] = {}
        self._watch = LabelWatch()
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of viewer and layer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._end_painting()
        self.layer = None
        self._editors.clear()
        self._watch.close()

    def set_layer(self, layer: Labels | None) -> None:
        """Choose an existing layer, or None: make a new one when needed."""
        self.layer = layer

    def find(self, image: Image | None) -> None:
        """Go on with the labels on disk that were made for a large image before, unless a layer for it is chosen.

        Raises
        ------
        InputError
            If they cannot be opened.
        """
        if image is None or not needs_store(image):
            return
        layer = self.layer
        if layer is not None and base_level(layer).shape == base_level(image).shape[: image.ndim]:
            return
        self.set_layer(find_stored_layer(self._viewer, image))

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
        self._brush = BrushWindow(self._viewer, layer, plane, (row0, col0, row1, col1), keeper.highest + 1)
        return self._brush.layer

    def _end_painting(self) -> None:
        if self._brush is not None:
            self._brush.close()
        self._brush = None

    def write(
        self, image: Image, plane: Plane, patch: Patch, *, label: int | None = None, overwrite: bool = False
    ) -> Written:
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
        """
        editor = self._editor(self.ensure(image), plane)
        found = self._watch.look(editor.labels)
        number = self._watch.next_label(editor.labels) if label is None else label
        edit = editor.commit(patch.mask, patch.where, label=number, overwrite=overwrite)
        return self._finish(Written(editor, editor.labels, edit, found))

    def undo(self, written: Written) -> Written:
        """Take back the last thing that was written to its plane."""
        found = self._watch.look(written.plane)
        written.editor.undo()
        return self._finish(replace(written, found=found))

    def redo(self, written: Written) -> Written:
        """Write again what was taken back last."""
        found = self._watch.look(written.plane)
        written.editor.redo()
        return self._finish(replace(written, found=found))

    def _finish(self, written: Written) -> Written:
        self._watch.leave(written.plane, written.edit.label)
        refresh_part(written.plane.layer, written.plane.plane, written.edit.rows, written.edit.cols)
        if self._brush is not None:
            self._brush.take_in()
        return written

    def _make(self, image: Image) -> Labels:
        if needs_store(image):
            layer = make_stored_layer(self._viewer, image)
        else:
            layer = add_labels_layer(self._viewer, image, f"{image.name} labels")
        self.set_layer(layer)
        return layer

    def _editor(self, layer: Labels, plane: Plane) -> LabelEditor:
        from napari_sam.pipeline.label_editor import LabelEditor

        if (layer, plane) not in self._editors:
            self._editors[layer, plane] = LabelEditor(LabelPlane(layer, plane))
        return self._editors[layer, plane]

    def _on_removed(self, event: Event) -> None:
        if event.value is self.layer:
            self.set_layer(None)
        if self._brush is not None and not self._brush.is_open:
            self._brush = None


def _middle(start: int, stop: int) -> tuple[int, int]:
    """Return the middle of a range that is too long to paint in."""
    start += max(0, stop - start - LARGEST_SIDE) // 2
    return start, min(stop, start + LARGEST_SIDE)

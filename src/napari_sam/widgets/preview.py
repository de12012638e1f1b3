"""The layer that shows the outline of each unfinished object before it is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils import DirectLabelColormap

from napari_sam.widgets.prompt_layers import insert_below_prompts
from napari_sam.widgets.transforms import data_to_world_matrix

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from napari.utils.events import Event

    from napari_sam.widgets.candidates import Patch
    from napari_sam.widgets.plane import Plane

__all__ = ["Preview"]

NAME = "SAM preview"
_CURRENT, _OTHER = 1, 2
_COLORS = {None: "transparent", 0: "transparent", _CURRENT: "#1fb4ff", _OTHER: "#c9a2ff"}


class Preview:
    """Show masks in a small layer of their own that lies where they are in the image.

    Parameters
    ----------
    viewer
        The viewer that shows them.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Remove the layer and let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._remove()

    def show(self, image: Image, plane: Plane, current: Patch | None, others: Sequence[Patch] = ()) -> None:
        """Show the current object's mask, and those of other unfinished objects in another colour."""
        patches = [patch for patch in (*others, current) if patch is not None and patch.mask.size]
        if not patches:
            self.clear()
            return
        start = np.min([patch.at for patch in patches], axis=0)
        stop = np.max([np.add(patch.at, patch.mask.shape) for patch in patches], axis=0)
        data = np.zeros(stop - start, dtype=np.uint8)
        for patch in patches:
            row, col = np.subtract(patch.at, start)
            part = data[row : row + patch.mask.shape[0], col : col + patch.mask.shape[1]]
            part[patch.mask] = _CURRENT if patch is current else _OTHER
        self._place(image, plane, data, start)

    def clear(self) -> None:
        """Show nothing."""
        if self.layer is not None:
            self.layer.visible = False

    def _place(self, image: Image, plane: Plane, data: np.ndarray, start: np.ndarray) -> None:
        others = tuple(axis for axis in range(image.ndim) if axis not in plane.axes)
        data = np.expand_dims(data, others)
        matrix = data_to_world_matrix(image)
        matrix[:-1, -1] += matrix[:-1, :-1] @ plane.embed(start)[0]
        if self.layer is None or self.layer.ndim != image.ndim:
            self._remove()
            self._make(image, data, matrix)
            return
        self.layer.data = data
        if not np.array_equal(self.layer.affine.affine_matrix, matrix):
            self.layer.affine = matrix
        self.layer.visible = True

    def _make(self, image: Image, data: np.ndarray, matrix: np.ndarray) -> None:
        layer = Labels(
            data,
            name=NAME,
            affine=matrix,
            units=image.units,
            axis_labels=image.axis_labels,
            opacity=0.55,
            colormap=DirectLabelColormap(color_dict=_COLORS),
        )
        layer.editable = False
        insert_below_prompts(self._viewer, layer)
        self.layer = layer

    def _remove(self) -> None:
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _on_removed(self, event: Event) -> None:
        if event.value is self.layer:
            self.layer = None

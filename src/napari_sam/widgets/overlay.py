"""A small labels layer of the dock's own that lies over a part of an image and shows something for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_sam.widgets.prompt_layers import insert_below_prompts
from napari_sam.widgets.transforms import lay_over, placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from napari.utils.events import Event

    from napari_sam.widgets.plane import Plane

__all__ = ["Overlay", "is_overlay", "mark_overlay"]

_MARK = "napari-sam-stack overlay"  # in the layer's metadata


class Overlay:
    """Hold the layer, which is made when first needed.

    Parameters
    ----------
    viewer
        The viewer that shows it.
    name
        Name of the layer.
    contour
        Width of the outlines in pixels, 0 for filled labels.
    look
        Further settings of the layer, such as its colours.
    """

    def __init__(self, viewer: ViewerModel, name: str, *, contour: int = 0, **look: Any) -> None:
        self._viewer = viewer
        self._name = name
        self._contour = contour
        self._look = look
        self.layer: Labels | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Remove the layer and let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._remove()

    def show(self, image: Image, plane: Plane, labels: npt.NDArray[Any], at: tuple[int, int]) -> None:
        """Show (h, w) labels on a plane of the image, their first pixel `at` (row, col)."""
        others = tuple(axis for axis in range(image.ndim) if axis not in plane.axes)
        data = np.expand_dims(labels, others)
        start = plane.embed(at)[0]
        if self.layer is None or self.layer.ndim != image.ndim:
            self._remove()
            self._make(data, placement(image, start))
            return
        self.layer.data = data
        lay_over(self.layer, image, start)
        self.layer.visible = True

    def clear(self) -> None:
        """Show nothing."""
        if self.layer is not None:
            self.layer.visible = False

    def _make(self, data: npt.NDArray[Any], place: dict[str, Any]) -> None:
        layer = Labels(data, name=self._name, **place, **self._look)
        layer.contour = self._contour
        layer.editable = False
        mark_overlay(layer)
        insert_below_prompts(self._viewer, layer)
        self.layer = layer

    def _remove(self) -> None:
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _on_removed(self, event: Event) -> None:
        if event.value is self.layer:
            self.layer = None


def mark_overlay(layer: Layer) -> None:
    """Let a layer count as the dock's own."""
    layer.metadata[_MARK] = True


def is_overlay(layer: Layer) -> bool:
    """Tell whether a layer is such a one, and not the user's."""
    return _MARK in layer.metadata

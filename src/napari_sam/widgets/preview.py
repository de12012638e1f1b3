"""The layer that shows the outline of each unfinished object before it is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.utils import DirectLabelColormap
from scipy.ndimage import minimum_filter

from napari_sam.types import BoolArray
from napari_sam.widgets.overlay import Overlay
from napari_sam.widgets.screen_marks import EDGE, data_pixels

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils.events import Event

    from napari_sam.widgets.candidates import Patch
    from napari_sam.widgets.plane import Plane

__all__ = ["Preview"]

NAME = "SAM preview"
_CURRENT, _OTHER = 1, 3  # inside; their outlines are one more
# other colours than those of the prompts, which lie on the mask
_COLORS = {None: "transparent", 0: "transparent", 1: "#2bff5a50", 2: "#2bff5a", 3: "#c9a2ff50", 4: "#c9a2ff"}


class Preview:
    """Show masks in a small layer of their own that lies where they are in the image.

    Parameters
    ----------
    viewer
        The viewer that shows them.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._overlay = Overlay(viewer, NAME, opacity=1, colormap=DirectLabelColormap(color_dict=_COLORS))
        self._shown: tuple[Image, Plane, Patch | None, Sequence[Patch]] | None = None
        self._width = 0
        viewer.camera.events.zoom.connect(self._on_zoomed)

    @property
    def layer(self) -> Labels | None:
        """The layer, None before anything was shown."""
        return self._overlay.layer

    def close(self) -> None:
        """Remove the layer and let go of the viewer."""
        self._viewer.camera.events.zoom.disconnect(self._on_zoomed)
        self._overlay.close()

    def show(self, image: Image, plane: Plane, current: Patch | None, others: Sequence[Patch] = ()) -> None:
        """Show the current object's mask, and those of other unfinished objects in another colour."""
        patches = [patch for patch in (*others, current) if patch is not None and patch.mask.size]
        if not patches:
            self.clear()
            return
        self._shown, self._width = (image, plane, current, others), self._outline_width(image)
        start = np.min([patch.at for patch in patches], axis=0)
        stop = np.max([np.add(patch.at, patch.mask.shape) for patch in patches], axis=0)
        data = np.zeros(stop - start, dtype=np.uint8)
        for patch in patches:
            row, col = np.subtract(patch.at, start)
            part = data[row : row + patch.mask.shape[0], col : col + patch.mask.shape[1]]
            inside = _CURRENT if patch is current else _OTHER
            part[patch.mask] = inside
            part[patch.mask & ~_shrink(patch.mask, self._width)] = inside + 1
        self._overlay.show(image, plane, data, (int(start[0]), int(start[1])))

    def clear(self) -> None:
        """Show nothing."""
        self._shown = None
        self._overlay.clear()

    def _outline_width(self, image: Image) -> int:
        return max(1, round(data_pixels(image, EDGE, self._viewer.camera.zoom)))

    def _on_zoomed(self, _event: Event) -> None:
        if self._shown is not None and self._outline_width(self._shown[0]) != self._width:
            self.show(*self._shown)


def _shrink(mask: BoolArray, width: int) -> BoolArray:
    """Return a mask without the pixels that lie less than `width` from its border."""
    kept: BoolArray = minimum_filter(mask, size=2 * width + 1, mode="constant", cval=0)
    return kept

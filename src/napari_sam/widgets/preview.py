"""The layer that shows the outline of each unfinished object before it is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.utils import DirectLabelColormap

from napari_sam.widgets.overlay import Overlay

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

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
        self._overlay = Overlay(viewer, NAME, opacity=0.55, colormap=DirectLabelColormap(color_dict=_COLORS))

    @property
    def layer(self) -> Labels | None:
        """The layer, None before anything was shown."""
        return self._overlay.layer

    def close(self) -> None:
        """Remove the layer and let go of the viewer."""
        self._overlay.close()

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
        self._overlay.show(image, plane, data, (int(start[0]), int(start[1])))

    def clear(self) -> None:
        """Show nothing."""
        self._overlay.clear()

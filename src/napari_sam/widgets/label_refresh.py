"""Redraw only the part of a labels layer that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_sam.widgets.plane import Plane

__all__ = ["refresh_part"]


def refresh_part(layer: Labels, plane: Plane, rows: slice, cols: slice) -> None:
    """Redraw rows and columns of a plane that were written behind the layer's back.

    napari offers `Labels.refresh()`, which draws the whole plane anew, and updates of a part only for its own brush.
    This does what the brush does: bring the layer's cached slice up to date and send the part to the canvas. A plane
    that is not shown needs nothing, since napari reads it when the slider gets there. Of a multiscale layer,
    napari draws only what the canvas shows.
    """
    if rows.start == rows.stop or cols.start == cols.stop:  # nothing was written
        return
    displayed = list(layer._slice_input.displayed)
    if len(displayed) != 2 or sorted(displayed) != list(plane.axes) or not layer.visible or not layer.loaded:
        layer.refresh()
        return
    shown = np.round(layer.world_to_data(layer._slice_input.world_slice.point)).astype(int)
    if any(shown[axis] != plane.index[axis] for axis in layer._slice_input.not_displayed):
        return
    if layer.multiscale:
        layer.refresh(highlight=False, extent=False)
        return
    part = np.asarray(layer.data[plane.select(rows, cols)])
    raw, view = layer._slice.image.raw, layer._slice.image.view
    where = (rows, cols) if displayed == sorted(displayed) else (cols, rows)
    part = part if displayed == sorted(displayed) else part.T
    if not (isinstance(layer.data, np.ndarray) and np.shares_memory(layer.data, raw)):
        raw[where] = part
    if layer.contour == 0:
        view[where] = layer.colormap._data_to_texture(part)
    reach = int(layer.contour)  # a contour depends on its neighbours
    layer._updated_slice = tuple(
        slice(max(at.start - reach, 0), min(at.stop + reach, size)) if isinstance(at, slice) else slice(at, at + 1)
        for at, size in zip(plane.select(rows, cols), layer.data.shape, strict=True)
    )
    layer._partial_labels_refresh()

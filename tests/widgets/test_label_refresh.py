"""What the canvas is sent after a part was written equals a full redraw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_sam.widgets.label_refresh import refresh_part
from napari_sam.widgets.plane import current_plane


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2)])
@pytest.mark.parametrize("contour", [0, 2])
@pytest.mark.parametrize("backend", ["numpy", "zarr"])
def test_only_the_part_is_sent_and_it_is_right(order: tuple[int, ...], contour: int, backend: str) -> None:
    data: Any = np.random.default_rng(0).integers(0, 5, (12, 30, 40)).astype(np.int32)
    if backend == "zarr":
        data = zarr.create_array(store=zarr.storage.MemoryStore(), data=data)
    viewer = ViewerModel()
    layer = viewer.add_labels(data)
    layer.contour = contour
    viewer.dims.order = order
    viewer.dims.set_point(order[0], 3)
    plane = current_plane(viewer, layer)
    rows, cols = slice(2, 7), slice(11, 19)
    data[plane.select(rows, cols)] = 200
    sent: list[Any] = []
    layer.events.labels_update.connect(lambda event: sent.append((event.data.copy(), event.offset)))
    redrawn: list[Any] = []
    layer.events.set_data.connect(redrawn.append)
    refresh_part(layer, plane, rows, cols)
    assert redrawn == []
    view = layer._slice.image.view.copy()
    ((part, offset),) = sent
    layer.refresh()
    np.testing.assert_array_equal(view, layer._slice.image.view)
    np.testing.assert_array_equal(
        part, view[offset[0] : offset[0] + part.shape[0], offset[1] : offset[1] + part.shape[1]]
    )
    assert part.size <= (5 + 2 * contour) * (8 + 2 * contour)


def test_a_plane_that_is_not_shown_needs_nothing() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((3, 9, 9), dtype=np.int32))
    viewer.dims.set_point(0, 2)
    plane = current_plane(viewer, layer)
    viewer.dims.set_point(0, 0)
    layer.data[plane.select(slice(1, 3), slice(1, 3))] = 4
    sent: list[Any] = []
    layer.events.labels_update.connect(sent.append)
    refresh_part(layer, plane, slice(1, 3), slice(1, 3))
    assert sent == []
    assert not layer._slice.image.raw.any()
    viewer.dims.set_point(0, 2)
    assert layer._slice.image.raw.any()


def test_in_three_dimensions_everything_is_drawn_anew() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((3, 9, 9), dtype=np.int32))
    plane = current_plane(viewer, layer)
    viewer.dims.ndisplay = 3
    layer.data[plane.select(slice(1, 3), slice(1, 3))] = 4
    refresh_part(layer, plane, slice(1, 3), slice(1, 3))
    assert layer._slice.image.raw.any()

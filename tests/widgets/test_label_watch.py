"""What anyone else changed in a plane of labels is noticed, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_sam.widgets import label_watch
from napari_sam.widgets.label_watch import TILE, LabelWatch
from napari_sam.widgets.plane import LabelPlane, current_plane


def plane_of(data: Any) -> LabelPlane:
    viewer = ViewerModel()
    layer = viewer.add_labels(data)
    viewer.dims.set_point(0, 1)
    return LabelPlane(layer, current_plane(viewer, layer))


def test_an_empty_plane_is_as_expected() -> None:
    labels = plane_of(np.zeros((3, 8, 9), dtype=np.int32))
    assert LabelWatch().look(labels) == ()


def test_labels_that_were_there_are_found_once() -> None:
    data = np.zeros((3, 8, 9), dtype=np.int32)
    data[1, 2, 3], data[0, 0, 0] = 5, 8
    labels = plane_of(data)
    watch = LabelWatch()
    assert watch.look(labels) == ((0, 0, 8, 9),)
    labels[4:6, 4:6] = 9
    watch.leave(labels)
    assert watch.look(labels) == ()


@pytest.mark.parametrize("how", ["paint", "array", "napari's undo", "replaced"])
def test_changes_by_others_are_noticed(how: str) -> None:
    labels = plane_of(np.zeros((3, 8, 9), dtype=np.int32))
    watch = LabelWatch()
    watch.look(labels)
    labels.layer.selected_label = 3
    labels.layer.paint((1, 4, 4), 3)
    watch.leave(labels)
    assert watch.look(labels) == ()
    if how == "paint":
        labels.layer.paint((1, 4, 4), 12)
    elif how == "array":
        labels.layer.data[1, 4, 4] = 12
    elif how == "replaced":
        labels.layer.data = np.full((3, 8, 9), 12, dtype=np.int32)
    else:
        labels.layer.undo()
    assert watch.look(labels) == ((0, 0, 8, 9),)
    watch.close()


def test_only_the_tiles_that_changed_are_found() -> None:
    labels = plane_of(np.zeros((3, 2 * TILE + 5, 3 * TILE), dtype=np.int32))
    watch = LabelWatch()
    watch.leave(labels)
    labels.layer.data[1, 3, 4] = 1
    labels.layer.data[1, 2 * TILE + 1, TILE + 1] = 2
    labels.layer.data[1, 2 * TILE + 1, -1] = 3
    labels.layer.data[2, 3, 2 * TILE] = 4  # another plane
    assert watch.look(labels) == ((0, 0, TILE, TILE), (2 * TILE, TILE, 2 * TILE + 5, 3 * TILE))


@pytest.mark.parametrize("backend", ["zarr", "large"])
def test_painting_is_noticed_where_nothing_is_hashed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data: Any = np.zeros((3, 8, 9), dtype=np.int32)
    if backend == "zarr":
        data = zarr.create_array(store=zarr.storage.MemoryStore(), data=data)
    else:
        monkeypatch.setattr(label_watch, "HASHED_PIXELS", 0)
    labels = plane_of(data)
    watch = LabelWatch()
    watch.look(labels)
    watch.leave(labels)
    assert watch.look(labels) == ()
    labels.layer.selected_label = 4
    labels.layer.brush_size = 1
    labels.layer.paint((1, 4, 5), 4)
    labels.layer.paint((2, 1, 1), 4)
    labels.layer.data_setitem((np.array([1, 1]), np.array([6, 7]), np.array([0, 2])), 5)
    assert watch.look(labels) == ((4, 5, 5, 6), (6, 0, 8, 3))
    watch.leave(labels)
    assert watch.look(labels) == ()

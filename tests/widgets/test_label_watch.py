from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_sam.widgets import label_watch
from napari_sam.widgets.label_watch import LabelWatch
from napari_sam.widgets.plane import LabelPlane, current_plane


def plane_of(data: Any) -> LabelPlane:
    viewer = ViewerModel()
    layer = viewer.add_labels(data)
    viewer.dims.set_point(0, 1)
    return LabelPlane(layer, current_plane(viewer, layer))


def test_an_empty_plane_is_as_expected() -> None:
    labels = plane_of(np.zeros((3, 8, 9), dtype=np.int32))
    watch = LabelWatch()
    assert watch.look(labels) is None
    assert watch.next_label(labels) == 1


def test_labels_that_were_there_are_found_once() -> None:
    data = np.zeros((3, 8, 9), dtype=np.int32)
    data[1, 2, 3], data[0, 0, 0] = 5, 8
    labels = plane_of(data)
    watch = LabelWatch()
    found = watch.look(labels)
    assert found is not None
    np.testing.assert_array_equal(found, data[1])
    assert found is not data[1]
    assert watch.next_label(labels) == 9  # free in all planes
    labels[4:6, 4:6] = 9
    watch.leave(labels, 9)
    assert watch.look(labels) is None
    assert watch.next_label(labels) == 10


@pytest.mark.parametrize("how", ["paint", "array", "napari's undo", "replaced"])
def test_changes_by_others_are_noticed(how: str) -> None:
    labels = plane_of(np.zeros((3, 8, 9), dtype=np.int32))
    watch = LabelWatch()
    watch.look(labels)
    labels.layer.selected_label = 3
    labels.layer.paint((1, 4, 4), 3)
    watch.leave(labels, 3)
    assert watch.look(labels) is None
    if how == "paint":
        labels.layer.selected_label = 12
        labels.layer.paint((1, 4, 4), 12)
    elif how == "array":
        labels.layer.data[1, 4, 4] = 12
    elif how == "replaced":
        labels.layer.data = np.full((3, 8, 9), 12, dtype=np.int32)
    else:
        labels.layer.undo()
    found = watch.look(labels)
    assert found is not None
    np.testing.assert_array_equal(found, labels.layer.data[1])
    assert watch.next_label(labels) == (4 if how == "napari's undo" else 13)
    watch.close()


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
    watch.leave(labels, 1)
    assert watch.look(labels) is None
    labels.layer.selected_label = 4
    labels.layer.paint((1, 4, 4), 4)
    found = watch.look(labels)
    assert found is not None
    assert found.max() == 4
    assert watch.next_label(labels) == 5

"""What is painted into labels on disk is never lost, also where the disk refuses it for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from qtpy.QtTest import QTest

from napari_sam.errors import InputError
from napari_sam.io.label_store import LabelStore, create_labels
from napari_sam.io.large_image import open_large_image
from napari_sam.widgets.brush_window import PAUSE, BrushWindow
from napari_sam.widgets.plane import KEEPER, Plane
from napari_sam.widgets.stored_labels import StoredLabels

SIDE = 300


class FullDisk(StoredLabels):
    """Refuses what is written while it is full."""

    full = True

    def write(self, *what: Any) -> None:
        if self.full:
            raise InputError("Cannot write to the labels (No space left on device): free some space.")
        super().write(*what)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    zarr.create_array(str(tmp_path / "image.zarr"), shape=(SIDE, SIDE), dtype="uint8", chunks=(100, 100))
    return create_labels(open_large_image(tmp_path / "image.zarr"), tmp_path / "out.zarr", "mine")


@pytest.fixture
def disk(store: LabelStore) -> FullDisk:
    return FullDisk(store)


@pytest.fixture
def problems() -> list[InputError]:
    return []


@pytest.fixture
def brush(qapp: Any, store: LabelStore, disk: FullDisk, problems: list[InputError]) -> BrushWindow:
    viewer = ViewerModel()
    layer = viewer.add_labels(store.array, name="labels")
    layer.metadata[KEEPER] = disk
    region = (0, 0, SIDE, SIDE)
    return BrushWindow(viewer, layer, Plane((0, 1), (0, 0), (SIDE, SIDE)), region, 77, problems.append)


def pixels(store: LabelStore, label: int) -> int:
    return int((np.asarray(store.array[...]) == label).sum())


def test_a_refused_stroke_is_said_once_and_written_later(
    brush: BrushWindow, disk: FullDisk, store: LabelStore, problems: list[InputError]
) -> None:
    brush.layer.brush_size = 5
    for row in (50, 100):
        brush.layer.paint((row, 50), 77)
    count = int((np.asarray(brush.layer.data) == 77).sum())
    assert pixels(store, 77) == 0
    (problem,) = problems
    assert "No space left" in str(problem)
    assert "is saved as soon as that works" in str(problem)
    disk.full = False
    brush.layer.paint((200, 200), 78)
    QTest.qWait(2 * PAUSE)
    assert (pixels(store, 77), pixels(store, 78)) == (count, int((np.asarray(brush.layer.data) == 78).sum()))
    disk.full = True
    brush.layer.paint((150, 150), 79)
    QTest.qWait(2 * PAUSE)
    assert len(problems) == 2  # the disk is full again


def test_what_others_write_does_not_replace_a_refused_stroke(
    brush: BrushWindow, disk: FullDisk, store: LabelStore
) -> None:
    brush.layer.paint((50, 50), 77)
    painted = np.asarray(brush.layer.data) == 77
    store.write({}, (200, 200, 210, 210), np.full((10, 10), 5))
    brush.take_in()
    data = np.asarray(brush.layer.data)
    np.testing.assert_array_equal(data == 77, painted)
    assert (data == 5).sum() == 100
    disk.full = False
    brush.layer.paint((100, 100), 78)
    assert pixels(store, 77) == painted.sum()
    assert pixels(store, 5) == 100


def test_the_layer_stays_as_long_as_the_disk_refuses(brush: BrushWindow, disk: FullDisk, store: LabelStore) -> None:
    viewer = brush._viewer
    brush.layer.paint((50, 50), 77)
    viewer.layers.remove(brush.layer)
    assert brush.is_open
    brush._put_back()  # what the event loop does next
    assert brush.layer in viewer.layers
    brush.close()
    assert brush.layer in viewer.layers
    assert (np.asarray(brush.layer.data) == 77).any()


def test_the_layer_goes_once_all_is_written(brush: BrushWindow, disk: FullDisk, store: LabelStore) -> None:
    brush.layer.paint((50, 50), 77)
    disk.full = False
    brush._viewer.layers.remove(brush.layer)
    assert not brush.is_open
    assert pixels(store, 77)

"""A label is given once: in all planes, by all docks, however large the labels are."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.io.highest_label import highest_label
from napari_sam.widgets import free_labels
from napari_sam.widgets.free_labels import check_room, next_label, raise_highest


@pytest.mark.parametrize("kind", ["numpy", "zarr", "shards", "dask"])
def test_the_highest_label_of_any_array(kind: str) -> None:
    values = np.zeros((5, 20, 30), np.int32)
    values[3, 4, 7] = 123
    array: Any = values
    if kind == "zarr":
        array = zarr.create_array(store={}, shape=values.shape, chunks=(1, 7, 30), dtype="int32", fill_value=0)
        array[3, 4, 7] = 123
    elif kind == "shards":
        array = zarr.create_array(store={}, data=values, chunks=(1, 5, 5), shards=(2, 10, 10))
    elif kind == "dask":
        array = da.from_array(values, chunks=(2, 8, 8))
    assert highest_label(array) == 123
    assert highest_label(np.zeros((0, 5), np.uint8)) == 0


@pytest.mark.parametrize("searched", [0, 2**26], ids=["large", "small"])
def test_labels_in_other_planes_count(searched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_labels, "ALWAYS_SEARCHED", searched)
    data = np.zeros((4, 10, 10), np.int32)
    data[3, 2, 2] = 5
    layer = Labels(data)
    assert next_label(layer) == 6
    raise_highest(layer, 8)  # another dock, and it was undone
    assert next_label(layer) == 9
    layer.paint((2, 5, 5), 30)
    assert next_label(layer) == 31
    layer.data_setitem((np.array([1]), np.array([1]), np.array([1])), 40)
    assert next_label(layer) == 41
    layer.data = np.full((4, 10, 10), 7, np.int32)
    assert next_label(layer) == 8


def test_what_a_script_writes_counts_in_small_arrays() -> None:
    layer = Labels(np.zeros((4, 10, 10), np.int32))
    assert next_label(layer) == 1
    layer.data[2, 3, 3] = 9
    assert next_label(layer) == 10


def test_a_full_type_is_said() -> None:
    data = np.zeros((10, 10), np.uint8)
    data[1, 1] = 254
    layer = Labels(data)
    check_room(layer)
    layer.data[1, 2] = 255
    with pytest.raises(InputError, match="full: its type uint8 ends at 255"):
        check_room(layer)

"""Commits touch only their pixels, and every one can be taken back and done again."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st

from napari_sam.errors import InputError
from napari_sam.pipeline.label_editor import LabelEditor


def square(size: int = 4) -> np.ndarray:
    return np.ones((size, size), bool)


def test_labels_count_up_and_existing_pixels_stay():
    labels = np.zeros((10, 12), np.int32)
    labels[0, 0] = 7
    editor = LabelEditor(labels)
    assert editor.commit(square(), np.s_[2:6, 2:6]).label == 8
    edit = editor.commit(square(), np.s_[4:8, 4:8])
    assert edit.label == 9
    assert (labels[4:6, 4:6] == 8).all()
    assert (labels == 9).sum() == 12
    editor.commit(square(), np.s_[4:8, 4:8], overwrite=True)
    assert (labels[4:8, 4:8] == 10).all()


def test_an_existing_label_becomes_the_mask():
    labels = np.zeros((8, 8), np.int32)
    editor = LabelEditor(labels)
    editor.commit(square(), np.s_[0:4, 0:4])
    smaller = np.zeros((6, 6), bool)
    smaller[1:3, 1:3] = True
    editor.commit(smaller, np.s_[0:6, 0:6], label=1)
    assert (labels == 1).sum() == 4
    editor.undo()
    assert (labels == 1).sum() == 16


def test_what_cannot_be_written_changes_nothing():
    labels = np.zeros((6, 6), np.uint8)
    editor = LabelEditor(labels)
    editor.commit(square(6), np.s_[0:6, 0:6])
    before = labels.copy()
    with pytest.raises(InputError, match="already have a label"):
        editor.commit(square(), np.s_[0:4, 0:4])
    with pytest.raises(InputError, match="empty"):
        editor.commit(np.zeros((4, 4), bool), np.s_[0:4, 0:4])
    with pytest.raises(InputError, match="1 to 255"):
        editor.commit(square(), np.s_[0:4, 0:4], label=256, overwrite=True)
    np.testing.assert_array_equal(labels, before)
    assert editor.undo() is not None
    assert editor.undo() is None
    assert not labels.any()


def test_only_the_patch_of_a_zarr_is_touched():
    store = zarr.create_array(store={}, shape=(100, 100), chunks=(10, 10), dtype="int32", fill_value=0)
    editor = LabelEditor(store)
    edit = editor.commit(square(), np.s_[41:45, 52:56])
    assert (edit.rows, edit.cols) == (slice(41, 45), slice(52, 56))
    assert store.nchunks_initialized == 1
    editor.undo()
    assert not np.asarray(store[:]).any()


@given(st.integers(0, 2**32 - 1))
def test_any_history_can_be_walked_back_and_forth(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 12), np.int32)
    editor = LabelEditor(labels)
    states = [labels.copy()]
    for _ in range(8):
        row, col = rng.integers(0, 8, 2)
        patch = rng.random((4, 4)) < 0.6
        try:
            editor.commit(patch, np.s_[row : row + 4, col : col + 4], overwrite=bool(rng.random() < 0.5))
        except InputError:
            continue
        states.append(labels.copy())
    for state in states[-2::-1]:
        editor.undo()
        np.testing.assert_array_equal(labels, state)
    for state in states[1:]:
        editor.redo()
        np.testing.assert_array_equal(labels, state)
    assert editor.redo() is None


def test_what_was_painted_since_stays():
    labels = np.zeros((50, 50), np.int32)
    editor = LabelEditor(labels)
    editor.commit(square(20), np.s_[10:30, 10:30])
    labels[12:18, 12:18] = 7  # another cell, over a part of the object
    labels[25:28, 25:28] = 0  # erased
    labels[40:42, 40:42] = 1  # the object is drawn larger
    editor.undo()
    assert (labels == 7).sum() == 36
    assert (labels == 1).sum() == 4
    labels[20:22, 20:22] = 8  # painted before redo
    editor.redo()
    assert (labels == 7).sum() == 36
    assert (labels == 8).sum() == 4
    assert not labels[25:28, 25:28].any()
    assert (labels[10:30, 10:30] == 1).sum() == 400 - 36 - 9 - 4
    editor.undo()
    assert np.unique(labels).tolist() == [0, 1, 7, 8]
    assert (labels == 1).sum() == 4


class RefusingDisk:
    """Labels whose last rows cannot be written."""

    def __init__(self) -> None:
        self.values = np.zeros((8, 8), np.int32)
        self.shape, self.dtype = self.values.shape, self.values.dtype
        self.full = False

    def __getitem__(self, key):
        return self.values[key]

    def __setitem__(self, key, value):
        if self.full and np.any(value):
            raise InputError("full")
        self.values[key] = value


def test_what_the_disk_refuses_can_be_tried_again():
    disk = RefusingDisk()
    editor = LabelEditor(disk)
    editor.commit(square(), np.s_[0:4, 0:4], label=3)
    editor.undo()
    disk.full = True
    with pytest.raises(InputError, match="full"):
        editor.redo()
    with pytest.raises(InputError, match="full"):
        editor.commit(square(), np.s_[4:8, 4:8])
    assert not disk.values.any()
    disk.full = False
    assert editor.redo() is not None
    assert (disk.values == 3).sum() == 16


def test_an_edit_keeps_no_more_than_what_changed():
    labels = np.zeros((2000, 2000), np.int32)
    patch = np.zeros((2000, 2000), bool)
    patch[700:710, 800:805] = True
    edit = LabelEditor(labels).commit(patch, np.s_[0:2000, 0:2000])
    held = (edit.changed, edit.before, edit.after)
    assert sum(each.size for each in held) == 150
    assert all(each.base is None or each.base.size <= 50 for each in held)

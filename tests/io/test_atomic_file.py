"""Files that are there wholly or not at all."""

from __future__ import annotations

import os

import pytest

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import check_folder, write_whole


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    write_whole(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="gone"):
        check_folder(tmp_path / "gone" / "a.csv")
    with pytest.raises(InputError, match=r"Cannot write.*a\.csv"):
        write_whole(tmp_path / "gone" / "a.csv", b"")
    check_folder(tmp_path / "a.csv")

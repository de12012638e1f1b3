"""Files of arrays and records."""

from __future__ import annotations

import errno
import hashlib
import os

import numpy as np
import pytest

from napari_sam.batch.objects import EDGES
from napari_sam.batch.records_file import read_arrays, read_records, write_arrays, write_records
from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord


@pytest.fixture
def records():
    rng = np.random.default_rng(3)
    return [
        MaskRecord.from_patch(
            rng.random((size, size + 3)) < 0.5,
            (size, 7),
            image_shape=(200, 300),
            predicted_iou=float(rng.random()),
            stability_score=float(np.float32(rng.random())),
            crop_box=(0, 4, 100, 90),
            group=size,
        )
        for size in range(0, 30, 3)  # the first has no pixel
    ]


def test_records_come_back_equal(tmp_path, records):
    path = tmp_path / "tile.npz"
    checksum = write_records(path, records, ids=[5 * k for k in range(len(records))], names=["a"] * len(records))
    assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    stored = read_records(path)
    assert list(stored) == records
    assert stored[-1] == records[-1]
    assert stored[2:4] == records[2:4]
    assert type(stored[1].box[0]) is int
    np.testing.assert_array_equal(stored.boxes, [record.box for record in records])
    np.testing.assert_array_equal(stored.areas, [record.area for record in records])
    assert stored.columns["ids"].tolist() == [5 * k for k in range(len(records))]
    with pytest.raises(IndexError):
        stored[len(records)]


def test_no_records(tmp_path):
    write_records(tmp_path / "tile.npz", [])
    stored = read_records(tmp_path / "tile.npz")
    assert list(stored) == []
    assert stored.boxes.shape == (0, 4)


def test_bytes_depend_on_the_content_only(tmp_path, records, monkeypatch):
    first = write_records(tmp_path / "a.npz", records, one=np.arange(10), two=np.ones(10))
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert write_records(tmp_path / "b.npz", records, two=np.ones(10), one=np.arange(10)) == first
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert write_records(tmp_path / "b.npz", records[:-1]) != first


def test_tables_and_some_names_only(tmp_path):
    path = tmp_path / "edges.npz"
    edges = np.zeros(3, EDGES)
    edges["shared"] = [1, 2, 3]
    write_arrays(path, edges=edges, other=np.float32(2.5))
    found = read_arrays(path, ["edges"])
    assert list(found) == ["edges"]
    assert found["edges"].dtype == EDGES
    np.testing.assert_array_equal(found["edges"], edges)
    assert read_arrays(path)["other"].shape == ()


def test_no_pickles(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path / "a.npz", bad=np.array([{}], object))
    np.savez(tmp_path / "b.npz", bad=np.array([{}], object))
    with pytest.raises(InputError, match="damaged"):
        read_arrays(tmp_path / "b.npz")


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "empty"])
def test_damage_is_told(tmp_path, records, damage):
    path = tmp_path / "tile.npz"
    write_records(path, records)
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "changed":
        data[data.index(b"bits.npy") + 150] ^= 0xFF
        path.write_bytes(data)
    else:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"tile\.npz is missing or damaged"):
        read_records(path)


def test_a_full_disk_leaves_what_was_there(tmp_path, records, monkeypatch):
    path = tmp_path / "tile.npz"
    write_records(path, records[:2])
    before = path.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_records(path, records)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tile.npz"]

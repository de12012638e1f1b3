"""A signature changes with the chunks of its region and with nothing else, and reads no pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_sam.io.chunk_signature import chunk_signature

SIGNED = [(1, 2), (8, 20), (0, 8)]  # z 1, rows 8-20, columns 0-8


def write(path: Path, version: int, *, sharded: bool = False) -> zarr.Array:
    array = zarr.create_array(
        str(path / "0"),
        shape=(2, 32, 32),
        dtype="u2",
        chunks=(1, 8, 8),
        shards=(1, 16, 16) if sharded else None,
        zarr_format=version,
    )
    array[...] = 1
    return zarr.open_group(str(path), mode="w" if not path.exists() else "a", zarr_format=version)["0"]


def chunk(path: Path, version: int, *at: int) -> Path:
    return path / "0" / (".".join(map(str, at)) if version == 2 else "c/" + "/".join(map(str, at)))


@pytest.mark.parametrize("version", [2, 3])
def test_only_chunks_of_the_region_count(tmp_path, version):
    array = write(tmp_path, version)
    before = chunk_signature(str(tmp_path), array, SIGNED)
    for outside in ((0, 1, 0), (1, 0, 0), (1, 3, 0), (1, 1, 1)):
        os.utime(chunk(tmp_path, version, *outside), ns=(5, 5))
    assert chunk_signature(str(tmp_path), array, SIGNED) == before
    seen = {before}
    for inside in ((1, 1, 0), (1, 2, 0)):
        os.utime(chunk(tmp_path, version, *inside), ns=(5, 5))
        seen.add(chunk_signature(str(tmp_path), array, SIGNED))
        chunk(tmp_path, version, *inside).unlink()
        seen.add(chunk_signature(str(tmp_path), array, SIGNED))
    assert len(seen) == 5


def test_a_shard_is_one_file(tmp_path):
    array = write(tmp_path, 3, sharded=True)
    before = chunk_signature(str(tmp_path), array, SIGNED)
    os.utime(chunk(tmp_path, 3, 1, 0, 1), ns=(5, 5))
    assert chunk_signature(str(tmp_path), array, SIGNED) == before
    os.utime(chunk(tmp_path, 3, 1, 1, 0), ns=(5, 5))
    assert chunk_signature(str(tmp_path), array, SIGNED) != before


def test_no_chunk_is_read(tmp_path, monkeypatch):
    array = write(tmp_path, 3)
    for file in (tmp_path / "0" / "c").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    assert chunk_signature(str(tmp_path), array, SIGNED) == chunk_signature(str(tmp_path), array, SIGNED)
    with pytest.raises(RuntimeError, match="invalid input"):
        np.asarray(array[0])


def test_another_region_another_signature(tmp_path):
    array = write(tmp_path, 3)
    assert chunk_signature(str(tmp_path), array, SIGNED) != chunk_signature(
        str(tmp_path), array, [(0, 1), (8, 20), (0, 8)]
    )

"""A lazy plane indexes as the array would, reads only the chunks it needs, and names what it cannot read."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st

from napari_sam.errors import InputError
from napari_sam.io.lazy_plane import LazyPlane

VALUES = np.random.default_rng(0).integers(0, 60000, (2, 3, 4, 20, 24)).astype(np.uint16)  # t, c, z, y, x
STACK = zarr.create_array(store={}, shape=VALUES.shape, dtype="uint16", chunks=(1, 1, 1, 8, 8))
STACK[...] = VALUES
TRUTH = np.moveaxis(VALUES[1, :, 2], 0, -1)
CHANNELS = (2, 0)


def pieces(side: int) -> st.SearchStrategy[int | slice]:
    bound = st.none() | st.integers(-side - 3, side + 3)
    steps = st.none() | st.integers(1, 5)
    return st.integers(-side, side - 1) | st.builds(slice, bound, bound, steps)


@given(pieces(20), pieces(24), pieces(3))
def test_any_piece_is_that_of_the_array(rows, cols, channels):
    plane = LazyPlane(STACK, tuple("tczyx"), {"t": 1, "z": 2}, "a")
    np.testing.assert_array_equal(plane[rows, cols, channels], TRUTH[rows, cols, channels])
    np.testing.assert_array_equal(plane[rows], TRUTH[rows])
    np.testing.assert_array_equal(plane[..., channels], TRUTH[..., channels])


@given(pieces(20), pieces(24), pieces(2))
def test_any_piece_of_chosen_channels(rows, cols, channels):
    plane = LazyPlane(STACK, tuple("tczyx"), {"t": 1, "z": 2}, "a", CHANNELS)
    assert plane.shape == (20, 24, 2)
    np.testing.assert_array_equal(plane[rows, cols, channels], TRUTH[..., CHANNELS][rows, cols, channels])


def test_like_an_array():
    plane = LazyPlane(STACK, tuple("tczyx"), {"t": 1, "z": 2}, "a")
    assert (plane.shape, plane.ndim, plane.dtype, len(plane)) == ((20, 24, 3), 3, np.uint16, 20)
    np.testing.assert_array_equal(np.asarray(plane), TRUTH)
    assert np.asarray(plane, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(plane[np.int64(3), 4:6], TRUTH[3, 4:6])
    with pytest.raises(ValueError, match="copy"):
        np.asarray(plane, copy=False)


@pytest.mark.parametrize("key", [20, (0, 24), (0, 0, 0, 0), np.s_[::-1], np.s_[:, -25]])
def test_wrong_indices(key):
    plane = LazyPlane(STACK, tuple("tczyx"), {"t": 1, "z": 2}, "a")
    with pytest.raises(IndexError):
        plane[key]


def test_the_machines_byte_order(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(8, 8), dtype=">u2", zarr_format=2)
    array[...] = np.arange(64).reshape(8, 8)
    plane = LazyPlane(array, ("y", "x"), {}, "a")
    assert plane.dtype.isnative
    assert plane[2:4].dtype.isnative
    assert plane[1, 3] == 11


@pytest.mark.parametrize("codec", ["zstd", "gzip", "blosc", "none"])
@pytest.mark.parametrize("version", [2, 3])
def test_only_the_damaged_chunk_fails(tmp_path, codec, version):
    if version == 2:
        from numcodecs import Blosc, GZip, Zstd

        compressor = {"zstd": Zstd(), "gzip": GZip(), "blosc": Blosc(), "none": None}[codec]
    else:
        from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

        compressor = {"zstd": ZstdCodec(), "gzip": GzipCodec(), "blosc": BloscCodec(), "none": None}[codec]
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        str(path), shape=(2, 16, 16), dtype="u2", chunks=(1, 8, 8), compressors=compressor, zarr_format=version
    )
    array[...] = 7
    chunk = path / ("1.0.1" if version == 2 else "c/1/0/1")
    plane = LazyPlane(zarr.open_array(str(path), mode="r"), tuple("zyx"), {"z": 1}, "b.zarr")
    cut = b"" if codec == "blosc" else chunk.read_bytes()[:-5]  # Blosc itself does not see that its end is missing
    for damaged in (b"nonsense", cut, b""):
        chunk.write_bytes(damaged)
        assert plane[:, :8].min() == 7  # its chunks are whole
        with pytest.raises(InputError, match=r"Cannot read z=1, rows 0-8, columns 8-16 of b\.zarr \(.+\): restore"):
            plane[:8, 8:]

"""Stacks are read plane by plane and written as what they are."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.io.stacks import open_stack, write_label_stack


@pytest.mark.parametrize("shape", [(3, 20, 30), (2, 3, 20, 30), (4, 20, 30), (1, 20, 30)])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_what_was_written_is_read(tmp_path, shape, suffix):
    labels = np.arange(np.prod(shape)).reshape(shape)
    path = tmp_path / f"labels{suffix}"
    write_label_stack(path, labels)
    stack = open_stack(path)
    assert stack.leading == shape[:-2]
    assert stack.array.dtype == np.uint16
    assert stack.planes == list(np.ndindex(shape[:-2]))
    for plane in stack.planes:
        np.testing.assert_array_equal(stack.read(plane), labels[plane])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_three_planes_are_no_colour(tmp_path):
    write_label_stack(tmp_path / "a.tif", np.zeros((3, 20, 30), int))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert len(file.pages) == 3


def test_large_labels_get_32_bits(tmp_path):
    write_label_stack(tmp_path / "a.tif", np.full((2, 5, 5), 70000))
    assert open_stack(tmp_path / "a.tif").array.dtype == np.uint32


def test_planes_of_a_zarr_and_of_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 16, 12, 3)).astype(np.uint8)
    zarr.save_array(str(tmp_path / "a.zarr"), pixels)
    stack = open_stack(tmp_path / "a.zarr")
    assert stack.leading == (2,)
    np.testing.assert_array_equal(stack.read((1,)), pixels[1])
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    picture = open_stack(tmp_path / "a.png")
    assert picture.planes == [()]
    np.testing.assert_array_equal(picture.read(()), pixels[0])


def test_a_damaged_chunk_is_one_sentence(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(2, 16, 12), chunks=(1, 16, 12), dtype="u1")
    array[...] = 5
    chunks = sorted(file for file in (tmp_path / "a.zarr").rglob("*") if file.is_file() and "c" in file.parts)
    chunks[0].write_bytes(b"nonsense")
    stack = open_stack(tmp_path / "a.zarr")
    assert (stack.read((1,)) == 5).all()
    with pytest.raises(InputError, match="plane 0"):
        stack.read((0,))


def test_what_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tif"):
        open_stack(tmp_path / "gone.tif")
    (tmp_path / "bad.tif").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.tif"):
        open_stack(tmp_path / "bad.tif")
    np.save(tmp_path / "line.npy", np.zeros(5))
    with pytest.raises(InputError, match="two axes"):
        open_stack(tmp_path / "line.npy")
    with pytest.raises(InputError, match=r"\.tif or \.npy"):
        write_label_stack(tmp_path / "a.png", np.zeros((2, 5, 5), int))
    with pytest.raises(InputError, match="no folder"):
        write_label_stack(tmp_path / "gone" / "a.tif", np.zeros((2, 5, 5), int))

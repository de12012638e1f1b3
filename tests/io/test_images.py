"""Images of every kind come in as they are; labels go out whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.io.images import read_image, write_labels
from napari_sam.io.label_numbers import read_labels, read_mask

RNG = np.random.default_rng(0)
GRAY8 = RNG.integers(0, 255, (20, 30)).astype(np.uint8)
GRAY16 = RNG.integers(0, 60000, (20, 30)).astype(np.uint16)
COLOUR = RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("image", [GRAY8, GRAY16, COLOUR], ids=["8", "16", "rgb"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_files_come_in_unchanged(tmp_path, image, suffix):
    path = tmp_path / f"image{suffix}"
    if suffix == ".png":
        Image.fromarray(image).save(path)
    elif suffix == ".tif":
        tifffile.imwrite(path, image)
    else:
        np.save(path, image)
    np.testing.assert_array_equal(read_image(path), image)


def test_jpeg_and_palette_pictures(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (20, 30, 3)
    Image.fromarray(COLOUR).convert("P").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (20, 30, 3)


def test_only_the_plane_of_a_zarr_is_read(tmp_path):
    stack = RNG.integers(0, 255, (3, 4, 20, 30)).astype(np.uint16)
    array = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=stack.shape, chunks=(1, 1, 20, 30), dtype="uint16")
    array[:] = stack
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", (1, 2)), stack[1, 2])
    group = zarr.open_group(str(tmp_path / "ome.zarr"), mode="w")
    group.create_array("s0", data=stack[0])
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": [{"path": "s0"}]}]}
    np.testing.assert_array_equal(read_image(tmp_path / "ome.zarr", (3,)), stack[0, 3])
    np.testing.assert_array_equal(read_image(tmp_path / "ome.zarr" / "s0", (-1,)), stack[0, 3])


def test_stacks_ask_for_a_plane(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((5, 20, 30), np.uint16))
    for plane, says in ((None, "--plane"), ((9,), "no plane 9"), ((0, 0), "1 indices, not 2")):
        with pytest.raises(InputError, match=says):
            read_image(tmp_path / "s.tif", plane)


def test_unusable_files_get_one_sentence(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a png")
    Image.fromarray(GRAY8).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    (tmp_path / "a.tif").write_bytes(b"II*")
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "a.xyz").write_text("")
    np.save(tmp_path / "line.npy", np.zeros(5))
    (tmp_path / "empty.zarr").mkdir()
    for name in ("a.png", "cut.png", "a.tif", "o.npy", "a.xyz", "gone.png", "line.npy", "empty.zarr", "gone.zarr"):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".npy"])
@pytest.mark.parametrize("top", [200, 60_000, 100_000])
def test_labels_come_back(tmp_path, suffix, top):
    labels = RNG.integers(0, top, (40, 50)).astype(np.int32)
    labels[0, 0] = top
    path = tmp_path / f"labels{suffix}"
    if suffix == ".png" and top > 65535:
        with pytest.raises(InputError, match=r"\.tif"):
            write_labels(path, labels)
        assert not path.exists()
        return
    write_labels(path, labels)
    np.testing.assert_array_equal(read_labels(path), labels)
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name]


def test_ome_zarr_labels_have_a_pyramid_and_metadata(tmp_path):
    labels = RNG.integers(0, 300, (1500, 700)).astype(np.int32)
    write_labels(tmp_path / "labels.zarr", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.zarr"), labels)
    group = zarr.open_group(str(tmp_path / "labels.zarr"), mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert "image-label" in ome
    scales = [d["coordinateTransformations"][0]["scale"] for d in ome["multiscales"][0]["datasets"]]
    assert scales == [[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]
    np.testing.assert_array_equal(group["1"][:], labels[::2, ::2])
    with pytest.raises(InputError, match="already exists"):
        write_labels(tmp_path / "labels.zarr", labels)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "labels.tif"
    write_labels(path, np.ones((4, 4), np.int32))

    def full(part, *_: object, **__: object) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(InputError, match="No space left"):
        write_labels(path, np.zeros((4, 4), np.int32))
    assert read_labels(path).all()
    assert [file.name for file in tmp_path.iterdir()] == ["labels.tif"]
    with pytest.raises(InputError, match="no folder"):
        write_labels(tmp_path / "gone" / "a.png", np.zeros((4, 4), np.int32))


def test_labels_and_masks_are_checked(tmp_path):
    np.save(tmp_path / "f.npy", np.full((4, 4), 0.5))
    np.save(tmp_path / "n.npy", np.full((4, 4), -2))
    for name in ("f.npy", "n.npy"):
        with pytest.raises(InputError, match="labels"):
            read_labels(tmp_path / name)
    assert read_mask(tmp_path / "f.npy").all()

"""Folders of images and labels: planes of stacks are items, problems are named one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.io.dataset import list_dataset, read_dataset
from napari_sam.io.images import image_shape, read_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    return tmp_path


def write(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    for part, values in (("images", image), ("labels", labels)):
        tifffile.imwrite(folder / part / name, values, photometric="minisblack", compression="zlib")


def test_each_plane_of_a_stack_is_an_item(folder):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4000, (5, 20, 30)).astype(np.uint16)
    labels = rng.integers(0, 7, (5, 20, 30)).astype(np.uint16)
    write(folder, "volume.tif", image, labels)
    Image.fromarray(image[0].astype(np.uint8)).save(folder / "images" / "flat.png")
    Image.fromarray(labels[0]).save(folder / "labels" / "flat.png")
    items = read_dataset(folder).items
    assert [item.name for item in items] == ["flat", *(f"volume-{z:03d}" for z in range(5))]
    assert {item.origin for item in items[1:]} == {"volume"}
    for z, item in enumerate(items[1:]):
        pixels, found = item.read()
        np.testing.assert_array_equal(pixels, image[z])
        np.testing.assert_array_equal(found, labels[z])
    every, problems = list_dataset(folder, every=2)
    assert [item.name for item in every.items[1:]] == ["volume-000", "volume-002", "volume-004"]
    assert problems == []


def test_a_plane_is_read_without_the_rest(tmp_path, monkeypatch):
    image = np.arange(6 * 20 * 30, dtype=np.uint16).reshape(2, 3, 20, 30)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", compression="zlib")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the whole file was read")

    monkeypatch.setattr(tifffile, "imread", refuse)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", (1, 2)), image[1, 2])


@pytest.mark.parametrize("plane", [(0,), (3,), (-1,)])
def test_planes_of_stacks_kept_in_one_page(tmp_path, plane):
    image = np.arange(4 * 20 * 30, dtype=np.uint16).reshape(4, 20, 30)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", plane), image[plane])


def test_a_plane_that_is_not_there_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 20, 30), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match="no plane 4"):
        read_image(tmp_path / "a.tif", (4,))
    with pytest.raises(InputError, match="1 indices, not 2"):
        read_image(tmp_path / "a.tif", (1, 1))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("RGB", "png"), ("RGBA", "png"), ("P", "png"), ("L", "jpg")]
)
def test_the_shape_is_that_of_the_pixels(tmp_path, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (30, 20)).save(path)
    assert image_shape(path) == read_image(path).shape


def test_a_single_page_of_a_stack_is_a_picture(folder):
    write(folder, "one.tif", np.zeros((1, 20, 30), np.uint8), np.ones((20, 30), np.uint8))
    (item,) = read_dataset(folder).items
    assert item.plane is None
    assert item.read()[0].shape == (20, 30)


def test_all_problems_are_listed_and_the_rest_is_kept(folder):
    write(folder, "good.tif", np.zeros((20, 30), np.uint8), np.ones((20, 30), np.uint8))
    write(folder, "short.tif", np.zeros((4, 20, 30), np.uint8), np.ones((3, 20, 30), np.uint8))
    write(folder, "lonely.tif", np.zeros((20, 30), np.uint8), np.ones((20, 30), np.uint8))
    (folder / "labels" / "lonely.tif").unlink()
    (folder / "images" / "broken.tif").write_bytes(b"nothing")
    (folder / "labels" / "broken.tif").write_bytes(b"nothing")
    (folder / "images" / "._good.tif").write_bytes(b"what another system left")
    dataset, problems = list_dataset(folder)
    assert [item.name for item in dataset.items] == ["good"]
    assert len(problems) == 3
    for name, text in zip(("broken", "lonely", "short"), problems, strict=True):
        assert name in text
    with pytest.raises(InputError, match=r"3 images of .* have problems"):
        read_dataset(folder)


def test_groups_and_mosaics_come_from_the_index(folder):
    for name in "abc":
        write(folder, f"{name}.tif", np.zeros((20, 30), np.uint8), np.ones((20, 30), np.uint8))
    (folder / "index.csv").write_text("id,group,mosaic\na,small,m1\nb,small,m1\n")
    items = read_dataset(folder).items
    assert [item.group for item in items] == ["small", "small", ""]
    assert [item.origin for item in items] == ["m1", "m1", "c"]

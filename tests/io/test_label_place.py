"""Labels lie where their image lies, in every kind of file that can say it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam.io.images import read_image, write_labels
from napari_sam.io.label_place import Place
from napari_sam.io.large_image import open_large_image

LABELS = np.random.default_rng(0).integers(0, 9, (20, 30)).astype(np.int32)
PLACE = Place(("z", "y", "x"), (2.0, 0.5, 0.25), (3.0, 10.0, 20.0), ("micrometer",) * 3)


def told(path) -> tuple[tuple[str, ...], tuple[float, ...], tuple[str, ...]]:
    image = open_large_image(path)
    return image.axes, image.levels[0].scale, image.levels[0].units


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_sizes_come_back(tmp_path, suffix, ndim):
    path = tmp_path / f"labels{suffix}"
    labels = LABELS if ndim == 2 else np.stack([LABELS, LABELS + 1, LABELS])
    write_labels(path, labels, PLACE)
    axes, scale, units = told(path)
    assert axes == PLACE.axes[-ndim:]
    assert scale == pytest.approx(PLACE.scale[-ndim:])
    assert units == PLACE.units[-ndim:]
    for plane in np.ndindex(labels.shape[:-2]):
        np.testing.assert_array_equal(read_image(path, plane or None), labels[plane])


def test_ome_zarr_has_the_place_and_its_axes_in_order(tmp_path):
    place = Place(("z", "t", "y", "x"), (2.0, 5.0, 0.5, 0.25), (3.0, 0.0, 10.0, 20.0), ("", "second", "", ""))
    labels = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    write_labels(tmp_path / "a.zarr", labels, place)
    image = open_large_image(tmp_path / "a.zarr")
    assert image.axes == ("t", "z", "y", "x")
    assert image.levels[0].translation == (0.0, 3.0, 10.0, 20.0)
    np.testing.assert_array_equal(image.array[...], labels.transpose(1, 0, 2, 3))


def test_tiff_says_it_to_fiji_and_to_readers_of_ome(tmp_path):
    write_labels(tmp_path / "a.tif", LABELS, PLACE)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].get_resolution("MICROMETER") == pytest.approx((4.0, 2.0))
        plane = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["Plane"]
    assert (plane["PositionY"], plane["PositionX"]) == (10.0, 20.0)


def test_png_says_the_size_of_pixels(tmp_path):
    write_labels(tmp_path / "a.png", LABELS, PLACE)
    assert told(tmp_path / "a.png")[1] == pytest.approx((0.5, 0.25), rel=1e-4)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), LABELS)


def test_what_is_not_known_is_not_said(tmp_path):
    for suffix in (".tif", ".png", ".zarr"):
        write_labels(tmp_path / f"a{suffix}", LABELS, Place.unknown(2))
        assert told(tmp_path / f"a{suffix}")[1:] == ((1.0, 1.0), ("", ""))
    with Image.open(tmp_path / "a.png") as picture:
        assert "dpi" not in picture.info


def test_the_place_of_an_image_goes_to_its_labels(tmp_path):
    about = {"axes": "CZYX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((2, 3, 20, 30), np.uint16), ome=True, metadata=about)
    place = open_large_image(tmp_path / "a.ome.tif").place
    assert place.axes == ("z", "y", "x")
    assert [place.micrometres(axis) for axis in "zyx"] == pytest.approx([2.0, 0.5, 0.25])
    write_labels(tmp_path / "b.zarr", LABELS, place)
    scales = zarr.open_group(str(tmp_path / "b.zarr"), mode="r").attrs["ome"]["multiscales"][0]["datasets"]
    assert scales[0]["coordinateTransformations"][0]["scale"] == [0.5, 250.0]

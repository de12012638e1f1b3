"""TIFF files of microscopes: axes, pixel sizes, pyramids, channel names; pixels as tifffile itself reads them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import InputError
from napari_sam.io.large_image import open_large_image
from napari_sam.io.tiff_levels import read_tiff_levels

STACK = np.random.default_rng(0).integers(0, 4000, (3, 2, 32, 48)).astype(np.uint16)  # z, c, y, x
PICTURE = np.random.default_rng(1).integers(0, 255, (256, 128, 3)).astype(np.uint8)


def test_imagej(tmp_path):
    path = str(tmp_path / "a.tif")
    about = {"axes": "ZCYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(path, STACK, imagej=True, metadata=about, resolution=(4.0, 2.0))
    record = read_tiff_levels(path)
    (level,) = record.levels
    assert record.axes == ("z", "c", "y", "x")
    assert level.scale == (2.0, 1.0, 0.5, 0.25)
    assert level.units == ("micrometer", "", "micrometer", "micrometer")
    np.testing.assert_array_equal(level.array[1, :, 5:9, 3:], STACK[1, :, 5:9, 3:])


def test_ome_tiff(tmp_path):
    path = str(tmp_path / "a.ome.tif")
    about = {
        "axes": "ZCYX",
        "PhysicalSizeX": 250,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeZ": 1.5,
        "Channel": {"Name": ["DAPI", "GFP"]},
    }
    tifffile.imwrite(path, STACK, ome=True, metadata=about)
    record = read_tiff_levels(path)
    (level,) = record.levels
    assert record.axes == ("z", "c", "y", "x")
    assert level.scale == (1.5, 1.0, 0.5, 250.0)
    assert level.pixel_size(2) == 0.5
    assert level.pixel_size(3) == 0.25
    assert record.channel_names == ("DAPI", "GFP")
    np.testing.assert_array_equal(level.array[...], STACK)


def test_a_pyramid_of_a_slide(tmp_path):
    path = str(tmp_path / "slide.tif")
    how = {"photometric": "rgb", "tile": (64, 64), "resolutionunit": "CENTIMETER", "compression": "zlib"}
    with tifffile.TiffWriter(path) as writer:
        writer.write(PICTURE, subifds=1, resolution=(20000, 20000), **how)
        writer.write(PICTURE[::4, ::4], subfiletype=1, resolution=(5000, 5000), **how)
    record = read_tiff_levels(path)
    levels = record.levels
    assert record.axes == ("y", "x", "c")
    assert [level.scale for level in levels] == [(0.5, 0.5, 1.0), (2.0, 2.0, 1.0)]
    assert [level.translation for level in levels] == [(0.0, 0.0, 0.0), (0.75, 0.75, 0.0)]
    assert levels[0].array.chunks[:2] == (64, 64)
    np.testing.assert_array_equal(levels[0].array[70:80, 60:70], PICTURE[70:80, 60:70])
    np.testing.assert_array_equal(levels[1].array[...], PICTURE[::4, ::4])


def test_axes_without_a_meaning_and_axes_given(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK, photometric="minisblack")
    assert read_tiff_levels(path).axes == ("z", "t", "y", "x")
    assert read_tiff_levels(path, ("t", "c", "y", "x")).axes == ("t", "c", "y", "x")
    with pytest.raises(InputError, match="axes y, x"):
        read_tiff_levels(path, ("y", "x"))


@pytest.mark.parametrize("shape", [(60, 70, 5), (3, 60, 70, 5)])
def test_a_short_last_axis_without_a_name_holds_channels_as_in_npy(tmp_path, shape):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, np.zeros(shape, np.uint16), photometric="minisblack")
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint16))
    axes = read_tiff_levels(path).axes
    assert axes == open_large_image(str(tmp_path / "a.npy")).axes
    assert axes[-3:] == ("y", "x", "c")


def test_a_printers_resolution_is_no_pixel_size(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK[0, 0], resolution=(72, 72), resolutionunit="INCH")
    assert read_tiff_levels(path).levels[0].scale == (1.0, 1.0)


def test_what_is_no_tiff(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"Cannot open .*a\.tif as TIFF"):
        read_tiff_levels(str(path))
    path.write_bytes(b"II*\0" + b"\xff" * 30)
    with pytest.raises(InputError, match=r"Cannot open .*a\.tif as TIFF"):
        read_tiff_levels(str(path))


def test_a_compression_that_needs_a_package(tmp_path, monkeypatch):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, STACK[0, 0], compression="zlib")
    monkeypatch.setattr(type(tifffile.TIFF.DECOMPRESSORS), "__contains__", lambda _, number: number == 1)
    with pytest.raises(InputError, match=r"ADOBE_DEFLATE.*imagecodecs"):
        read_tiff_levels(path)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "jpeg", "zstd", "packbits", "jpeg2000", "webp", "lzma"])
def test_common_compressions_come_with_a_plain_install(tmp_path, compression):
    path = str(tmp_path / "a.tif")
    lossless = compression not in ("jpeg", "webp", "jpeg2000")
    tifffile.imwrite(path, PICTURE, photometric="rgb", tile=(64, 64), compression=compression)
    read = read_tiff_levels(path).levels[0].array[...]
    assert np.array_equal(read, PICTURE) if lossless else read.shape == PICTURE.shape


def test_a_sample_is_alpha_only_where_the_file_says_so(tmp_path):
    four = np.dstack([PICTURE, PICTURE[..., :1]])
    for extra, alpha in (("unassalpha", 3), ("assocalpha", 3), ("unspecified", None)):
        path = str(tmp_path / f"{extra}.tif")
        tifffile.imwrite(path, four, photometric="rgb", extrasamples=[extra])
        assert read_tiff_levels(path).alpha == alpha


def test_planar_colours_are_channels(tmp_path):
    path = str(tmp_path / "planar.tif")
    tifffile.imwrite(path, np.moveaxis(PICTURE, -1, 0), photometric="rgb", planarconfig="separate")
    assert read_tiff_levels(path).axes == ("c", "y", "x")

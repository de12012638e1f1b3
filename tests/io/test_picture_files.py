"""Pictures come in at the depth that they have, however large; alpha is what the file calls so."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_sam.io.images import image_shape, read_image
from napari_sam.io.large_image import open_large_image
from napari_sam.io.picture_files import open_picture_file, read_picture, unlimited

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)
DEEP = RNG.integers(0, 65535, (20, 30, 4)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["png", "bmp", "webp", "gif"])
def test_pictures_are_told_by_content_not_by_name(tmp_path, kind):
    path = tmp_path / "image.dat"
    picture = Image.fromarray(COLOUR if kind != "gif" else COLOUR[..., 0])
    picture.save(path, format=kind, **({"lossless": True} if kind == "webp" else {}))
    expected = COLOUR if kind != "gif" else np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_them(tmp_path, channels):
    path = tmp_path / "deep.png"
    pixels = DEEP[..., :channels] if channels > 1 else DEEP[..., 0]
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    np.testing.assert_array_equal(read_picture(path), pixels)
    kept = {1: pixels, 2: pixels[..., 0], 3: pixels, 4: pixels[..., :3]}[channels]  # alpha is no brightness
    np.testing.assert_array_equal(read_image(path), kept)
    assert image_shape(path) == kept.shape


def test_alpha_is_left_out_unless_asked_for(tmp_path):
    Image.fromarray(np.dstack([COLOUR, COLOUR[..., 0]])).save(tmp_path / "a.png")
    image = open_large_image(tmp_path / "a.png")
    assert image.alpha == 3
    np.testing.assert_array_equal(image.plane()[...], COLOUR)
    np.testing.assert_array_equal(image.plane(channels=(3,))[..., 0], COLOUR[..., 0])


@pytest.mark.parametrize("mode", ["1", "L", "I", "F", "P", "CMYK", "LA", "I;16"])
def test_what_is_said_before_reading_is_what_is_read(tmp_path, mode):
    path = tmp_path / "a.tif" if mode in ("F", "I", "CMYK") else tmp_path / "a.png"
    Image.new(mode, (30, 20)).save(path, format="TIFF" if path.suffix == ".tif" else "PNG")
    said = open_picture_file(str(path)).levels[0].array
    read = read_picture(path)
    assert (said.shape, said.dtype) == (read.shape, read.dtype)


def test_a_picture_of_any_size_opens(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses twice as many
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOUR)
    assert Image.MAX_IMAGE_PIXELS == 100  # other programs keep their limit
    with unlimited(tmp_path / "a.png") as picture:
        assert picture.size == (30, 20)


def test_dots_per_inch_are_the_size_of_pixels_where_no_printer_means_them(tmp_path):
    picture = Image.fromarray(COLOUR)
    for dots, size in ((25400 / 0.5, 0.5), (300, 1.0)):
        picture.save(tmp_path / "a.png", dpi=(dots, dots))
        level = open_large_image(tmp_path / "a.png").levels[0]
        assert level.scale[:2] == pytest.approx((size, size), rel=1e-4)

"""Makers' formats go to bioio's readers; without them the sentence names the extra."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import dask.array
import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.io.images import read_image
from napari_sam.io.large_image import open_large_image

PIXELS = np.random.default_rng(0).integers(0, 4000, (1, 2, 3, 20, 30)).astype(np.uint16)  # t, c, z, y, x
HEADS = {"a.czi": b"ZISRAWFILE", "a.nd2": b"\xda\xce\xbe\x0a", "a.lif": b"\x70\0\0\0", "no_name": b"ZISRAWFILE"}


@pytest.mark.parametrize("name", HEADS)
def test_a_missing_reader_names_the_extra(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(HEADS[name] + bytes(100))
    monkeypatch.setitem(sys.modules, "bioio", None)
    with pytest.raises(InputError, match=r"needs a reader of .*\[formats\]"):
        read_image(tmp_path / name)


@pytest.fixture
def bioio(monkeypatch):
    """What bioio gives, whichever of its readers is there."""

    class Unsupported(Exception):
        pass

    base, exceptions, package = ModuleType("bioio_base"), ModuleType("bioio_base.exceptions"), ModuleType("bioio")
    exceptions.UnsupportedFileFormatError = Unsupported  # type: ignore[attr-defined]
    for module in (base, exceptions, package):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return SimpleNamespace(package=package, Unsupported=Unsupported)


def image_of(pixels: np.ndarray, order: str) -> SimpleNamespace:
    return SimpleNamespace(
        dask_data=dask.array.from_array(pixels, chunks=(1,) * (pixels.ndim - 2) + pixels.shape[-2:]),
        physical_pixel_sizes=SimpleNamespace(Z=2.0, Y=0.5, X=0.25),
        channel_names=["DAPI", "GFP"],
        dims=SimpleNamespace(order=order),
    )


def test_axes_sizes_and_channels(tmp_path, bioio):
    (tmp_path / "a.czi").write_bytes(HEADS["a.czi"])
    bioio.package.BioImage = lambda _: image_of(PIXELS, "TCZYX")
    image = open_large_image(tmp_path / "a.czi")
    assert image.axes == ("c", "z", "y", "x")
    assert image.channel_names == ("DAPI", "GFP")
    assert image.levels[0].scale == (1.0, 2.0, 0.5, 0.25)
    np.testing.assert_array_equal(image.plane({"z": 2}, image.channels(["GFP"]))[..., 0], PIXELS[0, 1, 2])
    np.testing.assert_array_equal(read_image(tmp_path / "a.czi", (1,)), np.moveaxis(PIXELS[0, :, 1], 0, -1))


def test_colours_are_channels(tmp_path, bioio):
    pixels = PIXELS[:, :1, :1, :, :, None].repeat(3, axis=-1)
    (tmp_path / "a.czi").write_bytes(HEADS["a.czi"])
    bioio.package.BioImage = lambda _: image_of(pixels, "TCZYXS")
    np.testing.assert_array_equal(read_image(tmp_path / "a.czi"), pixels[0, 0, 0])


@pytest.mark.parametrize(("error", "says"), [("unsupported", r"\[formats\]"), ("broken", "damaged")])
def test_what_a_reader_raises_is_one_sentence(tmp_path, bioio, error, says):
    (tmp_path / "a.nd2").write_bytes(HEADS["a.nd2"])

    def fail(_: str) -> None:
        raise bioio.Unsupported("a", "b") if error == "unsupported" else RuntimeError("bad chunk\nmore")

    bioio.package.BioImage = fail
    with pytest.raises(InputError, match=says) as caught:
        read_image(tmp_path / "a.nd2")
    assert "\n" not in str(caught.value)

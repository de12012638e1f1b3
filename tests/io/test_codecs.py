"""The fast codec pipeline gives the bits of the plain one, and is left alone where it does harm."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from napari_sam.io.codecs import fast_codecs
from napari_sam.io.label_pyramid import create_level

PATH = "codec_pipeline.path"


@pytest.fixture
def plain():
    return zarr.config.get(PATH)


@pytest.mark.parametrize("location", ["https://host/a.zarr", "s3://bucket/a.zarr"])
def test_what_lies_elsewhere_takes_the_plain_pipeline(plain, location):
    with fast_codecs(location):
        assert zarr.config.get(PATH) == plain


def test_without_zarrs_the_plain_pipeline_stays(plain, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with fast_codecs("a.zarr"):
        assert zarr.config.get(PATH) == plain


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_either_pipeline_reads_what_the_other_wrote(tmp_path, plain, zarr_format):
    values = np.random.default_rng(1).integers(0, 50, (2, 300, 500)).astype(np.uint32)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=zarr_format)
    create_level(group, "plain", values.shape, "uint32", "zyx", (64, 64), (128, 128))[...] = values
    with fast_codecs(str(tmp_path)):
        fast = create_level(group, "fast", values.shape, "uint32", "zyx", (64, 64), (128, 128))
        assert type(fast._async_array.codec_pipeline).__name__ == "ZarrsCodecPipeline"
        for plane in range(2):
            fast[plane : plane + 1, :, :] = values[plane : plane + 1]
        again = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
        assert_array_equal(again["plain"][1:2, 5:290, 70:333], values[1:2, 5:290, 70:333])
    assert zarr.config.get(PATH) == plain
    assert_array_equal(zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["fast"][...], values)


def test_equal_pixels_make_equal_files(tmp_path):
    values = np.random.default_rng(2).integers(0, 9999, (64, 64)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint32)
    files = set()
    for number in range(12):
        group = zarr.open_group(str(tmp_path / f"{number}.zarr"), mode="w", zarr_format=3)
        create_level(group, "0", values.shape, "uint32", "yx", (64, 64), (512, 512))
        with fast_codecs(str(tmp_path), equal_files=True):
            labels = zarr.open_group(str(tmp_path / f"{number}.zarr"), mode="r+")["0"]
        labels[...] = values  # through what it was opened with
        files.add((tmp_path / f"{number}.zarr" / "0" / "c" / "0" / "0").read_bytes())
    assert len(files) == 1

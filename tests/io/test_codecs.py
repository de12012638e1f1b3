"""The fast codec pipeline gives the bits of the plain one."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from napari_sam.io.codecs import use_fast_codecs
from napari_sam.io.label_pyramid import create_level


def test_without_zarrs_the_plain_pipeline_stays(monkeypatch):
    before = zarr.config.get("codec_pipeline.path")
    monkeypatch.setitem(sys.modules, "zarrs", None)
    assert use_fast_codecs() == "zarr-python"
    assert zarr.config.get("codec_pipeline.path") == before


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_either_pipeline_reads_what_the_other_wrote(tmp_path, zarr_format):
    values = np.random.default_rng(1).integers(0, 50, (2, 300, 500)).astype(np.uint32)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=zarr_format)
    create_level(group, "plain", values.shape, "uint32", "zyx", (64, 64), (128, 128))[...] = values
    with zarr.config.set({"codec_pipeline.path": zarr.config.get("codec_pipeline.path")}):  # is put back at the end
        assert use_fast_codecs() == "zarrs"
        fast = create_level(group, "fast", values.shape, "uint32", "zyx", (64, 64), (128, 128))
        assert type(fast._async_array.codec_pipeline).__name__ == "ZarrsCodecPipeline"
        for plane in range(2):
            fast[plane : plane + 1, :, :] = values[plane : plane + 1]
        again = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
        assert_array_equal(again["plain"][1:2, 5:290, 70:333], values[1:2, 5:290, 70:333])
    assert_array_equal(zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["fast"][...], values)

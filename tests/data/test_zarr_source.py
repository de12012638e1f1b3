"""OME-Zarr images with labels: both versions, levels by choice, planes and tiles, axes by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from data_folders import picture, write_ome_zarr
from napari_sam.data import zarr_source
from napari_sam.data.sample_store import load_samples
from napari_sam.data.sources import list_images
from napari_sam.errors import InputError


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_planes_of_a_stack_with_channels(tmp_path, version):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4000, (2, 3, 4, 40, 50)).astype(np.uint16)  # t, c, z, y, x
    labels = rng.integers(0, 6, (2, 4, 40, 50)).astype(np.uint32)
    path = write_ome_zarr(tmp_path / "a.zarr", image, {"cells": labels}, "tczyx", "tzyx", version=version)
    images, problems = list_images([path])
    assert problems == []
    assert len(images) == 8
    pixels, found = images[5].read()
    np.testing.assert_array_equal(pixels, np.moveaxis(image[1, :, 1], 0, -1))
    np.testing.assert_array_equal(found, labels[1, 1])
    assert "t=1 z=1" in images[5].name
    assert len({image.origin for image in images}) == 1
    some, _ = list_images([f"{path}?every=3&channels=1"])
    assert [item.name for item in some] == [images[i].name for i in (0, 3, 6)]
    assert some[0].sample().image.shape == (40, 50, 3)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_coarser_level(tmp_path, version):
    image, labels = picture()
    path = write_ome_zarr(tmp_path / "a.zarr", image, {"cells": labels}, "yx", "yx", version=version)
    fine, _ = load_samples([path])
    coarse, _ = load_samples([f"{path}?level=1"])
    np.testing.assert_array_equal(fine[0].labels, labels)
    np.testing.assert_array_equal(coarse[0].labels, labels[::2, ::2])
    assert coarse.facts[0].shape == (20, 25)
    assert "no level 2" in list_images([f"{path}?level=2"])[1][0]


def test_the_label_image_is_chosen_by_name(tmp_path):
    image, labels = picture()
    both = {"nuclei": labels, "cells": (labels > 0).astype(np.uint8)}
    path = write_ome_zarr(tmp_path / "a.zarr", image, both, "yx", "yx")
    assert "nuclei, cells" in list_images([path])[1][0]
    assert load_samples([f"{path}?labels=cells"])[0][0].labels.max() == 1
    assert "labels=NAME" in list_images([f"{path}?labels=other"])[1][0]


def test_large_planes_are_cut_into_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_source, "TILE", 24)
    image, labels = picture()
    path = write_ome_zarr(tmp_path / "a.zarr", image[None], {"cells": labels[None]}, "cyx", "cyx")
    samples, _ = load_samples([path])
    assert len(samples) == 6
    assert max(facts.shape for facts in samples.facts) <= (24, 24)
    rebuilt = np.block([[samples[0].labels, samples[1].labels, samples[2].labels],
                        [samples[3].labels, samples[4].labels, samples[5].labels]])  # fmt: skip
    np.testing.assert_array_equal(rebuilt, labels)
    assert len({item.name for item in samples.images}) == 6
    assert len({item.origin for item in samples.images}) == 1


def test_what_does_not_fit_is_named(tmp_path):
    image, labels = picture()
    path = write_ome_zarr(tmp_path / "a.zarr", image, {"cells": labels[:-2]}, "yx", "yx", levels=1)
    assert "(38, 50)" in list_images([path])[1][0]
    path = write_ome_zarr(tmp_path / "b.zarr", np.stack([image] * 3), {"c": np.stack([labels] * 2)}, "zyx", "zyx")
    assert "(2, 40, 50)" in list_images([path])[1][0]
    path = write_ome_zarr(tmp_path / "c.zarr", image, {"cells": labels.astype(np.float32) / 2}, "yx", "yx")
    with pytest.raises(InputError, match="fractions"):
        load_samples([path])
    shutil.rmtree(path / "labels")
    assert "has no labels" in list_images([path])[1][0]
    assert "Cannot open" in list_images([path / "0"])[1][0]


def test_a_damaged_chunk_is_one_sentence(tmp_path):
    image, labels = picture()
    path = write_ome_zarr(tmp_path / "a.zarr", image, {"cells": labels}, "yx", "yx", levels=1)
    samples, _ = load_samples([path])
    chunk = next(file for file in (path / "0").rglob("*") if file.is_file() and file.name != "zarr.json")
    chunk.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="restore"):
        samples[0]

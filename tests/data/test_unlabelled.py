"""Folders of pictures without labels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.data.unlabelled import load_unlabelled
from napari_sam.errors import InputError


def write(file, shape, dtype=np.uint8) -> None:
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    if file.suffix == ".png":
        Image.fromarray(values).save(file)
    else:
        tifffile.imwrite(file, values, photometric="minisblack")


def test_pictures_of_every_kind(tmp_path):
    plain, dataset = tmp_path / "plain", tmp_path / "dataset"
    for folder in (plain, dataset / "images"):
        folder.mkdir(parents=True)
    write(plain / "a.png", (20, 30))
    write(plain / "b.png", (21, 31, 3))
    write(plain / "c.tif", (22, 32), np.uint16)
    write(plain / "d.tif", (3, 23, 33), np.uint16)  # a stack of three planes
    (plain / "notes.txt").write_text("no picture")
    write(dataset / "images" / "e.png", (24, 34))
    write(tmp_path / "f.png", (25, 35))
    samples, weights = load_unlabelled([plain, dataset, tmp_path / "f.png"])
    shapes = [(20, 30), (21, 31), (22, 32), (23, 33), (23, 33), (23, 33), (24, 34), (25, 35)]
    assert [facts.shape for facts in samples.facts] == shapes
    for sample, shape in zip(samples, shapes, strict=True):
        assert sample.image.shape == (*shape, 3)
        assert sample.image.dtype == np.uint8
        assert sample.labels.shape == shape
        assert not sample.labels.any()
    assert not np.array_equal(samples[3].image, samples[4].image)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[6] * 6**-0.5)  # six from one source, one from the other


def test_what_cannot_be_used_is_listed(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_text("no picture")
    with pytest.raises(InputError) as caught:
        load_unlabelled([tmp_path / "empty", tmp_path / "bad", tmp_path / "nowhere"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for part, line in zip(("empty", "x.png", "nowhere"), lines[1:], strict=True):
        assert part in line

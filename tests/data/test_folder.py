"""Folders of images and labels become 8-bit samples; rare groups are drawn more often than their share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.data.folder import load_samples
from napari_sam.errors import InputError


def make_dataset(folder: Path, names: list[str], dtype: type = np.uint8) -> Path:
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for name in names:
        image = rng.integers(0, 60, (40, 50)).astype(dtype)
        image[10:20, 10:20] += 100
        labels = np.zeros((40, 50), np.uint16)
        labels[10:20, 10:20] = 1
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{name}.png")
    return folder


def test_gray_images_are_stretched_as_the_predictor_does(tmp_path):
    samples, weights = load_samples([make_dataset(tmp_path / "a", ["x", "y"], np.uint16)])
    assert [s.image.shape for s in samples] == [(40, 50, 3)] * 2
    assert samples[0].image.dtype == np.uint8
    assert samples[0].image.max() == 255
    assert samples[0].labels.dtype == np.int32
    np.testing.assert_allclose(weights, [0.5, 0.5])


def test_a_group_counts_with_the_square_root_of_its_size(tmp_path):
    folder = make_dataset(tmp_path / "a", ["a", "b", "c", "d", "rare"])
    rows = "\n".join(f"{name},{'rare' if name == 'rare' else 'common'}" for name in ["a", "b", "c", "d", "rare"])
    (folder / "index.csv").write_text(f"id,group\n{rows}\n")
    _, weights = load_samples([folder])
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] / weights[:-1].sum() == pytest.approx(1 / 2)


def test_missing_labels_are_named(tmp_path):
    folder = make_dataset(tmp_path / "a", ["x", "y"])
    (folder / "labels" / "y.png").unlink()
    with pytest.raises(InputError, match=r"y\.png"):
        load_samples([folder])
    with pytest.raises(InputError, match="labels"):
        load_samples([tmp_path])


def test_no_folders_give_no_samples():
    samples, weights = load_samples([])
    assert samples == []
    assert len(weights) == 0

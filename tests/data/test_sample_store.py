"""Samples are read when drawn, at most some at a time; rare groups are drawn more often than their share."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

from data_folders import picture, write_folder
from napari_sam.config.training import TrainingConfig
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sample_store import SampleCache, SampleStore, load_samples
from napari_sam.data.sampler import make_batch
from napari_sam.errors import InputError


def test_gray_images_are_stretched_as_the_predictor_does(tmp_path):
    samples, weights = load_samples([write_folder(tmp_path / "a", ["x", "y"], np.uint16)])
    assert [s.image.shape for s in samples] == [(40, 50, 3)] * 2
    assert samples[0].image.dtype == np.uint8
    assert samples[0].image.max() == 255
    assert samples[0].labels.dtype == np.int32
    np.testing.assert_allclose(weights, [0.5, 0.5])


def test_the_facts_are_those_of_the_samples(tmp_path):
    samples, _ = load_samples([write_folder(tmp_path / "a", ["x"])])
    (facts,) = samples.facts
    assert facts.shape == (40, 50)
    assert facts.objects == 2
    assert facts.diameter == pytest.approx(samples[0].diameter)


def test_a_group_counts_with_the_square_root_of_its_size(tmp_path):
    folder = write_folder(tmp_path / "a", ["a", "b", "c", "d", "rare"])
    rows = "\n".join(f"{name},{'rare' if name == 'rare' else 'common'}" for name in ["a", "b", "c", "d", "rare"])
    (folder / "index.csv").write_text(f"id,group\n{rows}\n")
    _, weights = load_samples([folder])
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] / weights[:-1].sum() == pytest.approx(1 / 2)


def test_images_without_objects_are_never_drawn(tmp_path):
    folder = write_folder(tmp_path / "a", ["x", "y", "z"])
    tifffile.imwrite(folder / "labels" / "y.tif", np.zeros((40, 50), np.uint8))
    (folder / "labels" / "y.png").unlink()
    samples, weights = load_samples([folder])
    np.testing.assert_allclose(weights, [0.5, 0, 0.5])
    assert len(samples) == 3
    for name in "xz":
        tifffile.imwrite(folder / "labels" / f"{name}.tif", np.zeros((40, 50), np.uint8))
        (folder / "labels" / f"{name}.png").unlink()
    with pytest.raises(InputError, match="None of the 3"):
        load_samples([folder])


def test_missing_labels_are_named(tmp_path):
    folder = write_folder(tmp_path / "a", ["x", "y"])
    (folder / "labels" / "y.png").unlink()
    with pytest.raises(InputError, match=r"y\.png"):
        load_samples([folder])
    with pytest.raises(InputError, match="labels"):
        load_samples([tmp_path])


def test_no_folders_give_no_samples():
    samples, weights = load_samples([])
    assert len(samples) == 0
    assert len(weights) == 0


def counted(reads: list[int], number: int) -> LabelledImage:
    image, labels = picture(number)

    def read() -> np.ndarray:
        reads.append(number)
        return image

    return LabelledImage(
        name=str(number), source="memory", read_image=read, read_labels=lambda: labels.astype(np.int32)
    )


def test_what_was_drawn_last_is_kept_as_long_as_it_fits():
    reads: list[int] = []
    one = 40 * 50 * (3 + 4)
    store = SampleStore([counted(reads, i) for i in range(3)], cache=SampleCache(2 * one))
    assert reads == []
    for index in (0, 1, 0, 1):
        store[index]
    assert reads == [0, 1]
    store[2]  # 0 has to go
    store[1]
    store[0]
    assert reads == [0, 1, 2, 0]
    tiny = SampleStore([counted(reads, 7)], cache=SampleCache(one - 1))
    tiny[0]
    tiny[0]
    assert reads[-2:] == [7, 7]


def test_subsets_share_the_cache_but_not_their_places():
    reads: list[int] = []
    store = SampleStore([counted(reads, i) for i in range(4)])
    for index in range(4):
        store[index]
    back = store.subset([3, 1])
    np.testing.assert_array_equal(back[0].image, store[3].image)
    np.testing.assert_array_equal(store[1:][1].image, store[2].image)
    np.testing.assert_array_equal(back[-1].image, store[1].image)
    assert len(reads) == 4
    with pytest.raises(IndexError):
        back[2]


def test_a_store_goes_to_another_process(tmp_path):
    samples, weights = load_samples([write_folder(tmp_path / "a", ["x", "y"])])
    copy = pickle.loads(pickle.dumps(samples))
    np.testing.assert_array_equal(copy[1].image, samples[1].image)
    np.testing.assert_array_equal(copy.weights, weights)


def test_batches_do_not_depend_on_what_is_cached(tmp_path):
    folder = write_folder(tmp_path / "a", ["x", "y", "z"])
    config = TrainingConfig(synthetic=0.0, data=(str(folder),), batch=3, prompts=2)
    kept, weights = load_samples([folder])
    anew, _ = load_samples([folder], cache_bytes=0)
    for step in (1, 2):
        a, b = (make_batch(samples, weights, config, 64, step) for samples in (kept, anew))
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.masks, b.masks)


def test_large_label_numbers_cost_no_memory():
    image, labels = picture()
    large = np.where(labels > 0, labels.astype(np.int32) + 2**30, 0).astype(np.int32)
    item = LabelledImage(name="a", source="m", read_image=lambda: image, read_labels=lambda: large)
    assert item.measure().objects == 2
    np.testing.assert_array_equal(item.sample().labels, labels)


def test_sizes_that_differ_are_named():
    image, labels = picture()
    item = LabelledImage(
        name="odd.png", source="m", read_image=lambda: image[1:], read_labels=partial(labels.astype, np.int32)
    )
    with pytest.raises(InputError, match=r"odd\.png.*\(39, 50\).*\(40, 50\)"):
        item.sample()
    assert replace(item, read_image=lambda: image).sample().image.shape == (40, 50, 3)


def test_planes_of_a_stack(tmp_path: Path):
    for part, values in zip(("images", "labels"), picture(), strict=True):
        (tmp_path / part).mkdir()
        stack = np.stack([values] * 4)
        stack[0] = 0
        tifffile.imwrite(tmp_path / part / "v.tif", stack, photometric="minisblack")
    samples, weights = load_samples([f"{tmp_path}?every=2"])
    assert len(samples) == 2
    np.testing.assert_allclose(weights, [0, 1])
    assert "plane 2" in samples.images[1].name

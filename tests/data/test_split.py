"""Who is held out follows from names alone; what belongs together is never torn."""

from __future__ import annotations

import numpy as np
import pytest

from data_folders import write_folder
from napari_sam.data.labelled_image import ImageFacts, LabelledImage
from napari_sam.data.sample_store import SampleStore, load_samples
from napari_sam.data.split import held_out, split_samples
from napari_sam.errors import InputError


def refuse() -> np.ndarray:
    raise AssertionError("a split reads no pixels")


def store(names: list[tuple[str, str]], source: str = "/data/set") -> SampleStore:
    """Return images of (origin, group)."""
    facts = ImageFacts(shape=(9, 9), objects=1, diameter=3)
    images = [
        LabelledImage(name=str(i), source=source, read_image=refuse, read_labels=refuse, facts=facts, origin=o, group=g)
        for i, (o, g) in enumerate(names)
    ]
    return SampleStore(images)


def origins(samples: SampleStore) -> set[str]:
    return {image.origin for image in samples.images}


def test_the_fraction_is_met_and_adding_images_moves_none():
    names = [f"image-{i}" for i in range(1000)]
    out = held_out(names, 0.2)
    assert 160 < out.sum() < 240
    np.testing.assert_array_equal(out[:500], held_out(names[:500], 0.2))
    np.testing.assert_array_equal(out[::-1], held_out(names[::-1], 0.2))
    assert (out != held_out(names, 0.2, seed=1)).any()
    larger = held_out(names, 0.3)
    assert larger[out].all()


def test_names_not_folders_decide():
    names = [(f"i{i}", "") for i in range(40)]
    here, there = (split_samples(store(names, folder), 0.3)[1] for folder in ("/data/set", "/elsewhere/set"))
    assert origins(here) == origins(there)


def test_what_was_cut_from_one_image_stays_together():
    samples = store([(f"volume{i // 10}", "") for i in range(200)])
    train, held = split_samples(samples, 0.3)
    assert origins(train).isdisjoint(origins(held))
    assert len(train) + len(held) == 200
    assert train.weights.sum() == pytest.approx(1)


def test_whole_groups():
    samples = store([(f"i{i}", "abcdefgh"[i % 8]) for i in range(80)])
    train, held = split_samples(samples, 0.4, by="group")
    groups = [{image.group for image in part.images} for part in (train, held)]
    assert groups[0].isdisjoint(groups[1])
    assert groups[0] | groups[1] == set("abcdefgh")
    assert len(held) % 10 == 0


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_neither_part_is_empty(fraction):
    train, held = split_samples(store([("a", ""), ("b", "")]), fraction)
    assert len(train) == len(held) == 1


def test_what_cannot_be_split():
    with pytest.raises(InputError, match="between 0 and 1"):
        held_out(["a", "b"], 1.0)
    with pytest.raises(InputError, match="1 group"):
        split_samples(store([("a", ""), ("b", "")]), 0.5, by="group")
    with pytest.raises(InputError, match="image or group"):
        split_samples(store([("a", ""), ("b", "")]), 0.5, by="cell")


def test_planes_and_pictures_of_a_real_folder(tmp_path):
    samples, _ = load_samples([write_folder(tmp_path / "set", [f"n{i}" for i in range(12)])])
    train, held = split_samples(samples, 0.25, seed=3)
    assert sorted(origins(train) | origins(held)) == sorted(f"n{i}" for i in range(12))
    assert held[0].image.shape == (40, 50, 3)


@pytest.mark.parametrize("seed", range(8))
def test_of_ten_images_at_least_three_are_held_out(seed):
    for share in (0.01, 0.2):
        assert held_out([f"image-{i}" for i in range(10)], share, seed).sum() >= 3
    assert held_out([f"image-{i}" for i in range(9)], 0.01, seed).sum() >= 1

"""Crops are those that inference cuts, made once, and never of images that are held out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_folders import write_folder
from napari_sam.config.text_training import TextTrainingConfig
from napari_sam.data import caption_crops, caption_objects
from napari_sam.data.caption_crops import CaptionCrops, apply_view, held_out, make_crops, training_images
from napari_sam.data.caption_objects import describe_scene
from napari_sam.errors import InputError
from napari_sam.inference.mask_crops import VIEWS, crop_masks


def config(**changes) -> TextTrainingConfig:
    return TextTrainingConfig(**{"scenes": 4, "scene_size": 96, "objects": 6, **changes})


def test_crops_look_as_inference_would_cut_them(monkeypatch):
    monkeypatch.setattr(caption_crops, "ROUGHLY", 0.0)
    monkeypatch.setattr(caption_crops, "EXPANSION_SHARES", (1.0, 0.0, 0.0))
    found = describe_scene(np.random.default_rng(0), (96, 96), "tissue", most=6)
    crops = caption_crops._cut(found, 32, 0.5, np.random.default_rng(0))
    for view in VIEWS:
        expected = crop_masks(found.image, found.records, 32, view, 1.5, size_cue=0.5, reference=found.side)
        assert np.array_equal(np.stack([apply_view(crop, view) for crop in crops]), expected)


def test_crops_are_made_once(tmp_path):
    events = list(make_crops(config(), tmp_path / "crops", 16, 0.5))
    assert [(event.done, event.total) for event in events] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    crops = CaptionCrops.open(tmp_path / "crops")
    assert crops.pixels.shape == (len(crops), 16, 16, 4)
    assert len(crops) == len(crops.codes) > 12
    assert crops.weights.sum() == pytest.approx(1)
    assert list(make_crops(config(lr=0.5), tmp_path / "crops", 16, 0.5)) == []  # the rate changes no crop
    assert len(list(make_crops(config(objects=3), tmp_path / "crops", 16, 0.5))) == 4
    assert len(CaptionCrops.open(tmp_path / "crops")) < len(crops)


def test_an_interrupted_cache_is_made_again_and_equal(tmp_path):
    for event in make_crops(config(), tmp_path / "broken", 16, 0.5):
        if event.done == 2:
            break
    assert not (tmp_path / "broken").exists()
    list(make_crops(config(), tmp_path / "broken", 16, 0.5))
    list(make_crops(config(), tmp_path / "whole", 16, 0.5))
    broken, whole = CaptionCrops.open(tmp_path / "broken"), CaptionCrops.open(tmp_path / "whole")
    assert np.array_equal(broken.pixels, whole.pixels)
    assert np.array_equal(broken.codes, whole.codes)


def test_rare_kinds_weigh_more_each_and_less_together():
    codes = np.full((10, 8), -1, np.int8)
    codes[9, 7] = 3
    weights = CaptionCrops(np.zeros((10, 1, 1, 4), np.uint8), codes).weights
    assert weights[9] == pytest.approx(0.25)
    assert weights[:9].sum() == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("source", "index", "expected"),
    [("d/train", 4, False), ("d/val", 0, True), ("d/test", 3, True), ("d/x", 3, False), ("d/x?every=4", 4, True)],
)
def test_who_is_held_out(source, index, expected):
    assert held_out(source, index, 5) is expected
    assert held_out(source, index, 0) is False


def test_images_train_or_are_held_out(tmp_path):
    sources = [str(write_folder(tmp_path / name, list("abc"))) for name in ("test", "other")]
    train, held = training_images(sources, 3), training_images(sources, 3, held=True)
    assert [image.origin for image in train] == ["a", "b"]
    assert len(held) == 4
    assert not {image.name for image in train} & {image.name for image in held}
    with pytest.raises(InputError, match="gone"):
        training_images([str(tmp_path / "gone")], 3)


def test_data_without_objects_is_refused(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "empty", ["a"])
    Image.fromarray(np.zeros((40, 50), np.uint16)).save(folder / "labels" / "a.png")
    settings = config(data=(str(folder),), scenes=0)
    assert len(list(make_crops(settings, tmp_path / "crops", 16, 0.5))) == 1  # background and dirt are left to learn
    monkeypatch.setattr(caption_objects, "EXTRAS", 0)
    with pytest.raises(InputError, match="no objects"):
        list(make_crops(settings, tmp_path / "none", 16, 0.5))
    assert not (tmp_path / "none").exists()

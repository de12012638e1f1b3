"""Batches depend on seed and step alone, and hold masks worth prompting."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_sam.config.training import TrainingConfig
from napari_sam.data.sample import Sample
from napari_sam.data.sampler import MIN_AREA, make_batch
from napari_sam.errors import InputError

CONFIG = TrainingConfig(synthetic=1.0, batch=3, prompts=5)


def test_a_batch_can_be_made_again():
    a = make_batch([], np.zeros(0), CONFIG, 64, 7)
    b = make_batch([], np.zeros(0), CONFIG, 64, 7)
    c = make_batch([], np.zeros(0), CONFIG, 64, 8)
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(a.masks, b.masks)
    assert not np.array_equal(a.images, c.images)


def test_every_mask_is_an_object_of_some_size():
    batch = make_batch([], np.zeros(0), CONFIG, 64, 1)
    assert batch.images.shape == (3, 64, 64, 3)
    assert batch.masks.shape == (3, 5, 64, 64)
    assert (batch.masks.sum(axis=(2, 3)) >= MIN_AREA).all()


def test_images_without_objects_are_reported():
    empty = Sample(image=np.zeros((80, 80, 3), np.uint8), labels=np.zeros((80, 80), np.int32))
    config = dataclasses.replace(CONFIG, synthetic=0.0, data=("x",))
    with pytest.raises(InputError, match="no object"):
        make_batch([empty], np.ones(1), config, 64, 1)


def test_the_object_of_a_crop_is_prompted_most_and_incomplete_images_say_so():
    labels = np.zeros((120, 120), np.int32)
    for number, row in enumerate(range(5, 105, 25), start=1):
        labels[row : row + 15, 10:110] = number
    image = np.repeat((labels * 50)[..., None], 3, -1).astype(np.uint8)
    sample = Sample(image=image, labels=labels, complete=False)
    config = dataclasses.replace(CONFIG, synthetic=0.0, data=("x",), focus=1.0, share=(0.6, 0.6), prompts=9)
    batch = make_batch([sample], np.ones(1), config, 64, 1)
    assert not batch.complete.any()
    for masks in batch.masks:
        same = (masks[:3] == masks[:1]).all(axis=(1, 2))
        assert same.all()  # a third of nine
        assert np.ptp(np.nonzero(masks[0])[0]) > 20 or np.ptp(np.nonzero(masks[0])[1]) > 20

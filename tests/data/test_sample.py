"""Crops keep image and labels together; augmentation keeps type and range."""

from __future__ import annotations

import numpy as np

from napari_sam.data.sample import PAD_COLOUR, Sample, augment_intensity, crop_around, random_crop


def checker(height: int = 90, width: int = 120) -> Sample:
    rows, cols = np.mgrid[:height, :width]
    labels = ((rows // 30) * 4 + cols // 30 + 1).astype(np.int32)
    image = np.repeat((labels * 18)[..., None], 3, axis=-1).astype(np.uint8)
    return Sample(image=image, labels=labels)


def test_labels_follow_the_image_through_zoom_turn_and_flip():
    for seed in range(20):
        crop = random_crop(checker(), np.random.default_rng(seed), 64, (0.5, 2.0))
        assert crop.image.shape == (64, 64, 3)
        assert crop.labels.shape == (64, 64)
        inside = crop.labels > 0
        agree = np.abs(crop.image[..., 0].astype(int) - crop.labels * 18)[inside] <= 6
        assert agree.mean() > 0.85  # all but the blurred borders of the squares


def test_outside_of_a_small_image_is_the_padding_colour():
    crop = random_crop(checker(20, 20), np.random.default_rng(0), 64, (1.0, 1.0))
    outside = crop.labels == 0
    assert outside.sum() > 64 * 64 / 2
    assert (crop.image[outside] == PAD_COLOUR).all(axis=-1).mean() > 0.95


def test_augmentation_is_seeded_and_stays_8_bit():
    image = checker().image
    first = augment_intensity(image, np.random.default_rng(3))
    again = augment_intensity(image, np.random.default_rng(3))
    other = augment_intensity(image, np.random.default_rng(4))
    assert first.dtype == np.uint8
    assert first.shape == image.shape
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_crop_around_an_object_holds_it_at_the_share_asked_for():
    squares = checker()
    for seed in range(20):
        crop, label = crop_around(squares, np.random.default_rng(seed), 64, (0.5, 0.5))
        rows, cols = np.nonzero(crop.labels == label)
        assert len(rows) > 200  # most of an object of 32 x 32 pixels, wherever it lies
        assert max(np.ptp(rows), np.ptp(cols)) + 1 <= 32 * 1.4
        assert abs(int(np.median(crop.image[rows, cols, 0])) - label * 18) <= 6


def test_the_zoom_of_a_crop_around_an_object_has_its_limits():
    tiny = Sample(image=np.zeros((200, 200, 3), np.uint8), labels=np.zeros((200, 200), np.int32), complete=False)
    tiny.labels[50:52, 60:62] = 9
    crop, label = crop_around(tiny, np.random.default_rng(0), 64, (0.9, 0.9))
    assert label == 9
    assert 0 < np.count_nonzero(crop.labels == 9) <= (2 * 4 * 1.4) ** 2
    assert not crop.complete


def test_boxes_are_those_of_the_objects():
    labels = np.zeros((10, 12), np.int32)
    labels[2:5, 3:9] = 4
    labels[9, 0] = 7
    sample = Sample(image=np.zeros((10, 12, 3), np.uint8), labels=labels)
    np.testing.assert_array_equal(sample.boxes, [[4, 2, 3, 5, 9], [7, 9, 0, 10, 1]])

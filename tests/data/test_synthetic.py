"""Synthetic scenes: seeded, labelled without gaps, objects that can be seen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.data.synthetic import KINDS, synthetic_sample


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_picture(kind):
    a = synthetic_sample(np.random.default_rng(5), (96, 128), kind)
    b = synthetic_sample(np.random.default_rng(5), (96, 128), kind)
    c = synthetic_sample(np.random.default_rng(6), (96, 128), kind)
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert not np.array_equal(a.image, c.image)
    assert a.image.shape == (96, 128, 3)
    assert a.image.dtype == np.uint8


def test_labels_have_no_gaps_and_objects_have_an_area():
    for seed in range(60):
        labels = synthetic_sample(np.random.default_rng(seed), (128, 128)).labels
        areas = np.bincount(labels.ravel())
        assert labels.dtype == np.int32
        assert (areas[1:] >= 8).all()


def test_nuclei_are_brighter_and_stained_objects_darker_than_their_ground():
    right = {"nuclei": 0, "stained": 0}
    for seed in range(12):
        for kind, sign in (("nuclei", 1), ("stained", -1)):
            sample = synthetic_sample(np.random.default_rng(seed), (128, 128), kind, count=12)
            inside = sample.labels > 0
            difference = float(sample.image[inside].mean()) - float(sample.image[~inside].mean())
            right[kind] += sign * difference > 0
    assert right["stained"] == 12
    assert right["nuclei"] >= 8  # a tenth of all scenes is shown dark on bright


def test_clumps_touch():
    touching = 0
    for seed in range(20):
        labels = synthetic_sample(np.random.default_rng(seed), (160, 160), "nuclei").labels
        side = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
        touching += bool(side.any())
    assert touching >= 8

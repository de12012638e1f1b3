"""Bootstrap intervals: repeatable, over images, as wide as theory says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_sam.evaluation.intervals import bootstrap_intervals


def test_it_agrees_with_scipy_where_every_image_has_one_value():
    values = np.random.default_rng(0).beta(4, 2, 40)
    ours = bootstrap_intervals(values[:, None], np.ones(40, int), draws=9000)
    assert ours is not None
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9000, rng=1).confidence_interval
    np.testing.assert_allclose(ours[0], theirs, atol=0.004)
    assert ours[0, 0] < values.mean() < ours[0, 1]


def test_images_are_drawn_not_objects():
    # two images: all good or all bad; that a thousand objects agree adds nothing
    ends = bootstrap_intervals(np.array([[1000.0], [0.0]]), np.array([1000, 1000]))
    assert ends is not None
    np.testing.assert_array_equal(ends, [[0, 1]])


def test_large_images_weigh_more():
    sums, counts = np.array([[90.0, 9.0], [1.0, 10.0], [1.0, 10.0]]), np.array([90, 10, 10])
    ends = bootstrap_intervals(sums, counts)
    assert ends is not None
    assert ends[0] == pytest.approx([0.1, 1])  # only the two bad images, or only the good one
    assert ends[1] == pytest.approx([0.1, 1])


def test_the_seed_repeats_and_one_image_says_nothing():
    sums, counts = np.random.default_rng(2).random((9, 3)), np.ones(9, int)
    np.testing.assert_array_equal(bootstrap_intervals(sums, counts), bootstrap_intervals(sums, counts))
    assert not np.array_equal(bootstrap_intervals(sums, counts), bootstrap_intervals(sums, counts, seed=1))
    assert bootstrap_intervals(sums[:1], counts[:1]) is None

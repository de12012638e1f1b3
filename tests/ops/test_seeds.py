"""One seed in each middle, and the objects grown from them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.data.object_targets import object_targets
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.ops.seeds import find_seeds, grow_seeds


def test_touching_disks_have_a_seed_each():
    rows, cols = np.mgrid[:64, :64]
    labels = np.zeros((64, 64), np.int32)
    for number, col in enumerate((20, 36, 52), start=1):
        labels[((rows - 30) ** 2 + (cols - col) ** 2 < 81) & (labels == 0)] = number
    covered, middle, _ = object_targets(labels, 64)
    markers, points = find_seeds(covered, middle)
    assert sorted(labels[r, c] for r, c in points.astype(int)) == [1, 2, 3]
    assert markers.max() == 3
    grown = grow_seeds(covered, middle, markers)
    for number in (1, 2, 3):
        own = grown == grown[tuple(points[[labels[r, c] == number for r, c in points.astype(int)]][0].astype(int))]
        truth = labels == number
        assert np.count_nonzero(own & truth) / np.count_nonzero(own | truth) > 0.9


def test_a_ripple_makes_no_second_seed():
    rows, cols = np.mgrid[:40, :40]
    middle = np.clip(1 - np.hypot(rows - 20, cols - 20) / 15, 0, 1)
    rippled = np.clip(middle + 0.05 * np.sin(cols), 0, 1)
    assert len(find_seeds(middle > 0, rippled)[1]) == 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_maps(value):
    markers, points = find_seeds(np.full((10, 12), value), np.zeros((10, 12)))
    assert points.shape == (0, 2)
    assert not grow_seeds(np.full((10, 12), value), np.zeros((10, 12)), markers).any()


def test_most_objects_of_a_scene_are_found():
    found = total = 0
    for seed in range(8):
        labels = synthetic_sample(np.random.default_rng(seed), (128, 128), "nuclei").labels
        covered, middle, _ = object_targets(labels, 128)
        hit = {int(labels[int(r), int(c)]) for r, c in find_seeds(covered, middle)[1]}
        found += len(hit - {0})
        total += labels.max()
    assert found > 0.9 * total

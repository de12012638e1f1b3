"""The object head's targets, and its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.data.object_targets import interior, object_targets
from napari_sam.losses.objects import object_loss
from napari_sam.model.object_head import ObjectMaps


def test_a_square_is_highest_in_its_middle():
    labels = np.zeros((32, 32), np.int32)
    labels[8:18, 10:20] = 7
    covered, middle, diameter = object_targets(labels, 16)
    np.testing.assert_array_equal(covered > 0, np.pad(np.ones((5, 5), bool), ((4, 7), (5, 6))))
    assert np.unravel_index(middle.argmax(), middle.shape) == (6, 7)
    assert 0.8 < middle.max() <= 1
    assert middle[covered == 0].max() == 0
    np.testing.assert_allclose(diameter[covered > 0], np.log2(2 * np.sqrt(100 / np.pi)), rtol=1e-5)
    assert diameter[covered == 0].max() == 0


def test_touching_objects_have_two_middles():
    labels = np.zeros((32, 32), np.int32)
    labels[8:20, 4:14], labels[8:20, 14:24] = 1, 2
    middle = object_targets(labels, 32)[1]
    line = middle[13]
    assert line[8] > 0.7
    assert line[19] > 0.7
    assert line[13:15].max() < 0.4


@pytest.mark.parametrize("labels", [np.zeros((16, 16), np.int32), np.full((16, 16), 5, np.int32)])
def test_nothing_and_everything(labels):
    covered, middle, diameter = object_targets(labels, 8)
    assert covered.min() == covered.max() == (labels.max() > 0)
    assert np.isfinite([middle, diameter]).all()
    assert middle.max() <= 1


def test_labels_stay_as_they_are():
    labels = np.array([[1, 1, 2], [1, 0, 2], [3, 3, 3]], np.int32)
    copy = labels.copy()
    inside = interior(labels)
    np.testing.assert_array_equal(labels, copy)
    assert inside[0].tolist() == [True, False, True]  # the boundary is one pixel wide


def maps(foreground: torch.Tensor, middle: torch.Tensor, diameter: torch.Tensor) -> ObjectMaps:
    return ObjectMaps(foreground=foreground, middle=middle, diameter=diameter)


def test_the_loss_is_least_at_the_truth_and_of_each_image_alone():
    labels = np.zeros((2, 16, 16), np.int32)
    labels[0, 3:9, 3:9], labels[1, 2:14, 1:8] = 1, 1
    target = torch.from_numpy(np.stack([object_targets(each, 16) for each in labels]))
    near = target.clamp(1e-4, 1 - 1e-4)
    right = maps(torch.logit(near[:, 0]), torch.logit(near[:, 1]), target[:, 2])
    best = object_loss(right, target)
    for number in range(3):
        wrong = [right.foreground, right.middle, right.diameter]
        wrong[number] = wrong[number] + 0.7
        assert object_loss(maps(*wrong), target) > best
    parts = [object_loss(maps(*(m[i : i + 1] for m in (right.foreground, right.middle, right.diameter))),
                         target[i : i + 1]) for i in (0, 1)]  # fmt: skip
    torch.testing.assert_close(best, torch.stack(parts).mean())


def test_gradients_are_those_of_differences():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 4, 4, generator=generator, dtype=torch.float64)
    values = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: object_loss(maps(*v.unbind(0)), target), values)

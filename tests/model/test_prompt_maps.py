"""Prompts as maps: each where it is, as high as it should be, nothing where there is none."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sam.model.prompt_maps import MAP_CHANNELS, SIGMAS, prompt_maps

WIDTHS = len(SIGMAS)


def draw(points=None, boxes=None, masks=None, count=1):
    return prompt_maps(
        points, boxes, masks, count=count, img_size=64, size=16, device=torch.device("cpu")
    )  # one map pixel is four model pixels wide


def test_what_is_not_given_is_empty():
    assert draw(count=3).shape == (3, MAP_CHANNELS, 16, 16)
    assert not draw(count=3).any()


@pytest.mark.parametrize(("label", "first"), [(1, 0), (0, WIDTHS)])
def test_a_point_is_highest_where_it_is_and_falls_off_as_a_gaussian(label, first):
    at = torch.tensor([[[4 * 5 + 1.5, 4 * 9 + 1.5]]])  # x, y: the middle of column 5 and row 9
    maps = draw(points=(at, torch.tensor([[label]])))[0]
    for number, sigma in enumerate(SIGMAS):
        one = maps[first + number]
        assert divmod(int(one.argmax()), 16) == (9, 5)
        assert float(one[9, 5]) == pytest.approx(1)
        assert float(one[9, 7]) == pytest.approx(math.exp(-(8**2) / 2 / sigma**2), abs=1e-6)
    others = [n for n in range(MAP_CHANNELS) if not first <= n < first + WIDTHS]
    assert not maps[others].any()


def test_several_points_count_by_the_nearest_and_padding_not_at_all():
    points = torch.tensor([[[1.5, 1.5], [61.5, 61.5], [33.5, 33.5]]])
    maps = draw(points=(points, torch.tensor([[1, 1, -1]])))[0, 0]
    assert float(maps[0, 0]) == float(maps[15, 15]) == pytest.approx(1)
    assert float(maps[8, 8]) < 1e-6


def test_a_box_has_an_inside_and_an_edge():
    inside, edge = draw(boxes=torch.tensor([[8.0, 16.0, 40.0, 48.0]]))[0, -4:-2]
    assert float(inside[8, 6]) > 0.99
    assert float(inside[1, 6]) < 0.01
    assert float(edge[8, 2]) > 0.8  # next to the left edge at x = 8
    assert float(edge[8, 6]) < 0.01


def test_a_mask_goes_from_minus_one_to_one_and_says_that_it_is_there():
    logits = torch.full((1, 1, 32, 32), -20.0)
    logits[..., :16] = 20
    mask, given = draw(masks=logits)[0, -2:]
    assert torch.equal(given, torch.ones(16, 16))
    torch.testing.assert_close(mask[:, :8], torch.ones(16, 8))
    torch.testing.assert_close(mask[:, 8:], -torch.ones(16, 8))

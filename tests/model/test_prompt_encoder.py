"""Prompts become tokens: one for each point and corner, padding that says nothing, masks as a map."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def encode(tiny_vit_model):
    def call(points=None, boxes=None, masks=None):
        with torch.no_grad():
            return tiny_vit_model.prompt_encoder(points, boxes, masks)

    return call


def points(*labels):
    coords = torch.arange(2.0 * len(labels)).reshape(1, -1, 2) * 5
    return coords, torch.tensor([labels])


def test_numbers_of_tokens(encode):
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0]])
    assert encode()[0].shape == (1, 0, 32)
    assert encode(points(1, 0))[0].shape == (1, 3, 32)  # one pads where no box follows
    assert encode(None, boxes)[0].shape == (1, 2, 32)
    assert encode(points(1, 0), boxes)[0].shape == (1, 4, 32)


def test_padding_says_the_same_wherever_it_lies(encode):
    sparse, _ = encode(points(1, -1, -1))
    torch.testing.assert_close(sparse[:, 1], sparse[:, 2])
    assert not torch.allclose(sparse[:, 0], sparse[:, 1])


def test_kind_and_place_of_points_count(encode):
    positive, _ = encode(points(1))
    negative, _ = encode(points(0))
    coords, labels = points(1)
    moved, _ = encode((coords + 3, labels))
    assert not torch.allclose(positive[:, 0], negative[:, 0])
    assert not torch.allclose(positive[:, 0], moved[:, 0])


def test_masks_become_the_dense_map(encode):
    none, _ = encode(points(1))[1], None
    dark = encode(masks=torch.full((2, 1, 16, 16), -10.0))[1]
    bright = encode(masks=torch.full((2, 1, 16, 16), 10.0))[1]
    assert none.shape == (1, 32, 4, 4)
    assert dark.shape == (2, 32, 4, 4)
    assert not torch.allclose(dark, bright)


def test_the_grid_encodes_the_centres_of_its_cells(tiny_vit_model):
    encoder = tiny_vit_model.prompt_encoder
    with torch.no_grad():
        grid = encoder.get_dense_pe()
        centre = encoder.pe_layer(torch.tensor([[2 * 16 + 8.0, 1 * 16 + 8.0]]), 64)  # (x, y): row 1, column 2
    assert grid.shape == (1, 32, 4, 4)
    torch.testing.assert_close(grid[0, :, 1, 2], centre[0])

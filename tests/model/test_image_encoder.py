"""Attention with relative positions folded into queries and keys; windows that cover the grid."""

from __future__ import annotations

import pytest
import torch

from napari_sam.model.image_encoder import relative_position_features, window_partition, window_unpartition


def test_relative_positions_ride_in_the_product_and_no_square_matrix_is_stored():
    h, w, d = 8, 6, 16
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 2, h * w, d, generator=generator) for _ in range(2))
    rel_h = torch.randn(2 * h - 1, d, generator=generator)
    rel_w = torch.randn(2 * w - 1, d, generator=generator)
    query, key = relative_position_features(q, k, rel_h, rel_w, (h, w), d**-0.5)
    assert max(query.shape[-1], key.shape[-1]) < h * w
    assert query.shape[-1] % 8 == 0
    expected = (q @ k.transpose(-1, -2)) * d**-0.5
    for i in range(h * w):
        for j in range(h * w):
            offset = rel_h[i // w - j // w + h - 1] + rel_w[i % w - j % w + w - 1]
            expected[..., i, j] += q[..., i, :] @ offset
    torch.testing.assert_close(query @ key.transpose(-1, -2), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "width", "window"), [(6, 6, 3), (7, 5, 3), (2, 2, 5)])
def test_windows_cover_the_grid_and_go_back(height, width, window):
    x = torch.arange(2.0 * height * width * 3).reshape(2, height, width, 3) + 1
    windows, padded = window_partition(x, window)
    assert windows.shape[1:] == (window, window, 3)
    assert padded[0] % window == padded[1] % window == 0
    assert windows.sum() == x.sum()  # the padding is zero
    assert torch.equal(window_unpartition(windows, window, padded, (height, width)), x)


def test_windowed_blocks_see_their_window_and_global_ones_all(tiny_vit_model):
    windowed, everywhere = tiny_vit_model.image_encoder.blocks
    x = torch.randn(1, 4, 4, 32, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[0, 0, 0] += 1  # not the same in every channel after the norm
    changed[0, 0, 0, :16] += 1
    with torch.no_grad():
        near = (windowed(x) - windowed(changed)).abs().amax(-1)[0] > 1e-6
        far = (everywhere(x) - everywhere(changed)).abs().amax(-1)[0] > 1e-7
    assert near[:3, :3].all()
    assert not near[3].any()
    assert not near[:, 3].any()
    assert far.all()


def test_the_result_of_an_image_does_not_depend_on_its_batch(tiny_vit_model):
    x = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = tiny_vit_model.image_encoder(x)
        alone = torch.cat([tiny_vit_model.image_encoder(one[None]) for one in x])
    assert together.shape == (3, 32, 4, 4)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

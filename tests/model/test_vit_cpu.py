"""A block in pieces is the block: windows with padding, global attention, batches, both precisions."""

from __future__ import annotations

import pytest
import torch

from napari_sam.model import vit_cpu
from napari_sam.model.image_encoder import Block
from napari_sam.model.vit_cpu import run_block


def make_block(window, grid, *, heads=2, dim=16):
    block = Block(dim=dim, num_heads=heads, mlp_ratio=4, window_size=window, grid=grid).eval()
    generator = torch.Generator().manual_seed(window + grid)
    with torch.no_grad():
        for weight in block.parameters():  # nothing stays at zero: positions and biases count
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return block


def tokens(batch, height, width, dim=16):
    return torch.randn(batch, height, width, dim, generator=torch.Generator().manual_seed(height * width))


def forward(block, x):
    """The plain path, which gradients ask for."""
    assert torch.is_grad_enabled()
    return block(x).detach()


CASES = {
    "windows fit": (3, 2, 6, 6),
    "windows padded": (3, 1, 4, 4),
    "windows padded, one row over": (3, 2, 7, 7),
    "window larger than the grid": (5, 2, 3, 3),
    "wide": (3, 1, 4, 8),
    "tall": (4, 2, 9, 5),
    "global": (0, 2, 6, 6),
    "global, more tokens than at once": (0, 1, 40, 40),
    "windows, more tokens than at once": (14, 1, 40, 40),
    "one token": (0, 1, 1, 1),
}


@pytest.mark.parametrize("case", list(CASES), ids=lambda name: name.replace(" ", "-"))
def test_equal_to_the_plain_block_in_float32(case):
    window, batch, height, width = CASES[case]
    block, x = make_block(window, height), tokens(batch, height, width)
    before = x.clone()
    expected = forward(block, x)
    with torch.no_grad():
        found = run_block(block, x, torch.float32)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    assert torch.equal(x, before)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize(("queries", "at_once"), [(1, 1), (7, 5), (16, 8)])
def test_the_size_of_the_pieces_does_not_matter(window, queries, at_once, monkeypatch):
    block, x = make_block(window, 7), tokens(2, 7, 7)
    expected = forward(block, x)
    monkeypatch.setattr(vit_cpu, "QUERIES", queries)
    monkeypatch.setattr(vit_cpu, "TOKENS", at_once)
    with torch.no_grad():
        torch.testing.assert_close(run_block(block, x, torch.float32), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("window", [0, 3])
def test_any_order_of_the_axes_in_memory(window):
    block, x = make_block(window, 4), tokens(2, 4, 4)
    with torch.no_grad():
        expected = run_block(block, x, torch.float32)
        for a, b in ((1, 2), (0, 3), (2, 3)):
            strange = x.transpose(a, b).contiguous().transpose(a, b)
            assert not strange.is_contiguous()
            torch.testing.assert_close(run_block(block, strange, torch.float32), expected)


@pytest.mark.parametrize("window", [0, 3])
def test_images_of_a_batch_do_not_mix(window):
    block, x = make_block(window, 4), tokens(3, 4, 4)
    with torch.no_grad():
        together = run_block(block, x, torch.float32)
        alone = torch.cat([run_block(block, one[None], torch.float32) for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [0, 3])
def test_bfloat16_stays_near_and_keeps_float32_tokens(window):
    block, x = make_block(window, 7, dim=32), tokens(2, 7, 7, 32)
    expected = forward(block, x)
    with torch.no_grad():
        found = run_block(block, x, torch.bfloat16)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert (found - expected).abs().mean() < 0.02 * expected.abs().mean()


@pytest.mark.parametrize("reduced", [False, True])
def test_the_encoder_takes_this_way_without_gradients_only(reduced, tiny_vit_model, monkeypatch):
    calls = []

    def spy(block, x, dtype):
        calls.append(dtype)
        return run_block(block, x, dtype)

    monkeypatch.setattr("napari_sam.model.image_encoder.run_block", spy)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = tiny_vit_model.image_encoder(pixels)
    assert not calls
    assert plain.requires_grad
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        pieces = tiny_vit_model.image_encoder(pixels)
    assert calls == [torch.bfloat16 if reduced else torch.float32] * 2
    tolerance = 0.1 if reduced else 1e-5
    assert (pieces - plain).abs().max() <= tolerance * plain.abs().max()

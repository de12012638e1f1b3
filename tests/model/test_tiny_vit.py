"""TinyViT's parts: strides, windows, biases that depend on distance only."""

from __future__ import annotations

import pytest
import torch

from napari_sam.model.tiny_vit import Attention, TinyViT, TinyViTBlock


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return TinyViT(
        embed_dims=(8, 16, 16, 16), depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2), window_sizes=(3, 3, 4, 3), out_chans=8,
        num_classes=2,
    ).eval()  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64)])
def test_the_stride_is_16(small, height, width):
    with torch.no_grad():
        assert small(torch.zeros(1, 3, height, width)).shape == (1, 8, height // 16, width // 16)


def test_biases_depend_on_the_distance_only():
    torch.manual_seed(0)
    attention = Attention(8, 2, 3)
    index = attention.bias_index
    assert index.shape == (9, 9)
    assert torch.equal(index, index.T)
    assert (index.diagonal() == 0).all()
    assert index[0, 4] == index[4, 8] == index[2, 4]  # one down and one to a side
    assert index[0, 1] != index[0, 3]  # rows and columns are told apart
    assert index.max() == 8


def test_attention_is_the_authors_with_its_biases():
    """Written as MobileSAM writes it: offsets numbered as they first appear, one sum for each pair of tokens."""
    torch.manual_seed(0)
    heads, window, dim = 2, 3, 8
    attention = Attention(dim, heads, window)
    torch.nn.init.normal_(attention.attention_biases)
    places = [(row, col) for row in range(window) for col in range(window)]
    numbers: dict[tuple[int, int], int] = {}
    for a in places:
        for b in places:
            numbers.setdefault((abs(a[0] - b[0]), abs(a[1] - b[1])), len(numbers))
    x = torch.randn(2, window**2, dim)
    with torch.no_grad():
        q, k, v = attention.qkv(attention.norm(x)).view(2, window**2, heads, -1).split(dim // heads, dim=3)
        logits = torch.einsum("bihd,bjhd->bhij", q, k) * (dim // heads) ** -0.5
        for i, a in enumerate(places):
            for j, b in enumerate(places):
                logits[:, :, i, j] += attention.attention_biases[:, numbers[abs(a[0] - b[0]), abs(a[1] - b[1])]]
        mixed = torch.einsum("bhij,bjhd->bihd", logits.softmax(-1), v).reshape(2, window**2, dim)
        torch.testing.assert_close(attention(x), attention.proj(mixed))


def test_a_window_is_its_own_world():
    torch.manual_seed(0)
    block = TinyViTBlock(8, 2, 3).eval()
    block.local_conv = torch.nn.Identity()  # the convolution crosses windows
    x = torch.randn(1, 8, 6, 6)
    changed = x.clone()
    changed[0, :4, 0, 0] += 3
    with torch.no_grad():
        moved = (block(x) - block(changed)).abs().amax(1)[0] > 1e-7
    assert moved[:3, :3].all()
    assert not moved[3:].any()
    assert not moved[:, 3:].any()


def test_one_full_window_and_cut_windows_agree():
    """A grid of exactly one window takes a shorter way; it must give the same."""
    torch.manual_seed(0)
    block = TinyViTBlock(8, 2, 3).eval()
    block.local_conv = torch.nn.Identity()
    x = torch.randn(1, 8, 3, 3)
    with torch.no_grad():
        wide = block(torch.cat([x, x], dim=-1))
        torch.testing.assert_close(wide[..., :3], block(x))


def test_steps_finish_in_their_order(small):
    finished = []
    handles = [step.register_forward_hook(lambda s, *_: finished.append(s)) for step in small.steps()]
    with torch.no_grad():
        small(torch.zeros(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    assert finished == small.steps()

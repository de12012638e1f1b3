"""The bundled encoder: three scales, positions, a view of the whole window, ordered steps."""

from __future__ import annotations

import torch


def encode(model, x):
    with torch.no_grad():
        return model.image_encoder(x)


def test_three_scales(tiny_cell_model):
    embedding, (stride4, stride2) = encode(tiny_cell_model, torch.zeros(2, 3, 64, 64))
    assert embedding.shape == (2, 32, 8, 8)
    assert stride4.shape == (2, 16, 16, 16)
    assert stride2.shape == (2, 16, 32, 32)


def test_the_embedding_sees_the_whole_window_and_skips_their_surroundings(tiny_cell_model):
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., :8, :8] = 2
    (a, (a4, a2)), (b, (b4, b2)) = encode(tiny_cell_model, x), encode(tiny_cell_model, changed)
    assert (a[..., -1, -1] != b[..., -1, -1]).any()
    for before, after in ((a4, b4), (a2, b2)):
        assert (before[..., 0, 0] != after[..., 0, 0]).any()


def test_positions_count(tiny_cell_model):
    """On an even image the convolutions give the same in the middle; position embeddings do not."""
    embedding, _ = encode(tiny_cell_model, torch.zeros(1, 3, 64, 64))
    assert (embedding[..., 3, 3] - embedding[..., 5, 5]).abs().max() > 1e-6


def test_the_result_of_an_image_does_not_depend_on_its_batch(tiny_cell_model):
    x = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    together, skips = encode(tiny_cell_model, x)
    for i in range(3):
        alone, alone_skips = encode(tiny_cell_model, x[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)
        for both, one in zip(skips, alone_skips, strict=True):
            torch.testing.assert_close(both[i : i + 1], one, rtol=1e-4, atol=1e-5)


def test_steps_finish_in_their_order(tiny_cell_model, tiny_vit_model):
    for model in (tiny_cell_model, tiny_vit_model):
        finished = []
        handles = [
            step.register_forward_hook(lambda s, *_, seen=finished: seen.append(s)) for step in model.encoder_steps()
        ]
        encode(model, torch.zeros(1, 3, 64, 64))
        for handle in handles:
            handle.remove()
        assert finished == model.encoder_steps()

"""One mask or three, finer features where they are given, each image for its own prompts."""

from __future__ import annotations

import torch

from napari_sam.model.sam import ImageEmbedding


def decode(model, embedding, **how):
    with torch.no_grad():
        return model.decode(embedding, boxes=torch.tensor([[5.0, 6.0, 40.0, 50.0]] * 2), **how)


def embedding_of(model):
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        return model.encode(pixels)


def test_shapes(tiny_vit_model, tiny_cell_model):
    for model, side in ((tiny_vit_model, 16), (tiny_cell_model, 32)):
        for multimask, count in ((True, 3), (False, 1)):
            logits, iou = decode(model, embedding_of(model), multimask=multimask)
            assert logits.shape == (2, count, side, side)
            assert iou.shape == (2, count)


def test_the_one_mask_is_none_of_the_three(tiny_vit_model):
    embedding = embedding_of(tiny_vit_model)
    one, _ = decode(tiny_vit_model, embedding, multimask=False)
    three, _ = decode(tiny_vit_model, embedding, multimask=True)
    assert all(not torch.allclose(one[:, 0], three[:, i]) for i in range(3))


def test_both_finer_features_take_part(tiny_cell_model):
    embedding = embedding_of(tiny_cell_model)
    want, _ = decode(tiny_cell_model, embedding, multimask=True)
    for i in range(2):
        skips = list(embedding.skips)
        skips[i] = torch.randn(skips[i].shape, generator=torch.Generator().manual_seed(1))
        got, _ = decode(tiny_cell_model, ImageEmbedding(embedding.features, tuple(skips)), multimask=True)
        assert not torch.allclose(got, want)

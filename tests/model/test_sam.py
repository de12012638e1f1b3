"""The whole model: pixels in, padding, fingerprints, bytes."""

from __future__ import annotations

import pytest
import torch

from napari_sam.model.build import build_from_spec


def test_pixels_are_normalised_and_then_padded_with_zeros(tiny_vit_model):
    pixels = torch.full((1, 3, 40, 64), 200.0)
    x = tiny_vit_model.preprocess(pixels)
    assert x.shape == (1, 3, 64, 64)
    assert x[0, 0, 0, 0].item() == pytest.approx((200 - 123.675) / 58.395)
    assert (x[..., 40:, :] == 0).all()


def test_normalisation_constants_are_no_weights(tiny_vit_model):
    assert not any("pixel" in key for key in tiny_vit_model.state_dict())
    assert tiny_vit_model.state_dict().keys() == {
        key for key in tiny_vit_model.state_dict() if key.split(".")[0] in (
            "image_encoder", "prompt_encoder", "mask_decoder"
        )
    }  # fmt: skip


def test_the_fingerprint_tells_weights_apart(tiny_spec_vit):
    a, b = build_from_spec(tiny_spec_vit), build_from_spec(tiny_spec_vit)
    with torch.no_grad():
        b.mask_decoder.iou_token.weight[0, 0] += 1e-6
    assert len(a.fingerprint) == 32
    assert a.fingerprint == build_from_spec(tiny_spec_vit).fingerprint != b.fingerprint


def test_bytes_of_an_embedding(tiny_cell_model):
    with torch.no_grad():
        embedding = tiny_cell_model.encode(torch.zeros(1, 3, 64, 64))
    assert embedding.nbytes == 4 * (32 * 8 * 8 + 16 * 16 * 16 + 16 * 32 * 32)


def test_reduced_precision_stays_close_and_gives_float32(tiny_spec_vit):
    model = build_from_spec(tiny_spec_vit)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        exact = model.encode(pixels).features
        model.precision = "bfloat16"
        reduced = model.encode(pixels).features
    assert reduced.dtype == torch.float32
    assert not torch.equal(exact, reduced)
    assert (exact - reduced).abs().max() < 0.1 * exact.abs().max()

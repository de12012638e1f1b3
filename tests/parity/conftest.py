"""The authors' modules and ours with the same random weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import segment_anything.modeling as authors
import torch
from torch import nn

from napari_sam.model.build import SamSpec, build_from_spec
from napari_sam.model.sam import Sam


def randomize(module: nn.Module, seed: int) -> None:
    """Give every weight a value of a size that keeps activations alive; nothing stays at zero or one."""
    generator = torch.Generator().manual_seed(seed)
    for key, value in module.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if key.endswith("positional_encoding_gaussian_matrix"):
            value.copy_(noise)
        elif value.ndim == 1 and key.endswith("weight"):
            value.copy_(1 + 0.1 * noise)
        elif value.ndim >= 2 and "embed" not in key and "rel_pos" not in key and "tokens" not in key:
            value.copy_(noise / value[0].numel() ** 0.5)
        else:
            value.copy_(0.3 * noise)


def build_authors_model(spec: SamSpec) -> authors.Sam:
    """Build the authors' model of a specification's sizes."""
    return authors.Sam(
        image_encoder=authors.ImageEncoderViT(
            img_size=spec.img_size,
            patch_size=spec.stride,
            embed_dim=spec.vit_dim,
            depth=spec.vit_depth,
            num_heads=spec.vit_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=spec.vit_global,
            window_size=spec.vit_window,
            out_chans=spec.embed_dim,
        ),
        prompt_encoder=authors.PromptEncoder(
            embed_dim=spec.embed_dim,
            image_embedding_size=(spec.grid, spec.grid),
            input_image_size=(spec.img_size, spec.img_size),
            mask_in_chans=16,
        ),
        mask_decoder=authors.MaskDecoder(
            num_multimask_outputs=3,
            transformer=authors.TwoWayTransformer(
                depth=spec.decoder_depth,
                embedding_dim=spec.embed_dim,
                mlp_dim=spec.decoder_mlp,
                num_heads=spec.decoder_heads,
            ),
            transformer_dim=spec.embed_dim,
            iou_head_depth=3,
            iou_head_hidden_dim=spec.iou_hidden,
        ),
        pixel_mean=list(spec.pixel_mean),
        pixel_std=list(spec.pixel_std),
    ).eval()


def pair(spec: SamSpec, seed: int = 0) -> tuple[authors.Sam, Sam]:
    """Return the authors' model and ours with the same random weights."""
    theirs, ours = build_authors_model(spec), build_from_spec(spec)
    randomize(theirs, seed)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def assert_close(ours: object, theirs: object, tolerance: float = 1e-4) -> None:
    """Assert equal shapes and a largest difference of at most `tolerance` of the largest value."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert a.shape == b.shape
    assert np.isfinite(b).all()
    assert np.abs(b).max() > 1e-3
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.fixture(scope="session")
def models() -> tuple[authors.Sam, Sam]:
    """Small models of both; 6 x 6 patches in windows of 4, so windows are padded."""
    spec = SamSpec(
        architecture="vit_tiny",
        img_size=96,
        embed_dim=32,
        vit_dim=48,
        vit_depth=3,
        vit_heads=3,
        vit_global=(1,),
        vit_window=4,
        decoder_mlp=64,
        iou_hidden=32,
    )
    return pair(spec)


@pytest.fixture(scope="session")
def make_pair():
    """The function `pair`."""
    return pair


@pytest.fixture(scope="session")
def close():
    """The function `assert_close`."""
    return assert_close


@pytest.fixture(scope="session")
def authors_model():
    """The function `build_authors_model`."""
    return build_authors_model

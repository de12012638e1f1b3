"""All size numbers, and how the parts are put together."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import torch
from torch import nn

from napari_sam.errors import InputError
from napari_sam.model.cell_encoder import CellEncoder
from napari_sam.model.image_encoder import ImageEncoderViT
from napari_sam.model.mask_decoder import MaskDecoder
from napari_sam.model.object_head import ObjectHead
from napari_sam.model.prompt_encoder import PromptEncoder
from napari_sam.model.sam import Sam
from napari_sam.model.tiny_vit import TinyViT
from napari_sam.model.transformer import TwoWayTransformer

__all__ = ["SPECS", "SamSpec", "build_from_spec", "build_model"]


@dataclass(frozen=True, kw_only=True)
class SamSpec:
    """Hold every size number of a model.

    Parameters
    ----------
    architecture
        Name of the architecture.
    encoder
        "vit", "tiny_vit" or "cell".
    img_size, stride
        Side of the square input, and pixels per cell of the embedding.
    embed_dim
        Width of embedding and tokens.
    windowed
        Whether a large image is seen through windows at its own scale rather than shrunk whole.
    preprocess
        "sam" (long side to img_size, mean and standard deviation) or "medsam" (both sides to img_size, min-max).
    """

    architecture: str
    encoder: str = "vit"
    img_size: int = 1024
    stride: int = 16
    embed_dim: int = 256
    windowed: bool = False
    preprocess: str = "sam"
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    # ViT encoder
    vit_dim: int = 768
    vit_depth: int = 12
    vit_heads: int = 12
    vit_global: tuple[int, ...] = (2, 5, 8, 11)
    vit_window: int = 14
    # cell encoder
    cell_widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    cell_depths: tuple[int, int, int, int] = (1, 2, 3, 2)
    cell_blocks: int = 4
    cell_heads: int = 8
    # whether features of an EfficientNet-Lite0 are added
    cell_pretrained: bool = False
    # decoder
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    iou_hidden: int = 256
    # channels of the convolutions that draw masks, 0 for none
    drawing_width: int = 0

    @property
    def grid(self) -> int:
        """Side of the image embedding."""
        return self.img_size // self.stride


SPECS: dict[str, SamSpec] = {
    spec.architecture: spec
    for spec in (
        SamSpec(architecture="vit_b"),
        SamSpec(architecture="vit_l", vit_dim=1024, vit_depth=24, vit_heads=16, vit_global=(5, 11, 17, 23)),
        SamSpec(architecture="vit_h", vit_dim=1280, vit_depth=32, vit_heads=16, vit_global=(7, 15, 23, 31)),
        SamSpec(architecture="vit_t", encoder="tiny_vit"),
        SamSpec(
            architecture="cells",
            encoder="cell",
            img_size=256,
            stride=8,
            embed_dim=128,
            decoder_mlp=512,
            iou_hidden=128,
            windowed=True,
        ),
        SamSpec(  # the next weights of `cells`, in training
            architecture="cells_drawing",
            encoder="cell",
            img_size=256,
            stride=8,
            embed_dim=128,
            decoder_mlp=512,
            iou_hidden=128,
            cell_pretrained=True,
            drawing_width=48,
            windowed=True,
        ),
    )
}


def build_model(name: str, *, seed: int = 0) -> Sam:
    """Build an architecture with random weights.

    Parameters
    ----------
    name
        A key of `SPECS`: vit_b, vit_l, vit_h, vit_t, cells or cells_drawing.
    seed
        Of the random weights; the caller's random state is left alone.

    Raises
    ------
    InputError
        If there is no such architecture.
    """
    if name not in SPECS:
        close = difflib.get_close_matches(name, SPECS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError(f"Unknown architecture {name!r}{hint}: choose one of {', '.join(SPECS)}.")
    return build_from_spec(SPECS[name], seed=seed)


def build_from_spec(spec: SamSpec, *, seed: int = 0) -> Sam:
    """Build a model of any size with random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = _build_encoder(spec)
        prompt_encoder = PromptEncoder(embed_dim=spec.embed_dim, grid=spec.grid, img_size=spec.img_size)
        decoder = MaskDecoder(
            transformer_dim=spec.embed_dim,
            transformer=TwoWayTransformer(
                depth=spec.decoder_depth,
                embedding_dim=spec.embed_dim,
                num_heads=spec.decoder_heads,
                mlp_dim=spec.decoder_mlp,
            ),
            iou_head_hidden_dim=spec.iou_hidden,
            skip_channels=(spec.cell_widths[1], spec.cell_widths[0]) if spec.encoder == "cell" else (),
            drawing_width=spec.drawing_width,
        )
        object_head = ObjectHead(spec.cell_widths[0]) if spec.encoder == "cell" else None
        return Sam(spec, encoder, prompt_encoder, decoder, object_head).eval()


def _build_encoder(spec: SamSpec) -> nn.Module:
    if spec.encoder == "tiny_vit":
        return TinyViT(out_chans=spec.embed_dim)
    if spec.encoder == "cell":
        return CellEncoder(
            img_size=spec.img_size,
            widths=spec.cell_widths,
            depths=spec.cell_depths,
            num_blocks=spec.cell_blocks,
            num_heads=spec.cell_heads,
            out_chans=spec.embed_dim,
            pretrained=spec.cell_pretrained,
        )
    return ImageEncoderViT(
        img_size=spec.img_size,
        patch_size=spec.stride,
        embed_dim=spec.vit_dim,
        depth=spec.vit_depth,
        num_heads=spec.vit_heads,
        global_attn_indexes=spec.vit_global,
        window_size=spec.vit_window,
        out_chans=spec.embed_dim,
    )

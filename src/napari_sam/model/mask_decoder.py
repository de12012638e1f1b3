"""The paper's mask decoder: tokens for masks and quality, hypernetworks over up-scaled features (SAM, appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_sam.model.common import LayerNorm2d
from napari_sam.model.drawing import Drawing, MaskQuality
from napari_sam.model.transformer import TwoWayTransformer

__all__ = ["MaskDecoder"]


class MaskDecoder(nn.Module):
    """Predict masks and their IoU from an image embedding and encoded prompts.

    Parameters
    ----------
    transformer_dim
        Width of the tokens.
    transformer
        The two-way transformer.
    num_multimask_outputs
        Masks offered for an ambiguous prompt; one more serves several prompts.
    iou_head_depth, iou_head_hidden_dim
        Size of the head that predicts the IoU.
    skip_channels
        Channels of encoder features at 1/2 and 1/4 of the embedding's stride, added while up-scaling; () for SAM.
    drawing_width
        Channels of the convolutions that draw the masks, see `Drawing`; 0 for SAM, which has none.
    """

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: TwoWayTransformer,
        num_multimask_outputs: int = 3,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        skip_channels: Sequence[int] = (),
        drawing_width: int = 0,
    ) -> None:
        super().__init__()
        self.transformer_dim = transformer_dim
        self.transformer = transformer
        self.num_mask_tokens = num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, transformer_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(transformer_dim, transformer_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(transformer_dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(transformer_dim // 4, transformer_dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        if skip_channels:
            widths = (transformer_dim // 4, transformer_dim // 8)
            self.skip_proj = nn.ModuleList(
                nn.Conv2d(c, width, kernel_size=1) for c, width in zip(skip_channels, widths, strict=True)
            )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(transformer_dim, transformer_dim, transformer_dim // 8, 3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(transformer_dim, iou_head_hidden_dim, self.num_mask_tokens, iou_head_depth)
        self.drawing: Drawing | None = None
        self.quality: MaskQuality | None = None
        if drawing_width:
            self.drawing = Drawing(
                features=transformer_dim // 4, finer=transformer_dim // 8, skip=skip_channels[0], width=drawing_width
            )
            self.quality = MaskQuality(transformer_dim // 8)

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
        skips: Sequence[Tensor] = (),
        maps: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Predict the masks of n prompts.

        Parameters
        ----------
        image_embeddings
            (B, C, h, w): one image for all prompts, or B images with n / B consecutive prompts each.
        image_pe
            (1, C, h, w).
        sparse_prompt_embeddings, dense_prompt_embeddings
            (n, tokens, C) and (n, C, h, w).
        multimask_output
            Whether to return the masks for an ambiguous prompt, or the one for several prompts.
        skips
            Encoder features (B, c1, 2h, 2w) and (B, c2, 4h, 4w), where the decoder takes them.
        maps
            `prompt_maps` (n, MAP_CHANNELS, 2h, 2w), where the decoder draws.

        Returns
        -------
        masks
            (n, 3 or 1, 4h, 4w) logits.
        iou
            (n, 3 or 1) predicted IoU.
        """
        masks, iou = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, skips, maps
        )
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, chosen], iou[:, chosen]

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        skips: Sequence[Tensor] = (),
        maps: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return all (n, 4, 4h, 4w) logits and (n, 4) predicted IoUs."""
        n = len(sparse)
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(n, -1, -1), sparse], dim=1)
        src = _for_each_prompt(image_embeddings, n) + dense  # [n, c, h, w]
        h, w = src.shape[-2:]
        hidden, image = self.transformer(src, image_pe, tokens)
        iou_token_out = hidden[:, 0]
        mask_tokens_out = hidden[:, 1 : 1 + self.num_mask_tokens]

        image = image.transpose(1, 2).reshape(n, -1, h, w)  # [n, h*w, c] -> [n, c, h, w]
        upscaled = self.upscale(image, skips, maps)
        weights = torch.stack([mlp(mask_tokens_out[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], 1)
        masks = (weights @ upscaled.flatten(2)).unflatten(-1, upscaled.shape[-2:])  # [n, 4, 4h, 4w]
        iou = self.iou_prediction_head(iou_token_out)
        return masks, iou if self.quality is None else self.quality(iou, masks, upscaled)

    def upscale(self, image: Tensor, skips: Sequence[Tensor], maps: Tensor | None) -> Tensor:
        """Return the (n, C / 8, 4h, 4w) features of which masks are made; `image` is (n, C, h, w)."""
        if not skips:
            return self.output_upscaling(image)
        up1, norm, act1, up2, act2 = self.output_upscaling
        n = len(image)
        x = act1(norm(up1(image) + _for_each_prompt(self.skip_proj[0](skips[0]), n)))
        if self.drawing is not None:
            assert maps is not None  # noqa: S101 - for the type checker
            x = self.drawing.coarse(x, _for_each_prompt(self.drawing.of_image(skips[0]), n), maps)
        x = act2(up2(x) + _for_each_prompt(self.skip_proj[1](skips[1]), n))
        return x if self.drawing is None else self.drawing.fine(x)


def _for_each_prompt(x: Tensor, n: int) -> Tensor:
    """Repeat what belongs to an image for each of its prompts: (B, ...) -> (n, ...); one image broadcasts."""
    return x if len(x) in (1, n) else x.repeat_interleave(n // len(x), 0)


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., output_dim) for (..., input_dim)."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)

"""An image encoder that sees a part of the patches, and a decoder that predicts the others (He et al. 2022).

MAE gives its encoder the visible patches only. Here the encoder sees the whole grid with placeholders, as in SimMIM
(Xie et al. 2022), because SAM's ViT attends in windows with relative positions, which need every place of the grid, and
convolutions need neighbours. The price is time: hidden patches are computed, too.

- ViT: a learnt mask token takes the place of a hidden patch after the patch embedding, before positions are added.
- Convolutional encoders (`cells`, TinyViT): a learnt colour takes the place of a hidden patch's pixels, since their
  first layers look across patches (as in SimMIM and SparK, Tian et al. 2023).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from napari_sam.errors import InputError
from napari_sam.model.image_encoder import ImageEncoderViT
from napari_sam.model.mae_decoder import PixelDecoder
from napari_sam.model.sam import Sam

__all__ = ["MaskedAutoencoder"]


class MaskedAutoencoder(nn.Module):
    """Predict the pixels of crops of which patches are hidden.

    Parameters
    ----------
    model
        Whose image encoder is trained; prompt encoder and mask decoder are not touched.
    patch
        Side of a patch in pixels.
    width, depth
        Of the decoder, see `PixelDecoder`.

    Raises
    ------
    InputError
        If the patches do not fill the encoder's input, or are not those of a ViT.
    """

    def __init__(self, model: Sam, *, patch: int, width: int, depth: int) -> None:
        super().__init__()
        size, stride = model.img_size, model.spec.stride
        encoder = model.image_encoder
        self.tokens = isinstance(encoder, ImageEncoderViT)
        if self.tokens and patch != stride:
            raise InputError(f"Setting patch is {patch}: the encoder of {model.spec.architecture} takes {stride}.")
        if size % patch or size == patch:
            raise InputError(
                f"Setting patch is {patch}: give a part of the input's {size} pixels, such as {size // 16}."
            )
        self.image_encoder = encoder
        self.decoder = PixelDecoder(in_chans=model.spec.embed_dim, stride=stride, width=width, depth=depth)
        hidden = encoder.pos_embed.shape[-1] if isinstance(encoder, ImageEncoderViT) else 3
        self.placeholder = nn.Parameter(torch.zeros(hidden))
        if self.tokens:
            nn.init.normal_(self.placeholder, std=0.02)
        self.patch = patch
        self.grid = size // patch

    def forward(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        """Predict all pixels.

        Parameters
        ----------
        pixels
            (B, 3, S, S), normalised as `Sam.preprocess` does.
        hidden
            (B, S / patch, S / patch) bool, what the encoder does not see.

        Returns
        -------
        Tensor
            (B, 3, S, S).
        """
        if not self.tokens:
            where = spread(hidden, self.patch)
            return self._decode(torch.where(where, self.placeholder.view(-1, 1, 1), pixels))

        def hide(_module: nn.Module, _inputs: Any, tokens: Tensor) -> Tensor:
            return torch.where(hidden[..., None], self.placeholder.to(tokens.dtype), tokens)  # [b, h, w, c]

        embed = self.image_encoder.patch_embed
        assert isinstance(embed, nn.Module)  # noqa: S101 - for the type checker
        handle = embed.register_forward_hook(hide)
        try:
            return self._decode(pixels)
        finally:
            handle.remove()

    def _decode(self, pixels: Tensor) -> Tensor:
        out = self.image_encoder(pixels)
        return self.decoder(out[0] if isinstance(out, tuple) else out)


def spread(hidden: Tensor, patch: int) -> Tensor:
    """Repeat (B, h, w) values of patches over their pixels: (B, 1, h * patch, w * patch)."""
    return hidden.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, None]

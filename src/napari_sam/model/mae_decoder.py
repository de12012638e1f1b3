"""The small decoder of pre-training: from an embedding to pixels. No model keeps it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.common import LayerNorm2d

__all__ = ["PixelDecoder"]


class PixelDecoder(nn.Module):
    """Predict RGB pixels from an embedding: a few 3 x 3 convolutions, then each cell paints its square.

    Parameters
    ----------
    in_chans
        Channels of the embedding.
    stride
        Pixels per cell of the embedding.
    width, depth
        Channels and residual blocks.
    """

    def __init__(self, *, in_chans: int, stride: int, width: int, depth: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_chans, width, kernel_size=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(LayerNorm2d(width), nn.Conv2d(width, width, kernel_size=3, padding=1), nn.GELU())
            for _ in range(depth)
        )
        self.paint = nn.Conv2d(width, 3 * stride**2, kernel_size=1)
        self.stride = stride

    def forward(self, embedding: Tensor) -> Tensor:
        """Return (B, 3, h * stride, w * stride) for (B, in_chans, h, w)."""
        x = self.project(embedding)
        for block in self.blocks:
            x = x + block(x)
        return F.pixel_shuffle(self.paint(x), self.stride)

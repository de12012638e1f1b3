"""The bundled model's image encoder: convolutions down to stride 16, a few transformer blocks, back to stride 8.

Small round objects want resolution, and two CPU cores want dense 3x3 convolutions rather than depthwise ones. So the
embedding has stride 8 (masks come out at stride 2), and a U-Net's way back up, run once an image, makes features at
strides 4 and 2 that know what they belong to; the mask decoder and the object head take them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.common import DropPath, LayerNorm2d, MLPBlock, attend
from napari_sam.model.lite_net import LITE_WIDTHS, LiteNet

__all__ = ["CellEncoder"]


class CellEncoder(nn.Module):
    """Turn an image into an embedding at 1/8 of its resolution, and finer features for the mask decoder.

    Parameters
    ----------
    img_size
        Side of the square input in pixels, a multiple of 16.
    widths
        Channels at strides 2, 4, 8 and 16.
    depths
        Residual blocks at strides 2, 4, 8 and 16.
    num_blocks, num_heads
        Transformer blocks at stride 16.
    out_chans
        Channels of the embedding.
    pretrained
        Whether features of an EfficientNet-Lite0 are added at every stride, see `LiteNet`.
    """

    def __init__(
        self,
        *,
        img_size: int,
        widths: Sequence[int],
        depths: Sequence[int],
        num_blocks: int,
        num_heads: int,
        out_chans: int,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], kernel_size=3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            down = [] if i == 0 else [nn.Conv2d(widths[i - 1], width, kernel_size=2, stride=2)]
            self.stages.append(nn.Sequential(*down, *(ResidualBlock(width) for _ in range(depth))))
        grid = img_size // 16
        self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid, widths[3]))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.ModuleList(TransformerBlock(widths[3], num_heads) for _ in range(num_blocks))
        self.lateral = nn.Conv2d(widths[2], out_chans, kernel_size=1)
        self.top = nn.Conv2d(widths[3], out_chans, kernel_size=1)
        self.neck = nn.Sequential(
            LayerNorm2d(out_chans),
            nn.GELU(),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )
        self.finer = nn.ModuleList([Merge(out_chans, widths[1]), Merge(widths[1], widths[0])])
        self.lite = LiteNet() if pretrained else None
        self.joins = nn.ModuleList()
        if pretrained:
            targets = (*widths, widths[3])
            self.joins.extend(Join(source, width) for source, width in zip(LITE_WIDTHS, targets, strict=True))

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Encode a normalised (B, 3, S, S) image.

        Returns
        -------
        embedding
            (B, out_chans, S / 8, S / 8).
        skips
            (B, widths[1], S / 4, S / 4) and (B, widths[0], S / 2, S / 2).
        """
        lite = [] if self.lite is None else [join(f) for join, f in zip(self.joins, self.lite(x), strict=True)]
        x = self.stem(x)
        pyramid = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if lite:
                x = x + lite[number]
            pyramid.append(x)
        if lite:
            pyramid[-1] = pyramid[-1] + F.interpolate(lite[4], scale_factor=2, mode="nearest")
        stride2, stride4, stride8, x = pyramid
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2) + self.pos_embed  # [b, c, h, w] -> [b, h*w, c]
        for block in self.blocks:
            tokens = block(tokens)
        top = self.top(tokens.transpose(1, 2).reshape(b, c, h, w))
        top = F.interpolate(top, scale_factor=2, mode="nearest")
        embedding = self.neck(self.lateral(stride8) + top)
        finer4 = self.finer[0](embedding, stride4)
        return embedding, (finer4, self.finer[1](finer4, stride2))

    def steps(self) -> list[nn.Module]:
        """List the parts in the order in which they finish."""
        return [*self.stages, *self.blocks, self.neck, *self.finer]


class Join(nn.Module):
    """Bring features of the pre-trained network to the width of a stage; at first nothing of them."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(source)
        self.proj = nn.Conv2d(source, width, kernel_size=1)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(cast("Tensor", self.proj.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) for (B, source, h, w)."""
        return self.proj(self.norm(x))


class Merge(nn.Module):
    """Add coarse features to finer ones of half their stride."""

    def __init__(self, coarse: int, width: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(coarse, width, kernel_size=1)
        self.block = ResidualBlock(width)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Return (B, width, 2h, 2w) for (B, coarse, h, w) and (B, width, 2h, 2w)."""
        return self.block(fine + F.interpolate(self.coarse(coarse), scale_factor=2, mode="nearest"))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group normalisation before each."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        groups = max(1, width // 16)
        self.norm1 = nn.GroupNorm(groups, width)
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
        self.norm2 = nn.GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=dilation, dilation=dilation)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) for (B, C, H, W)."""
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        return x + self.drop_path(self.conv2(F.relu(self.norm2(y), inplace=True)))


class TransformerBlock(nn.Module):
    """Attention over the whole window, then an MLP."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.drop_path = DropPath()
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, tokens, C) for (B, tokens, C)."""
        b, t, c = x.shape
        # [b, t, 3c] -> [3, b, heads, t, d]
        q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = attend(q, k, v)
        x = x + self.drop_path(self.proj(attended.transpose(1, 2).reshape(b, t, c)))
        return x + self.drop_path(self.mlp(self.norm2(x)))

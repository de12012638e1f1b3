"""TinyViT-5M as an image encoder, in MobileSAM's layout (its last stage keeps the resolution, so the stride is 16)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.common import LayerNorm2d
from napari_sam.model.image_encoder import window_partition, window_unpartition

__all__ = ["TinyViT"]


class TinyViT(nn.Module):
    """Turn a square image into an embedding at 1/16 of its resolution.

    Parameters
    ----------
    embed_dims, depths, num_heads, window_sizes
        One number for each of the four stages; the first stage is convolutional, and its heads and window go unused.
    out_chans
        Channels of the embedding.
    num_classes
        Size of the classifier that MobileSAM's checkpoint carries along; it is never called.
    """

    def __init__(
        self,
        *,
        embed_dims: Sequence[int] = (64, 128, 160, 320),
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (2, 4, 5, 10),
        window_sizes: Sequence[int] = (7, 7, 14, 7),
        out_chans: int = 256,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        last = embed_dims[-1]
        self.patch_embed = PatchEmbed(embed_dims[0])
        strides = (2, 2, 1)
        self.layers = nn.ModuleList()
        for i, dim in enumerate(embed_dims):
            down = PatchMerging(dim, embed_dims[i + 1], strides[i]) if i < 3 else None
            if i == 0:
                blocks: list[nn.Module] = [MBConv(dim) for _ in range(depths[0])]
            else:
                blocks = [TinyViTBlock(dim, num_heads[i], window_sizes[i]) for _ in range(depths[i])]
            self.layers.append(Stage(blocks, down))
        self.norm_head = nn.LayerNorm(last)
        self.head = nn.Linear(last, num_classes)
        self.neck = nn.Sequential(
            nn.Conv2d(last, out_chans, kernel_size=1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, out_chans, H / 16, W / 16) embedding of a normalised (B, 3, H, W) image."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        return self.neck(x)

    def steps(self) -> list[nn.Module]:
        """List the parts in the order in which they finish."""
        return [self.patch_embed, *(block for stage in self.layers for block in cast("Stage", stage).blocks), self.neck]


class ConvBN(nn.Sequential):
    """Convolve without bias, then normalise by batch statistics."""

    def __init__(self, in_chans: int, out_chans: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(out_chans))


class PatchEmbed(nn.Module):
    """Take a (B, 3, H, W) image to (B, C, H / 4, W / 4)."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        half = embed_dim // 2
        self.seq = nn.Sequential(ConvBN(3, half, 3, 2), nn.GELU(), ConvBN(half, embed_dim, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, embed_dim, H / 4, W / 4)."""
        return self.seq(x)


class MBConv(nn.Module):
    """Inverted bottleneck with a residual."""

    def __init__(self, dim: int, expand: int = 4) -> None:
        super().__init__()
        hidden = dim * expand
        self.conv1 = ConvBN(dim, hidden)
        self.conv2 = ConvBN(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvBN(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) for (B, C, H, W)."""
        y = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(y))


class PatchMerging(nn.Module):
    """Change the width and, with stride 2, halve the resolution."""

    def __init__(self, dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(dim, out_dim)
        self.conv2 = ConvBN(out_dim, out_dim, 3, stride, groups=out_dim)
        self.conv3 = ConvBN(out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_dim, H / stride, W / stride)."""
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class Stage(nn.Module):
    """Blocks of one resolution, then the step to the next."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if downsample is not None:
            self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', H', W') for (B, C, H, W)."""
        for block in self.blocks:
            x = block(x)
        return self.downsample(x) if hasattr(self, "downsample") else x


class TinyViTBlock(nn.Module):
    """Windowed attention, a depthwise convolution, an MLP."""

    def __init__(self, dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.window_size = window_size
        self.attn = Attention(dim, num_heads, window_size)
        self.mlp = Mlp(dim, dim * 4)
        self.local_conv = ConvBN(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) for (B, C, H, W)."""
        height, width = x.shape[-2:]
        tokens = x.permute(0, 2, 3, 1)  # [b, c, h, w] -> [b, h, w, c]
        window = self.window_size
        if (height, width) == (window, window):
            attended = self.attn(tokens.flatten(1, 2)).view_as(tokens)
        else:
            windows, padded = window_partition(tokens, window)
            attended = self.attn(windows.flatten(1, 2)).view_as(windows)
            attended = window_unpartition(attended, window, padded, (height, width))
        x = self.local_conv(x + attended.permute(0, 3, 1, 2))
        return x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Multi-head attention in one window with a learned bias for each distance."""

    bias_index: Tensor

    def __init__(self, dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window_size**2))
        at = torch.arange(window_size)
        distance = (at[:, None] - at[None, :]).abs()  # [w, w']
        index = distance[:, None, :, None] * window_size + distance[None, :, None, :]  # [row, col, row', col']
        self.register_buffer("bias_index", index.reshape(window_size**2, -1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, tokens, C) for (B, tokens, C)."""
        b, t, c = x.shape
        # [b, t, 3c] -> [b, heads, t, 3d]; the three lie together for each head
        qkv = self.qkv(self.norm(x)).view(b, t, self.num_heads, -1).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=-1)
        bias = self.attention_biases[:, self.bias_index].to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(out.transpose(1, 2).reshape(b, t, c))


class Mlp(nn.Module):
    """Normalise, then two linear layers."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., C) for (..., C)."""
        return self.fc2(F.gelu(self.fc1(self.norm(x))))

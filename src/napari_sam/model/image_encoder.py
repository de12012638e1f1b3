"""The paper's image encoder: a plain ViT with windowed and a few global attention blocks (SAM, appendix A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.model.common import DropPath, LayerNorm2d, MLPBlock
from napari_sam.model.vit_cpu import run_block

__all__ = ["ImageEncoderViT", "relative_position_features"]


class ImageEncoderViT(nn.Module):
    """Turn a square image into an embedding at 1/16 of its resolution.

    Parameters
    ----------
    img_size
        Side of the square input in pixels.
    patch_size
        Side of a patch, the stride of the embedding.
    embed_dim, depth, num_heads, mlp_ratio
        Size of the transformer.
    out_chans
        Channels of the embedding.
    window_size
        Side of the attention windows in patches.
    global_attn_indexes
        Blocks that attend to the whole image.
    """

    def __init__(
        self,
        *,
        img_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        global_attn_indexes: tuple[int, ...],
        patch_size: int = 16,
        mlp_ratio: float = 4.0,
        out_chans: int = 256,
        window_size: int = 14,
    ) -> None:
        super().__init__()
        grid = img_size // patch_size
        self.patch_embed = PatchEmbed(patch_size, embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, embed_dim))
        self.blocks = nn.ModuleList(
            Block(
                dim=embed_dim,
                num_heads=num_heads,
                mlp_ratio=mlp_ratio,
                window_size=0 if i in global_attn_indexes else window_size,
                grid=grid,
            )
            for i in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(embed_dim, out_chans, kernel_size=1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, out_chans, grid, grid) embedding of a normalised (B, 3, img_size, img_size) image."""
        x = self.patch_embed(x) + self.pos_embed  # [b, h, w, c]
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))  # [b, h, w, c] -> [b, c, h, w]

    def steps(self) -> list[nn.Module]:
        """List the parts in the order in which they finish."""
        return [*self.blocks, self.neck]


class PatchEmbed(nn.Module):
    """Project square patches to tokens."""

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, H / patch, W / patch, embed_dim) for (B, 3, H, W)."""
        return self.proj(x).permute(0, 2, 3, 1)


class Block(nn.Module):
    """One transformer block; `window_size` 0 attends to the whole image."""

    def __init__(self, *, dim: int, num_heads: int, mlp_ratio: float, window_size: int, grid: int) -> None:
        super().__init__()
        side = window_size or grid
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(embedding_dim=dim, mlp_dim=int(dim * mlp_ratio))
        self.window_size = window_size
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, H, W, C) for (B, H, W, C)."""
        if x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
            with torch.autocast("cpu", enabled=False):
                return run_block(self, x, dtype)
        shortcut = x
        x = self.norm1(x)
        if self.window_size > 0:
            height, width = x.shape[1:3]
            x, padded = window_partition(x, self.window_size)
            x = self.attn(x)
            x = window_unpartition(x, self.window_size, padded, (height, width))
        else:
            x = self.attn(x)
        x = shortcut + self.drop_path(x)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """Multi-head attention over a (H, W) grid with decomposed relative positions."""

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.scale = head_dim**-0.5
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, H, W, C) for (B, H, W, C)."""
        b, h, w, c = x.shape
        # [b, h, w, 3c] -> [3, b, heads, h*w, d]
        qkv = self.qkv(x).reshape(b, h * w, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        query, key = relative_position_features(q, k, self.rel_pos_h, self.rel_pos_w, (h, w), self.scale)
        # the fused CPU kernel takes only values as wide as queries and keys; the others keep all (h*w)^2 logits
        value = F.pad(v, (0, query.shape[-1] - v.shape[-1]))
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., : v.shape[-1]]
        # [b, heads, h*w, d] -> [b, h, w, c]
        return self.proj(out.transpose(1, 2).reshape(b, h, w, c))


def relative_position_features(
    q: Tensor, k: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, size: tuple[int, int], scale: float
) -> tuple[Tensor, Tensor]:
    """Fold the decomposed relative position bias into longer queries and keys.

    The bias of query (y, x) and key (y', x') is `q · R_h[y - y'] + q · R_w[x - x']`. With queries `q ‖ q·R_h ‖ q·R_w`
    and keys `k ‖ onehot(y') ‖ onehot(x')` it is part of one plain product, so that no (h*w, h*w) bias is ever stored.

    Parameters
    ----------
    q, k
        (B, heads, h*w, d) queries and keys.
    rel_pos_h, rel_pos_w
        (2h - 1, d) and (2w - 1, d) relative position tables.
    size
        (h, w) of the grid.
    scale
        Factor of the content product; the bias is not scaled (as in the authors' code).

    Returns
    -------
    query, key
        (B, heads, h*w, D): their product is the attention logit. D is d + h + w, rounded up to a multiple of 8.
    """
    h, w = size
    b, heads, tokens, d = q.shape
    table_h = rel_pos_h[_relative_index(h, q.device)]  # [h, h', d]
    table_w = rel_pos_w[_relative_index(w, q.device)]  # [w, w', d]
    grid = q.reshape(b, heads, h, w, d)
    bias_h = torch.einsum("bnhwd,hkd->bnhwk", grid, table_h.to(q.dtype)).reshape(b, heads, tokens, h)
    bias_w = torch.einsum("bnhwd,wkd->bnhwk", grid, table_w.to(q.dtype)).reshape(b, heads, tokens, w)
    pad = -(d + h + w) % 8  # the fused kernels want head sizes that are multiples of 8
    query = torch.cat([q * scale, bias_h, bias_w, q.new_zeros(b, heads, tokens, pad)], dim=-1)
    rows = torch.eye(h, dtype=k.dtype, device=k.device).repeat_interleave(w, 0)  # [h*w, h]
    columns = torch.eye(w, dtype=k.dtype, device=k.device).repeat(h, 1)  # [h*w, w]
    where = torch.cat([rows, columns, k.new_zeros(tokens, pad)], dim=-1).expand(b, heads, -1, -1)
    return query, torch.cat([k, where], dim=-1)


def _relative_index(side: int, device: torch.device) -> Tensor:
    at = torch.arange(side, device=device)
    return at[:, None] - at[None, :] + side - 1


def window_partition(x: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut (B, H, W, C) into (B * windows, window, window, C), zero-padded; also return the padded (H, W)."""
    b, h, w, c = x.shape
    x = F.pad(x, (0, 0, 0, -w % window, 0, -h % window))
    height, width = x.shape[1:3]
    x = x.view(b, height // window, window, width // window, window, c)
    # [b, rows, window, columns, window, c] -> [b*rows*columns, window, window, c]
    return x.transpose(2, 3).reshape(-1, window, window, c), (height, width)


def window_unpartition(x: Tensor, window: int, padded: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Put the windows of `window_partition` back together and drop the padding: (B, H, W, C)."""
    height, width = padded
    c = x.shape[-1]
    x = x.view(-1, height // window, width // window, window, window, c)
    # [b, rows, columns, window, window, c] -> [b, height, width, c]
    x = x.transpose(2, 3).reshape(-1, height, width, c)
    return x[:, : size[0], : size[1]]

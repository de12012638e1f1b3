"""A ViT block on a CPU without gradients: the same mathematics in pieces that stay in the cache.

Whole-image intermediates (a 4096 x 4096 bias a head, the MLP's hidden layer) cost more time in memory than the
products they feed. Here one row of windows, or a few rows of pixels, goes through the whole block before the next; the
padding of windows, whose queries, keys and values are the bias of their projection, is filled in, not projected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_sam.model.image_encoder import Attention, Block

__all__ = ["run_block"]

QUERIES = 256  # at once in global attention: their logits with 4096 keys are 4 MB a head
TOKENS = 1024  # at once in the MLP


def run_block(block: Block, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what `block.forward` returns for (B, H, W, C) float32 tokens.

    Parameters
    ----------
    block
        The block, its weights float32.
    x
        The tokens; left as they are.
    dtype
        Of matrix products and attention; tokens and normalisation stay float32.
    """
    run = _Run(block, dtype)
    x = x.clone(memory_format=torch.contiguous_format)  # channels together, as every product wants them
    for image in x:  # in place
        if block.window_size:
            run.windows(image, block.window_size)
        else:
            run.whole(image)
    return x


class _Run:
    """The weights of a block in the working precision, and the steps."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        attention: Attention = block.attn
        self._norm1, self._norm2 = block.norm1, block.norm2
        self._heads, self._scale, self._dtype = attention.num_heads, attention.scale, dtype
        self._qkv, self._proj = self._cast(attention.qkv), self._cast(attention.proj)
        self._lin1, self._lin2 = self._cast(block.mlp.lin1), self._cast(block.mlp.lin2)
        self._rel = attention.rel_pos_h.to(dtype), attention.rel_pos_w.to(dtype)

    def _cast(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        return linear.weight.to(self._dtype), linear.bias.to(self._dtype)

    def windows(self, x: Tensor, side: int) -> None:
        """Attend within windows of (H, W, C) tokens, then apply the MLP; one row of windows at a time."""
        height, width, c = x.shape
        across = -(-width // side)
        tables = self._tables(side, side)
        for top in range(0, height, side):
            part = x[top : top + side]
            rows = len(part)
            qkv = F.linear(self._normed(part, self._norm1), *self._qkv)
            if rows < side or across * side > width:
                padded = self._qkv[1].repeat(side, across * side, 1)
                padded[:rows, :width] = qkv
                qkv = padded
            # [side, windows*side, 3c] -> [3, windows*heads, side*side, d]
            qkv = qkv.view(side, across, side, 3, self._heads, -1).permute(3, 1, 4, 0, 2, 5)
            q, k, v = qkv.reshape(3, across * self._heads, side * side, -1).unbind(0)
            found = self._attend(q[:, : rows * side], k, v, tables[0][:rows], tables[1])
            # [windows*heads, rows*side, d] -> [rows, windows*side, c]
            found = found.view(across, self._heads, rows, side, -1).permute(2, 0, 3, 1, 4).reshape(rows, -1, c)
            found = found[:, :width].reshape(-1, c)  # a plain matrix; a view would be multiplied row by row
            part += F.linear(found, *self._proj).view(rows, width, c)
            self._mlp(part)

    def whole(self, x: Tensor) -> None:
        """Attend over all of (H, W, C) tokens, then apply the MLP; some rows at a time."""
        height, width, c = x.shape
        qkv = x.new_empty((3, self._heads, height * width, c // self._heads), dtype=self._dtype)
        step = max(1, TOKENS // width)
        for top in range(0, height, step):
            part = F.linear(self._normed(x[top : top + step], self._norm1), *self._qkv)
            # [rows, w, 3c] -> [3, heads, rows*w, d]
            part = part.view(-1, 3, self._heads, c // self._heads).permute(1, 2, 0, 3)
            qkv[:, :, top * width : top * width + part.shape[2]] = part
        q, k, v = qkv.unbind(0)
        tables = self._tables(height, width)
        step = max(1, QUERIES // width)
        for top in range(0, height, step):
            rows = min(step, height - top)
            here = slice(top * width, (top + rows) * width)
            found = torch.empty((rows * width, self._heads, c // self._heads), dtype=self._dtype)
            for head in range(self._heads):
                one = slice(head, head + 1)
                found[:, head] = self._attend(q[one, here], k[one], v[one], tables[0][top : top + rows], tables[1])[0]
            x[top : top + rows] += F.linear(found.view(rows, width, c), *self._proj)
        self._mlp(x)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, table_h: Tensor, table_w: Tensor) -> Tensor:
        """Return (n, rows*w, d) for (n, rows*w, d) queries of some rows, and (n, h*w, d) keys and values.

        The tables are (rows, h, d) and (w, w, d) relative positions of these rows' queries to the keys.
        """
        n, _, d = q.shape
        rows, h, _ = table_h.shape
        w = len(table_w)
        grid = q.reshape(n, rows, w, d)
        # one product for each row of queries, and one for each column
        by_row = grid.transpose(0, 1).reshape(rows, n * w, d) @ table_h.transpose(1, 2)  # [rows, n*w, h]
        by_row = by_row.view(rows, n, w, h).transpose(0, 1)
        by_column = grid.permute(2, 0, 1, 3).reshape(w, n * rows, d) @ table_w.transpose(1, 2)  # [w, n*rows, w']
        by_column = by_column.view(w, n, rows, w).permute(1, 2, 0, 3)
        bias = q.new_empty(n, rows, w, h, w)
        torch.add(by_row.unsqueeze(-1), by_column.unsqueeze(-2), out=bias)
        logits = bias.view(n, rows * w, h * w)
        logits.baddbmm_(q, k.transpose(1, 2), alpha=self._scale)
        torch._softmax(logits, -1, False, out=logits)
        return torch.bmm(logits, v)

    def _tables(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        return tuple(
            table[torch.arange(side)[:, None] - torch.arange(side)[None, :] + side - 1]
            for table, side in zip(self._rel, (height, width), strict=True)
        )  # type: ignore[return-value]

    def _mlp(self, x: Tensor) -> None:
        for part in x.view(-1, x.shape[-1]).split(TOKENS):
            hidden = F.linear(self._normed(part, self._norm2), *self._lin1)
            torch.ops.aten.gelu_(hidden)
            part += F.linear(hidden, *self._lin2)

    def _normed(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        return norm(x).to(self._dtype)

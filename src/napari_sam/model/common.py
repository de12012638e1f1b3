"""Small layers that several parts of the model share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DropPath", "LayerNorm2d", "MLPBlock", "attend"]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the (B, heads, T, d) scaled dot-product attention of (B, heads, T, d) to two (B, heads, K, d).

    Written out where a CPU trains: there the backward pass of the fused kernel takes 2 to 5 times as long for the
    narrow heads of a mask decoder.
    """
    if query.device.type == "cpu" and torch.is_grad_enabled():
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return scores.softmax(dim=-1) @ value
    return F.scaled_dot_product_attention(query, key, value)


class DropPath(nn.Module):
    """Leave a residual branch out at random in training, for each image of a batch (Huang et al. 2016); see `rate`."""

    rate: float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, ...) with some of the B zeroed and the others scaled up, so that the mean stays."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class LayerNorm2d(nn.Module):
    """Normalise the channels of each pixel of a (B, C, H, W) tensor."""

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, C, H, W) input with zero mean and unit variance along C, scaled and shifted."""
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class MLPBlock(nn.Module):
    """Apply two linear layers with an activation between to the last axis."""

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., embedding_dim) for (..., embedding_dim)."""
        return self.lin2(self.act(self.lin1(x)))

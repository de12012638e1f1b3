"""The paper's prompt encoder: prompts become tokens and a dense map (SAM, section 3 and appendix A)."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from napari_sam.model.common import LayerNorm2d
from napari_sam.model.prompt_maps import prompt_maps

__all__ = ["PositionEmbeddingRandom", "PromptEncoder"]


class PromptEncoder(nn.Module):
    """Encode prompts given in model pixels, (x, y) order.

    Parameters
    ----------
    embed_dim
        Width of a token.
    grid
        Side of the image embedding; dense prompts have this size.
    img_size
        Side of the model's input in pixels.
    mask_in_chans
        Hidden channels of the mask encoder.
    """

    def __init__(self, *, embed_dim: int, grid: int, img_size: int, mask_in_chans: int = 16) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.grid = grid
        self.img_size = img_size
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        # negative point, positive point, first and second box corner
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            nn.GELU(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            nn.GELU(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def get_dense_pe(self) -> Tensor:
        """Return the (1, embed_dim, grid, grid) positional encoding of the image embedding."""
        return self.pe_layer.grid((self.grid, self.grid))[None]

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        texts: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode n prompts.

        Parameters
        ----------
        points
            (n, k, 2) coordinates (x, y) and (n, k) labels: 1 positive, 0 negative, -1 padding.
        boxes
            (n, 4) or (n, 1, 4) corners x0, y0, x1, y1.
        masks
            (n, 1, 4 * grid, 4 * grid) logits.
        texts
            (n, embed_dim) tokens of `TextPrompt`.

        Returns
        -------
        sparse
            (n, tokens, embed_dim).
        dense
            (n, embed_dim, grid, grid).
        """
        n = _count(points, boxes, masks, texts)
        sparse = [self.no_mask_embed.weight.new_empty(n, 0, self.embed_dim)]
        if points is not None:
            sparse.append(self._embed_points(points[0], points[1], pad=boxes is None))
        if boxes is not None:
            sparse.append(self._embed_boxes(boxes))
        if texts is not None:
            sparse.append(texts[:, None])
        if masks is not None:
            dense = self.mask_downscaling(masks)
        else:
            dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(n, -1, self.grid, self.grid)
        return torch.cat(sparse, dim=1), dense

    def maps(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None, *, count: int
    ) -> Tensor:
        """Draw the prompts of n objects at twice the embedding's resolution, see `prompt_maps`."""
        device = self.no_mask_embed.weight.device
        return prompt_maps(points, boxes, masks, count=count, img_size=self.img_size, size=2 * self.grid, device=device)

    def _embed_points(self, coords: Tensor, labels: Tensor, *, pad: bool) -> Tensor:
        coords = coords + 0.5  # to the centre of the pixel
        if pad:
            coords = torch.cat([coords, coords.new_zeros(len(coords), 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((len(labels), 1), -1)], dim=1)
        tokens = self.pe_layer(coords, self.img_size)
        kind = labels.unsqueeze(-1)
        negative, positive, _, _ = self._kinds()
        tokens = torch.where(kind == -1, self.not_a_point_embed.weight, tokens)
        tokens = torch.where(kind == 0, tokens + negative, tokens)
        return torch.where(kind == 1, tokens + positive, tokens)

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        corners = self.pe_layer(boxes.reshape(-1, 2, 2) + 0.5, self.img_size)
        return corners + torch.cat(self._kinds()[2:])  # [n, 2, c] + [2, c]

    def _kinds(self) -> list[Tensor]:
        return [cast("nn.Embedding", kind).weight for kind in self.point_embeddings]


class PositionEmbeddingRandom(nn.Module):
    """Encode positions by random Fourier features."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pos_feats))

    def forward(self, coords: Tensor, img_size: int) -> Tensor:
        """Return (..., 2 * num_pos_feats) for (..., 2) coordinates (x, y) in model pixels."""
        return self._encode(coords.to(torch.float32) / img_size)

    def grid(self, size: tuple[int, int]) -> Tensor:
        """Return the (2 * num_pos_feats, h, w) encoding of the cell centres of a grid."""
        h, w = size
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(h, device=device, dtype=torch.float32) + 0.5) / h
        x = (torch.arange(w, device=device, dtype=torch.float32) + 0.5) / w
        coords = torch.stack([x[None, :].expand(h, w), y[:, None].expand(h, w)], dim=-1)
        return self._encode(coords).permute(2, 0, 1)  # [h, w, c] -> [c, h, w]

    def _encode(self, unit: Tensor) -> Tensor:
        matrix = self.positional_encoding_gaussian_matrix
        angles = 2 * math.pi * ((2 * unit - 1).to(matrix.dtype) @ matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _count(points: tuple[Tensor, Tensor] | None, *others: Tensor | None) -> int:
    for given in (points[0] if points is not None else None, *others):
        if given is not None:
            return len(given)
    return 1

"""The bundled model's way from the transformer's proposal to a sharp mask: convolutions that see the prompts.

Not part of the paper, whose structure it keeps: the transformer says which object is meant, convolutions at strides 4
and 2 draw it. Measured on kinds of images that training never saw, such a head gets a quarter more out of the same
features than up-scaling alone (docs/training.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_sam.model.cell_encoder import ResidualBlock
from napari_sam.model.prompt_maps import MAP_CHANNELS

__all__ = ["Drawing", "MaskQuality"]

DILATIONS = (1, 2, 4)


class Drawing(nn.Module):
    """Improve the up-scaled features of each prompt at stride 4, and again at stride 2.

    It adds to what is there and at first adds nothing, so that a decoder can get one after it was trained.

    Parameters
    ----------
    features, finer
        Channels of the up-scaled features at twice and four times the embedding's resolution.
    skip
        Channels of the encoder's features at twice the embedding's resolution.
    width
        Channels of the convolutions.
    """

    def __init__(self, *, features: int, finer: int, skip: int, width: int) -> None:
        super().__init__()
        self.of_image = nn.Conv2d(skip, width, kernel_size=1)
        self.of_proposal = nn.Conv2d(features, width, kernel_size=1, bias=False)
        self.of_prompts = nn.Conv2d(MAP_CHANNELS, width, kernel_size=3, padding=1, bias=False)
        self.blocks = nn.ModuleList(ResidualBlock(width, dilation) for dilation in DILATIONS)
        self.norm = nn.GroupNorm(max(1, width // 16), width)
        self.out = nn.Conv2d(width, features, kernel_size=1)
        self.rim = nn.Sequential(
            nn.Conv2d(finer, 2 * finer, kernel_size=3, padding=1), nn.ReLU(), nn.Conv2d(2 * finer, finer, 3, padding=1)
        )
        _start_at_nothing(self.out)
        _start_at_nothing(self.rim[-1])

    def coarse(self, x: Tensor, image: Tensor, maps: Tensor) -> Tensor:
        """Draw at stride 4.

        Parameters
        ----------
        x
            (n, features, 2h, 2w).
        image
            (1 or n, width, 2h, 2w): `of_image` of the encoder's features.
        maps
            (n, MAP_CHANNELS, 2h, 2w), see `prompt_maps`.
        """
        y = self.of_proposal(x) + self.of_prompts(maps) + image
        for block in self.blocks:
            y = block(y)
        return x + self.out(torch.relu(self.norm(y)))

    def fine(self, x: Tensor) -> Tensor:
        """Draw at stride 2: (n, finer, 4h, 4w)."""
        return x + self.rim(x)


class MaskQuality(nn.Module):
    """Correct the predicted IoU by the look of the mask that was drawn: how sure it is, and what lies in it.

    Parameters
    ----------
    features
        Channels of the finest features.
    hidden
        Width of the layers.
    """

    def __init__(self, features: int, hidden: int = 64) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * features + 6, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )
        _start_at_nothing(self.mlp[-1])

    def forward(self, iou: Tensor, masks: Tensor, features: Tensor) -> Tensor:
        """Return the (n, m) corrected IoU.

        Parameters
        ----------
        iou
            (n, m) as the token predicts it.
        masks
            (n, m, h, w) logits; they learn nothing from this.
        features
            (n, features, h, w) of which the masks were made; they learn nothing from this either.
        """
        share = masks.detach().float().flatten(2).sigmoid()  # [n, m, h*w]
        unsure = 4 * share * (1 - share)
        columns = features.detach().float().flatten(2).transpose(1, 2)  # [n, h*w, c]
        area, rim = share.sum(2), unsure.sum(2)
        inside = (share @ columns) / (area[..., None] + 1)
        beside = (unsure @ columns) / (rim[..., None] + 1)
        surely, hardly = (share > 0.73).sum(2), (share > 0.27).sum(2)  # the stability score's two thresholds
        looks = [
            area.add(1).log() / 8,
            rim.add(1).log() / 8,
            rim / (area + 1),
            (surely + 1) / (hardly + 1),
            share.square().sum(2) / (area + 1),
            iou.detach().float(),
        ]
        return iou + self.mlp(torch.cat([inside, beside, torch.stack(looks, -1)], -1))[..., 0]


@torch.no_grad()
def _start_at_nothing(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.zero_()

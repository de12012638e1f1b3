"""What is an object, where is its middle, how large is it: maps of the whole image that need no prompt.

Not part of the paper: a help for automatic masks, whose prompts it proposes, and for training, as it learns from each
pixel. Like the instance decoders of StarDist, Cellpose and micro-sam it predicts distances, relative to the object.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ObjectHead", "ObjectMaps"]


@dataclass(frozen=True, kw_only=True)
class ObjectMaps:
    """Hold the maps of B images, each (B, m, m) at the resolution of the masks.

    Parameters
    ----------
    foreground
        Logit of lying in an object.
    middle
        Logit of the distance to the rim of the object, relative to the largest in it: 0 outside, 1 in the middle.
    diameter
        Log2 of the object's diameter (2 sqrt(area / pi)) in pixels of the model; no meaning outside of objects.
    """

    foreground: Tensor
    middle: Tensor
    diameter: Tensor


class ObjectHead(nn.Module):
    """Predict `ObjectMaps` from the finest features of the encoder.

    Parameters
    ----------
    width
        Channels of those features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(1, width // 16), width)
        self.conv = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.maps = nn.Conv2d(width, 3, kernel_size=1)

    def forward(self, features: Tensor) -> ObjectMaps:
        """Return the maps of (B, width, m, m) features."""
        maps = self.maps(F.relu(self.conv(F.relu(self.norm(features))))).float()
        foreground, middle, diameter = maps.unbind(1)
        return ObjectMaps(foreground=foreground, middle=middle, diameter=diameter + MIDDLE_SIZE)


MIDDLE_SIZE = 4.0  # log2 of 16 pixels: where the predicted diameter starts from

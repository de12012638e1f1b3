"""What the decoder of pre-training should have painted, and how far off it was (He et al. 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["masked_pixel_loss", "normalised_patches"]

# Added to a patch's variance, in normalised pixels: one grey level squared, so that flat ground stays near zero instead
# of becoming noise of unit variance that nobody can predict.
FLOOR = (1 / 57.0) ** 2


def normalised_patches(pixels: Tensor, patch: int, floor: float = FLOOR) -> Tensor:
    """Give each patch mean 0 and variance 1 over its pixels and channels, less where it is almost flat.

    Parameters
    ----------
    pixels
        (B, 3, S, S) float32.
    patch
        Side in pixels, a part of S.

    Returns
    -------
    Tensor
        (B, 3 * patch * patch, patches), the rows of patches one after the other.
    """
    patches = F.unfold(pixels, patch, stride=patch)  # [b, 3, s, s] -> [b, 3*p*p, n]
    mean = patches.mean(1, keepdim=True)
    variance = patches.var(1, keepdim=True)
    return (patches - mean) / (variance + floor).sqrt()


def masked_pixel_loss(painted: Tensor, pixels: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean squared error over the hidden patches, each of the true ones normalised.

    Parameters
    ----------
    painted, pixels
        (B, 3, S, S) float32 prediction and truth.
    hidden
        (B, h, w) bool patches, at least one hidden.
    """
    patch = pixels.shape[-1] // hidden.shape[-1]
    error = F.unfold(painted, patch, stride=patch) - normalised_patches(pixels, patch)
    return error.square().mean(1)[hidden.flatten(1)].mean()

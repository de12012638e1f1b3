"""Loss of the object head: cross entropy and dice on the foreground, distances, and sizes inside of objects."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from napari_sam.losses.masks import dice_loss
from napari_sam.model.object_head import ObjectMaps

__all__ = ["object_loss"]


def object_loss(maps: ObjectMaps, target: Tensor, complete: Tensor | None = None) -> Tensor:
    """Return the loss, a scalar: the mean of that of the images.

    Parameters
    ----------
    maps
        Predicted maps, (B, m, m) each.
    target
        (B, 3, m, m) as `data.object_targets` makes them.
    complete
        (B,) bool: images that count, as all their objects are labelled; None for all.
    """
    covered, middle, diameter = target.unbind(1)
    everywhere = (1, 2)
    pixels = covered.sum(everywhere).clamp(min=1)
    wrong = F.binary_cross_entropy_with_logits(maps.foreground, covered, reduction="none").mean(everywhere)
    foreground = wrong + dice_loss(maps.foreground, covered)
    # where there is an object counts as much as the rest, however little of the picture it takes
    error = F.binary_cross_entropy_with_logits(maps.middle, middle, reduction="none")
    distances = (error * covered).sum(everywhere) / pixels + (error * (1 - covered)).mean(everywhere)
    sizes = (F.smooth_l1_loss(maps.diameter, diameter, reduction="none") * covered).sum(everywhere) / pixels
    loss = foreground + distances + 0.5 * sizes  # [b]
    return loss.mean() if complete is None else (loss * complete).mean()

"""The contrastive loss of images and captions where it is known which caption is true of which image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["contrastive_loss"]


def contrastive_loss(logits: Tensor, true: Tensor, false: Tensor) -> Tensor:
    """Return how badly true pairs are told from false ones: of captions for an image, and of images for a caption.

    For every true pair -log of its share in a softmax over itself and all false pairs of its row, averaged over the
    row's true pairs, then over the rows that have true and false pairs; the same by columns; the mean of both. Unlike
    CLIP's loss (Radford et al. 2021) it lets many pairs be true, and pairs that are neither do not count.

    Parameters
    ----------
    logits
        (n, t): scaled cosines of images and captions.
    true, false
        (n, t) bool.
    """
    return (_one_way(logits, true, false) + _one_way(logits.T, true.T, false.T)) / 2


def _one_way(logits: Tensor, true: Tensor, false: Tensor) -> Tensor:
    usable = true.any(dim=1) & false.any(dim=1)
    logits, true, false = logits[usable], true[usable], false[usable]
    against = torch.logsumexp(logits.masked_fill(~false, -torch.inf), dim=1, keepdim=True)
    # [r, c] -> [r]: softplus(against - own) is -log(exp(own) / (exp(own) + exp(against)))
    each = F.softplus(against - logits).masked_fill(~true, 0).sum(dim=1) / true.sum(dim=1)
    return each.mean() if len(each) else logits.sum() * 0

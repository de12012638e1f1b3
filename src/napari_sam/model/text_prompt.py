"""Text as a prompt: vectors of a CLIP become tokens of the prompt encoder (SAM, section 7 and appendix D)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam.errors import InputError

__all__ = ["TextPrompt"]

START = 0.3  # of the usual size: at first a token says little
MARK_BYTES = 16  # of a CLIP's fingerprint


class TextPrompt(nn.Module):
    """Turn vectors of one CLIP, of images in training and of texts later, into prompt tokens.

    A CLIP's images lie apart from its texts, so each vector is taken relative to the mean of its own kind: that lets
    what was learnt with images hold for texts.

    Parameters
    ----------
    clip_width
        Numbers in a vector.
    embed_dim
        Width of a token.
    """

    image_mean: Tensor
    text_mean: Tensor
    clip_mark: Tensor

    def __init__(self, clip_width: int, embed_dim: int) -> None:
        super().__init__()
        last = nn.Linear(2 * embed_dim, embed_dim)
        self.projection = nn.Sequential(nn.Linear(clip_width, 2 * embed_dim), nn.GELU(), last)
        with torch.no_grad():
            last.weight.mul_(START)
        self.kind_embed = nn.Embedding(1, embed_dim)  # tells it from points and boxes
        self.register_buffer("image_mean", torch.zeros(clip_width))
        self.register_buffer("text_mean", torch.zeros(clip_width))
        self.register_buffer("clip_mark", torch.zeros(MARK_BYTES, dtype=torch.uint8))

    @property
    def clip_width(self) -> int:
        """Numbers in a vector."""
        return len(self.text_mean)

    @property
    def clip_fingerprint(self) -> str:
        """Fingerprint of the CLIP that this was trained with; "" before that."""
        mark = bytes(self.clip_mark.tolist())
        return mark.hex() if any(mark) else ""

    @torch.no_grad()
    def belong_to(self, fingerprint: str, image_mean: Tensor | None = None, text_mean: Tensor | None = None) -> None:
        """Note which CLIP the vectors come from, and the (d,) means of its images and texts."""
        self.clip_mark.copy_(torch.tensor(list(bytes.fromhex(fingerprint)), dtype=torch.uint8))
        for own, mean in ((self.image_mean, image_mean), (self.text_mean, text_mean)):
            if mean is not None:
                own.copy_(mean)

    def check_clip(self, fingerprint: str, name: str) -> None:
        """Check that a CLIP is the one that this was trained with.

        Raises
        ------
        InputError
            If it is another one.
        """
        if fingerprint != self.clip_fingerprint:
            raise InputError(
                f"The text head was not trained with the CLIP {name!r}: choose the CLIP that it was trained with, or "
                "rank masks by text instead."
            )

    def forward(self, vectors: Tensor, *, of_images: bool | Tensor = False) -> Tensor:
        """Return the (n, embed_dim) tokens of (n, d) vectors.

        Parameters
        ----------
        of_images
            Whether the vectors are those of images, not of texts; for all or (n,) for each.
        """
        which = torch.as_tensor(of_images, device=vectors.device).reshape(-1, 1)
        centred = vectors - torch.where(which, self.image_mean, self.text_mean)
        return self.projection(F.normalize(centred, dim=-1) * self.clip_width**0.5) + self.kind_embed.weight

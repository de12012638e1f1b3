"""The masks that the model offers for an object, each cut down to its bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_sam.io.journal import digest_array
from napari_sam.types import BoolArray, FloatArray, Prediction, Window

__all__ = ["Candidate", "Candidates", "Patch", "crop"]


@dataclass(frozen=True)
class Patch:
    """A mask as its bounding box: (h, w) bool and the (row, col) of its first pixel; (0, 0) in size if empty."""

    mask: BoolArray
    at: tuple[int, int]

    @property
    def where(self) -> tuple[slice, slice]:
        """The rows and columns of the plane that it covers."""
        (row, col), (height, width) = self.at, self.mask.shape
        return slice(row, row + height), slice(col, col + width)


@dataclass(frozen=True)
class Candidate:
    """One mask of the current object.

    Parameters
    ----------
    score
        How well the model thinks that it fits, 0 to 1 (its predicted IoU).
    patch
        The mask's bounding box.
    image_shape
        (H, W) of the plane.
    digest
        Hash of the mask over the model's window, for the journal.
    """

    score: float
    patch: Patch
    image_shape: tuple[int, int]
    digest: str

    @property
    def mask(self) -> BoolArray:
        """(H, W) bool over the whole plane."""
        full = np.zeros(self.image_shape, dtype=bool)
        full[self.patch.where] = self.patch.mask
        return full

    def fill(self, window: Window) -> Patch:
        """Return the mask over the whole of a window that holds it."""
        full = np.zeros((window.height, window.width), dtype=bool)
        row, col = self.patch.at[0] - window.row, self.patch.at[1] - window.col
        full[row : row + self.patch.mask.shape[0], col : col + self.patch.mask.shape[1]] = self.patch.mask
        return Patch(full, (window.row, window.col))


@dataclass(frozen=True)
class Candidates:
    """What is kept of a prediction: (n, m, m) logits to feed back, n candidates best first, the window looked at."""

    logits: FloatArray
    items: tuple[Candidate, ...]
    window: Window

    @classmethod
    def of(cls, prediction: Prediction) -> Candidates:
        """Cut the masks of a prediction down to their bounding boxes."""
        at = prediction.window.row, prediction.window.col
        items = tuple(
            Candidate(float(score), crop(patch, at), prediction.image_shape, digest_array(patch))
            for patch, score in zip(prediction.patches, prediction.scores, strict=True)
        )
        return cls(prediction.logits, items, prediction.window)


def crop(mask: BoolArray, at: tuple[int, int]) -> Patch:
    """Cut a (h, w) mask whose first pixel is `at` down to its bounding box."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Patch(np.zeros((0, 0), dtype=bool), at)
    top, left = int(rows[0]), int(cols[0])
    return Patch(mask[top : rows[-1] + 1, left : cols[-1] + 1].copy(), (at[0] + top, at[1] + left))

"""Records that pass between the engine's parts; all coordinates are in array order (row, col)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "Prediction", "Prompts", "Window"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Hold what is said of one object on one plane.

    Parameters
    ----------
    points
        (row, col) pairs in pixels, pixel centres at integers.
    labels
        1 (part of the object) or 0 (not part of it), one for each point.
    box
        (row0, col0, row1, col1) with exclusive ends, or None.
    mask
        (H, W) bool mask of the whole image, or (m, m) float logits of an earlier prediction, or None.
    text
        What the object is, in words, for models with a text head; alone it means all that it names. "" says nothing.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: npt.NDArray[Any] | None = field(default=None, compare=False)
    text: str = ""

    @property
    def empty(self) -> bool:
        """Tell whether nothing at all was said."""
        return not self.points and self.box is None and self.mask is None and not self.text


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle of the image in pixels, `(row, col)` its first pixel, and the pixels the model sees of it."""

    row: int
    col: int
    height: int
    width: int
    input_height: int
    input_width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in a (H, W, ...) array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per image pixel along rows and columns."""
        return self.input_height / self.height, self.input_width / self.width


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The masks of one object, best first.

    Parameters
    ----------
    logits
        (n, 4h, 4w) float32 at a quarter of the model's input, h and w the sides of its embedding.
    scores
        (n,) float32 predicted IoU, falling.
    patches
        (n, window.height, window.width) bool: the masks inside the window; outside they are False.
    window
        The part of the image that the model looked at.
    image_shape
        (H, W) of the image.
    """

    logits: FloatArray
    scores: FloatArray
    patches: BoolArray
    window: Window
    image_shape: tuple[int, int]

    @cached_property
    def masks(self) -> BoolArray:
        """(n, H, W) bool masks over the whole image."""
        full = np.zeros((len(self.patches), *self.image_shape), dtype=bool)
        rows, cols = self.window.slices
        full[:, rows, cols] = self.patches
        return full

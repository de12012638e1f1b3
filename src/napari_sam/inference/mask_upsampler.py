"""From low-resolution logits to masks of a window, only where a mask is: the authors' interpolation as a product."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.model.products import fast_products
from napari_sam.types import BoolArray, Window

__all__ = ["MaskUpsampler", "UpsampledMask"]

TOGETHER = 64  # masks of a window at once on a GPU
MARGIN = 0.05  # by which stabilities at low and at full resolution may differ
STEP = 32  # low-resolution pixels, to which the part that is brought up is rounded
SUPPORT = 3  # low-resolution pixels on either side that an output pixel may depend on


@dataclass(frozen=True)
class UpsampledMask:
    """A mask inside a window.

    Parameters
    ----------
    patch
        (h, w) bool; the mask is empty elsewhere.
    origin
        (row, col) of its first pixel in the window.
    stability
        IoU of the masks cut higher and lower; 0 if both are empty.
    """

    patch: BoolArray
    origin: tuple[int, int]
    stability: float


class MaskUpsampler:
    """Bring logits to the pixels of a window as the authors do: up to the model's input, cut, then to the window.

    Both steps are linear and separable, so they are one small matrix for rows and one for columns, and each output
    pixel depends on a few low-resolution pixels: where the logits around are low there is no mask to be computed.

    Parameters
    ----------
    window
        Whose pixels are wanted.
    mask_size, img_size
        Sides of the logits and of the model's input.
    threshold, offset
        Where masks are cut, and how much higher and lower for their stability.
    """

    def __init__(
        self, window: Window, mask_size: int, img_size: int, *, threshold: float = 0.0, offset: float = 1.0
    ) -> None:
        self._threshold, self._offset = threshold, offset
        self._rows = _resizing(mask_size, img_size, window.input_height, window.height)
        self._cols = _resizing(mask_size, img_size, window.input_width, window.width)
        self._row_ends, self._col_ends = _reach(self._rows), _reach(self._cols)

    def many(
        self, logits: Tensor, min_stability: float = 0.0, *, preselect: bool = False
    ) -> list[UpsampledMask | None]:
        """Return the masks of (n, m, m) float32 logits, None for those that are less stable.

        With `preselect` those that are clearly unstable as they are, at low resolution, are not brought up at all.
        """
        if logits.device.type == "cpu":
            floor = np.float32(min_stability)
            hopeless = [False] * len(logits)
            if preselect:
                hopeless = (self._low_stability(logits) < min_stability - MARGIN).tolist()
            found = (None if bad else self(one) for one, bad in zip(logits, hopeless, strict=True))
            return [mask if mask is not None and mask.stability >= floor else None for mask in found]
        return [mask for some in logits.split(TOGETHER) for mask in self.together(some, min_stability)]

    def together(self, logits: Tensor, min_stability: float = 0.0) -> list[UpsampledMask | None]:
        """Do the same for all of the window at once and on the device of the logits, which is what GPUs do best."""
        rows, cols = self._rows.to(logits.device), self._cols.to(logits.device)
        up = rows @ logits @ cols.T  # [n, height, width]
        larger = (up > self._threshold - self._offset).sum((1, 2)).float()
        smaller = (up > self._threshold + self._offset).sum((1, 2)).float()
        stability = (smaller / larger.clamp(min=1)).cpu().numpy()
        stable = np.flatnonzero(stability >= np.float32(min_stability))
        masks: list[UpsampledMask | None] = [None] * len(logits)
        patches = (up[torch.from_numpy(stable).to(up.device)] > self._threshold).cpu().numpy()
        for number, patch in zip(stable, patches, strict=True):
            masks[number] = UpsampledMask(patch, (0, 0), float(stability[number]))
        return masks

    def _low_stability(self, logits: Tensor) -> Tensor:
        larger = (logits > self._threshold - self._offset).sum((1, 2))
        return (logits > self._threshold + self._offset).sum((1, 2)) / larger.clamp(min=1)

    def whole(self, logits: Tensor) -> BoolArray:
        """Return the (n, height, width) masks of (n, m, m) float32 logits over all of the window."""
        masks = np.zeros((len(logits), len(self._rows), len(self._cols)), bool)
        for whole, one in zip(masks, logits.cpu(), strict=True):
            mask = self(one)
            row, col = mask.origin
            whole[row : row + mask.patch.shape[0], col : col + mask.patch.shape[1]] = mask.patch
        return masks

    def __call__(self, logits: Tensor) -> UpsampledMask:
        """Return the mask of (m, m) float32 logits, and only the part of the window that it may cover."""
        low = logits > self._threshold - self._offset
        rows, cols = low.any(1).nonzero(), low.any(0).nonzero()
        if len(rows) == 0:
            return UpsampledMask(np.zeros((0, 0), bool), (0, 0), 0.0)
        (in_rows, out_rows) = self._part(int(rows[0]), int(rows[-1]), self._row_ends, len(logits))
        (in_cols, out_cols) = self._part(int(cols[0]), int(cols[-1]), self._col_ends, len(logits))
        with fast_products():
            up = self._rows[out_rows, in_rows] @ logits[in_rows, in_cols] @ self._cols[out_cols, in_cols].T
        larger = int((up > self._threshold - self._offset).sum())
        smaller = int((up > self._threshold + self._offset).sum())
        stability = float(np.float32(smaller) / np.float32(larger)) if larger else 0.0
        return UpsampledMask((up > self._threshold).cpu().numpy(), (out_rows.start, out_cols.start), stability)

    @staticmethod
    def _part(first: int, last: int, ends: tuple[Tensor, Tensor], size: int) -> tuple[slice, slice]:
        """Return the low-resolution pixels to read, and the output pixels to make, for a run of high logits."""
        # few different sizes, as the library prepares a kernel for each
        first, last = first - first % STEP, min(size, last - last % STEP + STEP) - 1
        start, stop = int(ends[0][first]), int(ends[1][last])
        return slice(max(0, first - SUPPORT), min(size, last + 1 + SUPPORT)), slice(start, max(start, stop))


@functools.lru_cache(maxsize=32)
def _resizing(mask_size: int, img_size: int, input_length: int, length: int) -> Tensor:
    """Return the (length, mask_size) matrix that resizes one axis."""
    eye = torch.eye(mask_size)[None]
    up = F.interpolate(eye, img_size, mode="linear", align_corners=False)[..., :input_length]
    return F.interpolate(up, length, mode="linear", align_corners=False)[0].T.contiguous()


@functools.lru_cache(maxsize=32)
def _reach(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each low-resolution pixel, the first output pixel it reaches and one after the last."""
    touched = matrix != 0  # [out, in]
    length = len(matrix)
    at = torch.arange(length)[:, None]
    first = torch.where(touched, at, length).amin(0)
    last = torch.where(touched, at + 1, 0).amax(0)
    # pixels that reach nothing (beyond the image, or skipped over when shrinking) take their neighbours' place
    return first.flip(0).cummin(0).values.flip(0), last.cummax(0).values

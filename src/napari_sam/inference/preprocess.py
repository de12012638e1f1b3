"""Between image pixels and model pixels: resizing as the authors do it, prompts in, masks out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import transform
from torch import Tensor

from napari_sam.types import Window

__all__ = ["mask_to_logits", "resample_logits", "to_input", "to_model_xy"]

MASK_LOGIT = 10.0  # what a yes or no of a binary mask prompt is worth


def to_input(rgb: npt.NDArray[np.uint8], window: Window, preprocess: str = "sam") -> Tensor:
    """Resize the (h, w, 3) uint8 picture of a window to the (1, 3, input_height, input_width) float32 input.

    "sam": bilinear with antialiasing on 8 bits, as in the authors' code. "medsam": stretched to the full square, then
    min-max to [0, 1], as in MedSAM's code.
    """
    size = (window.input_width, window.input_height)
    if preprocess == "medsam":
        cubic = transform.resize(rgb, size[::-1], order=3, preserve_range=True, anti_aliasing=True)
        resized = cubic.astype(np.uint8).astype(np.float32)
        low, high = float(resized.min()), float(resized.max())
        pixels = (resized - low) / max(high - low, 1e-8)
    elif size == rgb.shape[1::-1]:
        pixels = rgb.astype(np.float32)
    else:
        pixels = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]  # [h, w, 3] -> [1, 3, h, w]


def to_model_xy(points: npt.NDArray[np.float64], window: Window) -> npt.NDArray[np.float32]:
    """Turn (..., 2) image coordinates (row, col) into model coordinates (x, y)."""
    scale = np.array(window.scale)
    moved = (points - np.array([window.row, window.col])) * scale
    return moved[..., ::-1].astype(np.float32).copy()


def mask_to_logits(mask: npt.NDArray[np.bool_], window: Window, img_size: int, mask_size: int) -> Tensor:
    """Turn a (height, width) mask of the window into a (1, 1, mask_size, mask_size) mask prompt."""
    cover = torch.from_numpy(mask.astype(np.float32))[None, None]
    cover = F.interpolate(cover, (window.input_height, window.input_width), mode="area")
    cover = F.pad(cover, (0, img_size - window.input_width, 0, img_size - window.input_height))
    cover = F.interpolate(cover, (mask_size, mask_size), mode="area")
    return (2 * cover - 1) * MASK_LOGIT


def resample_logits(
    logits: npt.NDArray[np.float32], old: Window, new: Window, img_size: int
) -> npt.NDArray[np.float32]:
    """Move (m, m) logits from one window to another; what the old one did not see is background."""
    m = logits.shape[-1]
    cell = img_size / m
    at = (np.arange(m) + 0.5) * cell  # model pixels
    rows = (at / new.scale[0] + new.row - old.row) * old.scale[0]
    cols = (at / new.scale[1] + new.col - old.col) * old.scale[1]
    y = torch.from_numpy(2 * rows / img_size - 1)
    x = torch.from_numpy(2 * cols / img_size - 1)
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).float()[None]  # [1, m, m, (x, y)]
    shifted = torch.from_numpy(logits.astype(np.float32))[None, None] + MASK_LOGIT
    moved = F.grid_sample(shifted, grid, align_corners=False) - MASK_LOGIT  # zeros outside become -MASK_LOGIT
    return moved[0, 0].numpy()

"""Overlap of masks."""

from __future__ import annotations

import numpy as np

from napari_sam.types import BoolArray

__all__ = ["mask_iou"]


def mask_iou(mask: BoolArray, truth: BoolArray) -> float:
    """Return intersection over union of two masks of the same shape; 1 if both are empty."""
    union = int(np.count_nonzero(mask | truth))
    return int(np.count_nonzero(mask & truth)) / union if union else 1.0

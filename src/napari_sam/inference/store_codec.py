"""Embeddings as the bits that go to disk: float32, float16, or the upper half of float32 (bfloat16)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["PRECISIONS", "from_bits", "rounded", "to_bits", "width_of"]

PRECISIONS = {"float32": "float32", "float16": "float16", "bfloat16": "uint16"}  # and the type on disk
MOST_FLOAT16 = 65504.0


def width_of(precision: str) -> int:
    """Return the bytes of a value."""
    return np.dtype(PRECISIONS[precision]).itemsize


def to_bits(tensor: Tensor, precision: str) -> npt.NDArray[Any]:
    """Return a tensor of any shape as an array of the type on disk."""
    small = _small(tensor.detach().cpu(), precision)
    if precision == "bfloat16":
        return small.view(torch.int16).numpy().view(np.uint16)
    return small.numpy()


def from_bits(bits: npt.ArrayLike, precision: str) -> Tensor:
    """Return what `to_bits` made as a float32 tensor."""
    array = np.ascontiguousarray(bits)
    if precision == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).float()
    return torch.from_numpy(array).float()


def rounded(tensor: Tensor, precision: str) -> Tensor:
    """Return a tensor with the values that are read back."""
    return _small(tensor, precision).float()


def _small(tensor: Tensor, precision: str) -> Tensor:
    if precision == "float16":
        return tensor.clamp(-MOST_FLOAT16, MOST_FLOAT16).half()
    return tensor.to(torch.bfloat16 if precision == "bfloat16" else torch.float32)

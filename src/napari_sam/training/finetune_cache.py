"""An image encoder that encodes each picture once: what makes training the decoder alone cheap."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xxhash
from torch import Tensor, nn

__all__ = ["EncodeOnce"]

Arrays = tuple[npt.NDArray[np.float16], ...]


class EncodeOnce(nn.Module):
    """Stand in for a frozen image encoder and remember, as float16, what it made of every picture.

    Parameters
    ----------
    encoder
        Whose weights do not change while this one is used.
    memory
        Bytes to be kept in memory; what comes later goes to a temporary folder.
    """

    def __init__(self, encoder: nn.Module, *, memory: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.memory = memory
        self.nbytes = 0
        self._kept: dict[str, Arrays] = {}
        self._files: dict[str, Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __len__(self) -> int:
        return len(self._kept) + len(self._files)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, tuple[Tensor, ...]]:
        """Return the embedding of normalised (B, 3, S, S) images as the encoder does, without gradients."""
        keys = [xxhash.xxh3_128_hexdigest(image.detach().cpu().contiguous().numpy()) for image in x]
        for key, image in zip(keys, x, strict=True):
            if key not in self._kept and key not in self._files:
                self._keep(key, self._encode(image[None]))
        found = [self._read(key) for key in keys]
        tensors = [torch.from_numpy(np.stack(each)).to(x.device, torch.float32) for each in zip(*found, strict=True)]
        return (tensors[0], tuple(tensors[1:])) if len(tensors) > 1 else tensors[0]

    def steps(self) -> list[nn.Module]:
        """List the encoder's parts in the order in which they finish."""
        return self.encoder.steps()  # type: ignore[operator]

    def close(self) -> None:
        """Forget everything and remove the temporary folder."""
        self._kept.clear()
        self._files.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @torch.no_grad()
    def _encode(self, image: Tensor) -> Arrays:
        out: Any = self.encoder(image)
        features, skips = out if isinstance(out, tuple) else (out, ())
        return tuple(t[0].half().cpu().numpy() for t in (features, *skips))

    def _keep(self, key: str, arrays: Arrays) -> None:
        size = sum(array.nbytes for array in arrays)
        if self.nbytes + size <= self.memory:
            self._kept[key] = arrays
            self.nbytes += size
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="napari-sam-")
        file = Path(self._folder.name) / f"{key}.npz"
        np.savez(file, *arrays)
        self._files[key] = file

    def _read(self, key: str) -> Arrays:
        if key in self._kept:
            return self._kept[key]
        with np.load(self._files[key], allow_pickle=False) as stored:
            return tuple(stored[name] for name in sorted(stored.files))  # arr_0, arr_1, arr_2

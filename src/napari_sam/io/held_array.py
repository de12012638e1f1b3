"""Arrays of files that are no Zarr, with as much of the surface of `zarr.Array` as reading planes needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["HeldArray"]

Key = tuple[int | slice, ...]


class HeldArray:
    """Show the pixels of a file, which are read when a piece is asked for.

    Parameters
    ----------
    shape, dtype
        Of the array.
    read
        Returns the piece that one integer or slice for each axis names.
    chunks
        What is read at once, for who chooses pieces; the whole array by default.
    files
        Names of the files that hold the pixels inside of a folder; () if the location is the file.
    """

    shards = None
    fill_value = 0

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        read: Callable[[Key], Any],
        *,
        chunks: tuple[int, ...] | None = None,
        files: tuple[str, ...] = (),
    ) -> None:
        self.shape = tuple(int(side) for side in shape)
        self.dtype = np.dtype(dtype)
        self.chunks = self.shape if chunks is None else chunks
        self.files = files
        self._read = read

    @classmethod
    def of_whole(cls, shape: tuple[int, ...], dtype: npt.DTypeLike, decode: Callable[[], Any]) -> HeldArray:
        """Return an array of which nothing can be read without decoding all: that is done once."""
        decoded = _Decoded(decode)
        return cls(shape, dtype, lambda key: decoded.pixels[key])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def oindex(self) -> HeldArray:
        """Itself: lists of numbers pick along their own axis."""
        return self

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        parts = list(key) if isinstance(key, tuple) else [key]
        at = next((number for number, part in enumerate(parts) if part is Ellipsis), None)
        if at is not None:
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        plain = tuple(slice(None) if isinstance(part, np.ndarray) else part for part in parts)
        values = np.asarray(self._read(plain))
        kept = [part for part in parts if not isinstance(part, int | np.integer)]
        for axis, part in enumerate(kept):
            if isinstance(part, np.ndarray):
                values = np.take(values, part, axis=axis)
        return values


class _Decoded:
    def __init__(self, decode: Callable[[], Any]) -> None:
        self._decode = decode

    @cached_property
    def pixels(self) -> npt.NDArray[Any]:
        return np.asarray(self._decode())

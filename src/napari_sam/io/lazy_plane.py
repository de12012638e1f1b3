"""One plane of a stored image that behaves like an array and reads only the pieces asked for."""

from __future__ import annotations

import lzma
import operator
import struct
import zipfile
import zlib
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.zarr_location import transport_errors

__all__ = ["LazyPlane"]

Piece = int | slice
# what codecs raise on a damaged chunk, each its own
DAMAGE: tuple[type[Exception], ...] = (
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class LazyPlane:
    """Hold one plane, (H, W) or with a channel axis (H, W, C); an index of integers and slices reads that piece.

    Parameters
    ----------
    array
        `zarr.Array`.
    axes
        Names of the array's axes.
    index
        By axis other than y, x, c.
    name
        For messages.
    channels
        Numbers of the channels that are kept, in this order; all by default.
    """

    array: Any
    axes: tuple[str, ...]
    index: dict[str, int]
    name: str
    channels: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""
        return tuple(self._side(axis) for axis in self._shown)

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self._shown)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, in the machine's byte order."""
        return np.dtype(self.array.dtype).newbyteorder("=")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Piece | EllipsisType | tuple[Piece | EllipsisType, ...]) -> npt.NDArray[Any]:
        pieces = dict(zip(self._shown, self._pieces(key), strict=True))
        values = self._read(pieces)
        kept = [axis for axis in self.axes if isinstance(pieces.get(axis), slice | np.ndarray)]
        order = [axis for axis in self._shown if axis in kept]
        return values.transpose([kept.index(axis) for axis in order])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("A plane that is read from disk cannot be an array without a copy.")
        return self[...].astype(self.dtype if dtype is None else dtype, copy=False)

    @property
    def _shown(self) -> str:
        return "yxc" if "c" in self.axes else "yx"

    def _side(self, axis: str) -> int:
        if axis == "c" and self.channels is not None:
            return len(self.channels)
        return int(self.array.shape[self.axes.index(axis)])

    def _pieces(self, key: Any) -> list[Any]:
        """Return an integer, a slice with bounds and a positive step, or numbers of channels for every axis shown."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        if len(parts) != self.ndim:
            raise IndexError(f"A plane of {self.ndim} axes takes no {len(parts)} indices.")
        return [self._piece(part, axis) for part, axis in zip(parts, self._shown, strict=True)]

    def _piece(self, part: Any, axis: str) -> int | slice | npt.NDArray[np.intp]:
        side = self._side(axis)
        picked = range(side)[part if isinstance(part, slice) else operator.index(part)]  # checks bounds
        if isinstance(picked, int):
            return picked if axis != "c" or self.channels is None else self.channels[picked]
        if picked.step < 0:
            raise IndexError("A plane is read forwards: turn the array afterwards.")
        if axis == "c" and self.channels is not None:
            return np.array([self.channels[number] for number in picked], np.intp)
        return slice(picked.start, max(picked.start, picked.stop), picked.step)

    def _read(self, pieces: dict[str, Any]) -> npt.NDArray[Any]:
        at = tuple(pieces[axis] if axis in pieces else self.index[axis] for axis in self.axes)
        reader = self.array.oindex if any(isinstance(part, np.ndarray) for part in at) else self.array
        failures: tuple[type[Exception], ...] = (*DAMAGE, *transport_errors())
        try:
            values = np.asarray(reader[at])
        except failures as error:
            rows, cols = (f"{p.start}-{p.stop}" if isinstance(p, slice) else p for p in (pieces["y"], pieces["x"]))
            where = "".join(f"{axis}={number}, " for axis, number in self.index.items())
            remedy = "restore the file" if _is_damage(error) else "check the disk or the network"
            reason = (str(error) or type(error).__name__).split("\n")[0].rstrip(".")
            raise InputError(
                f"Cannot read {where}rows {rows}, columns {cols} of {self.name} ({reason}): {remedy}."
            ) from error
        return values.astype(self.dtype, copy=False)


def _is_damage(error: Exception) -> bool:
    """Return whether bytes came but were wrong: some codecs raise an OSError without a number for that."""
    unreached = isinstance(error, ConnectionError | TimeoutError | PermissionError)
    return isinstance(error, DAMAGE) or (isinstance(error, OSError) and error.errno is None and not unreached)

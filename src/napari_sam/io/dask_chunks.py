"""Dask arrays of very many chunks, read a few chunks at a time."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DaskChunks", "is_dask"]


def is_dask(array: Any) -> bool:
    """Tell whether an array is a Dask array, without importing Dask."""
    return type(array).__module__.startswith("dask.")


class DaskChunks:
    """Read parts of a Dask array chunk by chunk.

    Slicing a Dask array makes a task for each of all its chunks first: 0.1 s for a plane of 100,000 x 100,000 pixels,
    however small the part. This looks up the tasks of the chunks that a part lies in and runs only those.

    Parameters
    ----------
    array
        The Dask array; its chunks have known sizes.
    """

    def __init__(self, array: Any) -> None:
        self.shape: tuple[int, ...] = tuple(int(side) for side in array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self._name: str = array.name
        self._starts = [np.r_[0, np.cumsum(sides)] for sides in array.chunks]
        self._lazy_graph = array.dask
        self._graph: dict[Hashable, Any] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Return a part, given by an integer or a slice for each axis."""
        ranges = [
            range(*part.indices(side)) if isinstance(part, slice) else range(part, part + 1)
            for part, side in zip(index, self.shape, strict=True)
        ]
        out = np.empty([len(each) for each in ranges], self.dtype)
        touched = [self._touched(axis, each) for axis, each in enumerate(ranges)]
        places = list(product(*touched))
        for place, chunk in zip(places, self._compute(places), strict=True):
            bounds = ((int(starts[i]), int(starts[i + 1])) for starts, i in zip(self._starts, place, strict=True))
            parts = [_overlap(each, *bound) for each, bound in zip(ranges, bounds, strict=True)]
            out[tuple(into for _, into in parts)] = chunk[tuple(inside for inside, _ in parts)]
        return out[tuple(slice(None) if isinstance(part, slice) else 0 for part in index)]

    def _touched(self, axis: int, wanted: range) -> list[int]:
        starts = self._starts[axis]
        first = np.searchsorted(starts, wanted.start, side="right") - 1 if len(wanted) else 0
        last = np.searchsorted(starts, wanted[-1], side="right") if len(wanted) else 0
        return [int(i) for i in range(first, last) if len(_inside(wanted, int(starts[i]), int(starts[i + 1])))]

    def _compute(self, places: list[tuple[int, ...]]) -> list[npt.NDArray[Any]]:
        from dask.optimization import cull
        from dask.threaded import get

        if self._graph is None:
            self._graph = dict(self._lazy_graph)
        keys: list[Any] = [(self._name, *place) for place in places]
        tasks, _ = cull(self._graph, keys)
        return [np.asarray(chunk) for chunk in get(tasks, keys)] if keys else []


def _inside(wanted: range, start: int, stop: int) -> range:
    """Return the wanted positions from `start` to before `stop`."""
    step = wanted.step
    first = max(0, -(-(start - wanted.start) // step))
    last = max(first, min(len(wanted), -(-(stop - wanted.start) // step)))
    return wanted[first:last]


def _overlap(wanted: range, start: int, stop: int) -> tuple[slice, slice]:
    """Return where a chunk from `start` to `stop` has what is wanted of it, and where that goes."""
    there = _inside(wanted, start, stop)
    first = (there.start - wanted.start) // wanted.step
    return slice(there.start - start, there.stop - start, there.step), slice(first, first + len(there))

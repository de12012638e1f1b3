"""The highest label of an array of any size, read piece by piece; of Zarr only what was ever written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

__all__ = ["highest_label", "highest_since"]

PIECE = 2**26  # values read at once


def highest_label(array: Any) -> int:
    """Return the highest value of an array of whole numbers, 0 if it has none above.

    Parameters
    ----------
    array
        NumPy, Zarr or Dask array, or anything with `shape` that is read by slices.
    """
    if isinstance(array, np.ndarray):
        return int(array.max(initial=0))
    if _is_zarr(array):
        written = _written_keys(array)
        return max((_highest_in(array, part) for part, key in _files(array) if key in written), default=0)
    side = max(1, PIECE // max(1, int(np.prod(array.shape[1:], dtype=np.int64))))
    starts = range(0, int(array.shape[0]), side)
    return max((_highest_in(array, (slice(start, start + side),)) for start in starts), default=0)


def highest_since(array: Any, seen: int) -> tuple[int, int] | None:
    """Return the highest label of the files of a Zarr array that changed since, and when the last one did.

    Parameters
    ----------
    array
        `zarr.Array`.
    seen
        Time of the last change that is known, in nanoseconds, 0 for none.

    Returns
    -------
    highest, seen
        None if the array does not lie in a folder of this machine, where no times are known.
    """
    from zarr.storage import LocalStore

    if not isinstance(array.store, LocalStore):
        return None
    highest, latest = 0, seen
    for part, key in _files(array):
        try:
            found = os.stat(array.store.root / key)
        except FileNotFoundError:  # background has no file
            continue
        changed = max(found.st_mtime_ns, found.st_ctime_ns)  # the latter betrays a copy that kept the former
        if changed >= seen:
            highest = max(highest, _highest_in(array, part))
            latest = max(latest, changed)
    return highest, latest


def _files(array: Any) -> Iterator[tuple[tuple[slice, ...], str]]:
    """Yield for each file of a Zarr array what part it holds and its name in the store."""
    sides = array.shards or array.chunks
    for place in product(*(range(-(-size // side)) for size, side in zip(array.shape, sides, strict=True))):
        part = tuple(slice(i * side, (i + 1) * side) for i, side in zip(place, sides, strict=True))
        yield part, f"{array.path}/{array.metadata.encode_chunk_key(place)}".lstrip("/")


def _written_keys(array: Any) -> set[str]:
    from zarr.core.sync import collect_aiterator

    return set(collect_aiterator(array.store.list_prefix(array.path)))


def _highest_in(array: Any, part: tuple[slice, ...]) -> int:
    return int(np.asarray(array[part]).max(initial=0))


def _is_zarr(array: Any) -> bool:
    return hasattr(array, "store_path") and hasattr(array, "metadata")

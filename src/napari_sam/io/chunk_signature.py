"""What identifies stored chunks without reading them, so that work done on them can be known to be still valid."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import product
from typing import Any

from napari_sam.io.held_array import HeldArray
from napari_sam.io.zarr_location import file_facts, join

__all__ = ["chunk_signature"]


def chunk_signature(location: str, array: Any, box: Sequence[tuple[int, int]]) -> str:
    """Return a digest of names, sizes and times of the files that hold a part of an array.

    Parameters
    ----------
    location
        Of the image; the array's path is inside it.
    array
        `zarr.Array` or `HeldArray`.
    box
        First and last + 1 along each of the array's axes.

    Raises
    ------
    InputError
        If the files cannot be asked.
    """
    if isinstance(array, HeldArray):  # of a series all files count, of others the one
        return _digest(f"{location} {array.shape} {array.dtype}", location, array.files or ("",))
    sides = array.shards or array.chunks
    cells = product(*(range(start // side, -(-stop // side)) for (start, stop), side in zip(box, sides, strict=True)))
    keys = [join(array.path, array.metadata.encode_chunk_key(cell)).lstrip("/") for cell in cells]
    form = f"{location} {array.shape} {array.dtype} {sides} {array.fill_value}"
    return _digest(form, location, keys)


def _digest(form: str, location: str, keys: Sequence[str]) -> str:
    lines = [f"{key} {facts}" for key, facts in zip(keys, file_facts(location, keys), strict=True)]
    return sha256("\n".join([form, *lines]).encode()).hexdigest()

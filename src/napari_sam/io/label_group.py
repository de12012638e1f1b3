"""The Zarr groups and files that labels lie in: opening, checking, making writes last."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from napari_sam.errors import InputError
from napari_sam.io.ome_metadata import ome_attributes
from napari_sam.io.zarr_location import is_remote, transport_errors

__all__ = [
    "consolidate_again",
    "disk_error",
    "drop_chunks",
    "find_group",
    "holds_pixels",
    "is_finished",
    "make_group",
    "ome_version",
    "open_group",
    "plain_errors",
    "sync_chunks",
]

REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
}


def open_group(location: str, mode: str) -> Any:
    """Open a group past its consolidated metadata, which do not know of what was added since.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If there is an array.
    """
    import zarr

    return zarr.open_group(location, mode=mode, use_consolidated=False)  # type: ignore[arg-type]


def make_group(location: str) -> Any:
    """Open a group to write to, made in Zarr v3 where there is nothing.

    Raises
    ------
    InputError
        If the place holds something else, or is one of those that cannot be written to.
    """
    import zarr

    found = find_group(location)
    return zarr.open_group(location, mode="w-", zarr_format=3) if found is None else found


def find_group(location: str) -> Any:
    """Open a group to write to, None where there is nothing yet and one can be made.

    Raises
    ------
    InputError
        If the place holds something else, or is one of those that cannot be written to.
    """
    if ".zip" in location:
        raise InputError(f"Labels cannot be added to the zip file {location}: give an output folder (-o OUT.zarr).")
    if location.startswith(("http://", "https://")):
        raise InputError(f"{location} cannot be written to over the web: give an output (-o OUT.zarr).")
    try:
        return open_group(location, "r+")
    except FileNotFoundError:
        path = Path(location)
        if not is_remote(location) and (path.is_file() or (path.is_dir() and any(path.iterdir()))):
            raise InputError(f"{location} exists and is no OME-Zarr group: give another output.") from None
        return None
    except (FileExistsError, NotADirectoryError, ValueError) as error:  # a file, or an array
        raise InputError(f"{location} exists and is no OME-Zarr group: give another output.") from error


def ome_version(group: Any) -> str:
    """Return the version of OME-Zarr that goes with a group's Zarr format."""
    return "0.4" if group.metadata.zarr_format == 2 else "0.5"


def consolidate_again(group: Any) -> None:
    """Let consolidated metadata, where the group has them, know of what was added."""
    import zarr

    if zarr.open_group(group.store_path, mode="r").metadata.consolidated_metadata is not None:
        zarr.consolidate_metadata(group.store_path.store, path=group.store_path.path)


def is_finished(group: Any, path: str) -> bool:
    """Return whether there is a label image that was wholly made: its metadata are written last."""
    return path in group and "multiscales" in ome_attributes(group[path])


def holds_pixels(group: Any, path: str) -> bool:
    """Return whether any array inside of a group has pixels; one of background alone has no files of them."""
    import zarr
    from zarr.core.sync import collect_aiterator

    node = group.get(path)
    arrays = [node] if isinstance(node, zarr.Array) else [] if node is None else [each for _, each in node.arrays()]
    metadata = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
    return any(
        not key.endswith(metadata)
        for array in arrays
        for key in collect_aiterator(array.store.list_prefix(f"{array.path}/"))
    )


def drop_chunks(array: Any, slices: Sequence[slice]) -> bool:
    """Remove the stored chunks of a selection if it takes in all of their pixels; return whether it does."""
    from zarr.core.sync import sync

    for part, side, most in zip(slices, array.shards or array.chunks, array.shape, strict=True):
        if part.start % side or (part.stop % side and part.stop < most):
            return False
    for key in _keys(array, slices):
        sync(array.store.delete(key))
    return True


def sync_chunks(array: Any, slices: Sequence[slice]) -> None:
    """Have the system put the files that a selection lies in on the disk; remote stores do so by themselves."""
    from zarr.storage import LocalStore

    store = array.store
    if not isinstance(store, LocalStore):
        return
    files = [store.root / key for key in _keys(array, slices)]
    written = [file for file in files if file.exists()]  # a chunk of background has no file
    folders = sorted({file.parent for file in written}) if os.name == "posix" else []  # where the names stand
    for path in (*written, *folders):
        handle = os.open(path, os.O_RDONLY if path in folders else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _keys(array: Any, slices: Sequence[slice]) -> list[str]:
    """Return the names in the store of the files that a selection lies in."""
    ranges = [
        range(part.start // side, -(-part.stop // side))
        for part, side in zip(slices, array.shards or array.chunks, strict=True)
    ]
    return [f"{array.path}/{array.metadata.encode_chunk_key(place)}".lstrip("/") for place in product(*ranges)]


@contextmanager
def plain_errors(place: str, doing: str) -> Iterator[None]:
    """Turn what a store raises into one sentence: "Cannot DOING PLACE ..."."""
    expected: tuple[type[Exception], ...] = (*transport_errors(), ValueError, RuntimeError)  # the last are of zarrs
    try:
        yield
    except InputError:
        raise
    except expected as error:
        text = getattr(error, "strerror", None) or error
        remedy = REMEDIES.get(disk_error(error) or 0, "see that the place is whole and open to you")
        reason = str(text).split("\n")[0].rstrip(".")
        raise InputError(f"Cannot {doing} {place} ({reason}): {remedy}.") from error


def disk_error(error: BaseException) -> int | None:
    """Return the system's number of what a disk refused, None if it is not the disk; zarrs has it in its text only."""
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)

"""One writer at a time for what all labels of a store share: its list of labels, and the metadata of its groups."""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from napari_sam.io.zarr_location import absolute, is_remote

__all__ = ["store_lock"]

SECONDS = 60.0  # others hold the lock for parts of a second


@contextmanager
def store_lock(location: str | Path) -> Iterator[None]:
    """Wait until no other process changes the metadata of a store, and keep them waiting meanwhile.

    The lock is a hidden file beside the store, or in it where nothing can be written beside it; so it holds for all
    machines that see the same folder. Remote stores have no such files: there it holds for the processes of one user
    on one machine, and jobs of several machines on one store must not begin or end at the same moment.

    Parameters
    ----------
    location
        Of the group; it does not have to exist yet.

    Raises
    ------
    OSError
        If no lock file can be written, or another process holds the lock for a minute.
    """
    with FileLock(_lock_file(absolute(location)), timeout=SECONDS):
        yield


def _lock_file(location: str) -> Path:
    if is_remote(location):
        user = hashlib.sha256(getpass.getuser().encode()).hexdigest()[:8]
        folder = Path(tempfile.gettempdir()) / f"napari-sam-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{hashlib.sha256(location.encode()).hexdigest()[:32]}.lock"
    place = Path(os.path.realpath(location))  # whatever link leads there
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
    beside = os.access(place.parent, os.W_OK)
    return place.with_name(f".{place.name}.lock") if beside else place / ".lock"

"""Files that are written all at once or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from napari_sam.errors import InputError

__all__ = ["check_folder", "write_whole"]


def check_folder(path: Path) -> None:
    """Check that a file can be made at `path`, before any work is done.

    Raises
    ------
    InputError
        If the folder is missing or not writable.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder} to write {path.name} to: make it first.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {folder} cannot be written to: choose another.")


def write_whole(path: Path, data: bytes) -> None:
    """Write beside `path`, then rename: a kill leaves the old file or the new one.

    Raises
    ------
    InputError
        If the disk does not take it.
    """
    part: str | None = None
    try:
        handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        if part is not None and os.path.exists(part):
            os.remove(part)

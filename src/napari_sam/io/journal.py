"""The journal of a session: one JSON object a line, on disk before the next thing happens."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.line_file import LineFile
from napari_sam.paths import local_path

__all__ = ["VERSION", "Journal", "digest_array", "pack_array", "read_journal", "unpack_array"]

VERSION = 2  # version 1 knew no `drawn`
KNOWN = (1, 2)


class Journal:
    """Append events to a file; each is flushed to the disk before `write` returns.

    Parameters
    ----------
    path
        The file; its folder is made.

    Raises
    ------
    InputError
        If the file cannot be opened for writing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = local_path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = LineFile(self.path)
        except OSError as error:
            raise InputError(
                f"Cannot write the journal {self.path} ({error.strerror}): choose another folder."
            ) from error

    def write(self, event: dict[str, Any]) -> None:
        """Append one event.

        Raises
        ------
        InputError
            If the disk does not take it; the file is as it was before, and later events may be written.
        """
        try:
            self._file.append(json.dumps(event, separators=(",", ":")).encode())
        except OSError as error:
            raise InputError(f"Cannot write the journal {self.path} ({error.strerror}): free some space.") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_journal(path: str | Path) -> list[dict[str, Any]]:
    """Return all events; a last line that a crash cut off is left out.

    Raises
    ------
    InputError
        If the file is missing, a line is damaged, or it is no journal of a known version.
    """
    path = local_path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"Cannot read the journal {path} ({error.strerror}): give an existing .jsonl file.") from error
    events = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            event = json.loads(line)
            if not isinstance(event, dict) or "event" not in event:
                raise ValueError("no event in it")
        except ValueError as error:
            if number == len(lines):  # no newline after it: the crash came in between
                break
            raise InputError(
                f"Line {number} of the journal {path} is damaged ({error}): restore or remove it."
            ) from error
        events.append(event)
    if not events or events[0]["event"] != "session" or events[0].get("version") not in KNOWN:
        raise InputError(
            f"{path} is no journal of version {' or '.join(map(str, KNOWN))}: "
            "give a file that the dock SAM Prompts wrote."
        )
    return events


def pack_array(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Pack a bool or number array into plain JSON: shape, type, zlib and base64 of its values."""
    values = np.packbits(array) if array.dtype == bool else np.ascontiguousarray(array)
    data = base64.b64encode(zlib.compress(values.tobytes())).decode("ascii")
    return {"shape": list(array.shape), "dtype": array.dtype.str, "data": data}


def unpack_array(packed: dict[str, Any]) -> npt.NDArray[Any]:
    """Undo `pack_array`.

    Raises
    ------
    InputError
        If the values do not fit shape and type.
    """
    try:
        shape, dtype = tuple(int(side) for side in packed["shape"]), np.dtype(packed["dtype"])
        if dtype.kind not in "buif":
            raise ValueError(f"type {dtype} is not allowed")
        raw = zlib.decompress(base64.b64decode(packed["data"], validate=True))
        if dtype.kind == "b":
            size = int(np.prod(shape))
            return np.unpackbits(np.frombuffer(raw, np.uint8), count=size).astype(bool).reshape(shape)
        return np.frombuffer(raw, dtype).reshape(shape).copy()
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise InputError(f"An array in the journal is damaged ({error}): restore the file.") from error


def digest_array(array: npt.NDArray[Any]) -> str:
    """Return a hash of shape, type and values (BLAKE2b, 32 hex digits)."""
    digest = hashlib.blake2b(f"{array.shape} {array.dtype.str}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

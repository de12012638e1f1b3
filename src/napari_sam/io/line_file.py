"""Files that grow line by line, each line on the disk or not in the file at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["LineFile"]

BLOCK = 1 << 16


class LineFile:
    """Append lines to a file; what a kill left of a last line is cut off first.

    Nothing is kept back in memory, so a line that a full disk refused does not come up again when the file is closed.

    Parameters
    ----------
    path
        The file, made where it is missing; its folder exists.

    Raises
    ------
    OSError
        If the file cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab+", buffering=0)
        try:
            self._size = self._whole()
            self._stream.truncate(self._size)
        except OSError:
            self._stream.close()
            raise

    def append(self, line: bytes) -> None:
        """Append a line, and the sign of its end; it is on the disk when this returns.

        Raises
        ------
        OSError
            If the disk does not take it; then the file is as it was before.
        """
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[self._stream.write(rest) or 0 :]
            os.fsync(self._stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # what stays is cut off when the file is opened again
                self._stream.truncate(self._size)
            raise
        self._size += len(line) + 1

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _whole(self) -> int:
        """Return how many bytes the whole lines are."""
        end = self._stream.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK)
            self._stream.seek(start)
            found = self._stream.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

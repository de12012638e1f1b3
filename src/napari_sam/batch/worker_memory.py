"""How a worker process handles memory that it frees."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names in glibc's malloc.h
MIB = 2**20


def keep_freed_memory() -> bool:
    """Let this process keep some of the memory that it frees, as it will soon be needed again; return whether it does.

    Dask starts workers with MALLOC_TRIM_THRESHOLD_=65536, so that glibc gives everything back to the system at once;
    half of a tile's time then went into getting it anew. These are the values at which glibc arrives by itself.
    """
    if sys.platform != "linux" or "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(MMAP_THRESHOLD, 32 * MIB) and mallopt(TRIM_THRESHOLD, 64 * MIB))

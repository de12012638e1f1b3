"""Choice of the code that packs and unpacks Zarr chunks."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from napari_sam.io.zarr_location import is_remote

__all__ = ["fast_codecs"]


def fast_codecs(location: str, *, equal_files: bool = False) -> AbstractContextManager[Any]:
    """Let arrays of a place that are opened inside be packed and unpacked by zarrs, written in Rust, where it helps.

    It does where it is installed and the place is on this computer (over HTTP it was seen to wait for ever). Formats
    that zarrs does not know fall back to zarr-python by themselves.

    Parameters
    ----------
    location
        As for `open_large_image`.
    equal_files
        Write equal pixels as equal files. Several threads of zarrs put the chunks of a shard into a file in any order.
    """
    if is_remote(location) or importlib.util.find_spec("zarrs") is None:
        return nullcontext()
    import zarr
    import zarrs  # noqa: F401 - registers its pipeline

    threads = {"threading.max_workers": 1} if equal_files else {}
    return zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", **threads})

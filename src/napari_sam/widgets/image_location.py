"""Where the pixels of a layer lie on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_sam.errors import InputError
from napari_sam.io.dask_chunks import is_dask
from napari_sam.io.large_image import LargeImage, open_large_image
from napari_sam.widgets.plane import base_level

if TYPE_CHECKING:
    from napari.layers import Image, Layer

__all__ = ["array_location", "locate_image", "source_location"]


def locate_image(layer: Image) -> LargeImage | None:
    """Return the file or OME-Zarr group of this machine that a layer shows, None if it shows none that is known.

    Its chosen level has the layer's shape, but for channels.
    """
    shape = tuple(base_level(layer).shape[: layer.ndim])
    for place in _places(layer):
        try:
            image = open_large_image(place)
        except InputError:  # something that only another reader understands
            continue
        for level in range(len(image.levels)):
            sized = image.at_level(level)
            if tuple(side for axis, side in sized.sizes.items() if axis != "c") == shape:
                return sized
    return None


def source_location(layer: Layer) -> str:
    """Return the path or URL that a layer was made from, "" if it is not known."""
    known = getattr(layer.source, "path", None)
    return str(known) if known is not None else array_location(base_level(layer))


def array_location(array: Any) -> str:
    """Return the path of the Zarr array behind an array, also behind a Dask array; "" if there is none."""
    for found in _zarr_arrays(array):
        root = getattr(found.store, "root", None) or getattr(found.store, "path", None)
        if root is not None:
            return os.path.join(str(root), found.path) if found.path else str(root)
    return ""


def _places(layer: Layer) -> Iterator[str]:
    known = getattr(layer.source, "path", None)
    array = array_location(base_level(layer))
    for place in (str(known or ""), os.path.dirname(array), array):
        if place and os.path.exists(place):
            yield place


def _zarr_arrays(array: Any) -> Iterator[Any]:
    if is_dask(array):
        for name, tasks in array.dask.layers.items():
            if name.startswith("original-"):  # what `from_zarr` and `from_array` read
                yield from (found for task in tasks.values() for found in _zarr_arrays(getattr(task, "value", task)))
    elif type(array).__module__.startswith("zarr."):
        yield array

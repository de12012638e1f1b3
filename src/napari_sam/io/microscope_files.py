"""CZI, ND2, LIF and other makers' formats, through the readers of bioio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.held_array import HeldArray, Key
from napari_sam.io.image_level import ImageLevel, ImageRecord

__all__ = ["open_microscope_file"]

FORMATS = "pip install 'napari-sam-stack[formats]'"


def open_microscope_file(path: str) -> ImageRecord:
    """Return what the first scene of a file holds, its axes among t, c, z, y, x; colours are channels.

    Raises
    ------
    InputError
        If bioio or its reader of this format is missing, or the file is damaged.
    """
    kind = Path(path).suffix.lower() or "this kind of file"
    try:
        import bioio
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ImportError as error:
        raise InputError(f"Reading {path} needs a reader of {kind}: {FORMATS}.") from error
    try:
        image = bioio.BioImage(path)
        pixels = image.dask_data  # TCZYX, or TCZYXS
        sizes, names = image.physical_pixel_sizes, image.channel_names
        order = str(image.dims.order).lower()
    except UnsupportedFileFormatError as error:
        raise InputError(f"Reading {path} needs a reader of {kind}: {FORMATS}, or one more bioio package.") from error
    except Exception as error:  # each maker's reader has errors of its own
        reason = (str(error) or type(error).__name__).split("\n")[0].rstrip(".")
        raise InputError(f"Cannot read {path} ({reason}): the file is damaged or of an unknown version.") from error
    return _record(pixels, order, sizes, names or ())


def _record(pixels: Any, order: str, sizes: Any, names: Any) -> ImageRecord:
    """Drop axes of one plane; where there are colours they are the channels."""
    if "s" in order:
        order = order.replace("c", "q").replace("s", "c")
        names = ()
    kept = [n for n, axis in enumerate(order) if axis in "yx" or pixels.shape[n] > 1]
    pixels = pixels[tuple(slice(None) if n in kept else 0 for n in range(pixels.ndim))]
    axes = tuple(order[n] for n in kept)

    def read(key: Key) -> Any:
        return np.asarray(pixels[key])

    lengths = {axis: getattr(sizes, axis.upper(), None) for axis in "zyx"}
    known = {axis: (float(size), "micrometer") for axis, size in lengths.items() if size}
    array = HeldArray(pixels.shape, pixels.dtype, read, chunks=tuple(max(side) for side in pixels.chunks))
    return ImageRecord(
        axes=axes,
        levels=(ImageLevel.sized(array, axes, known),),
        channel_names=tuple(map(str, names)) if "c" in axes else (),
    )

"""PNG, JPEG, BMP, WebP and the like: their pixels at the depth that they have, alpha where the file says so."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_sam.io.held_array import HeldArray
from napari_sam.io.image_level import ImageLevel, ImageRecord, Sizes, specimen_sizes

__all__ = ["open_picture_file", "read_picture", "unlimited"]

ALPHA = ("RGBA", "LA", "RGBa", "La")
AS_COLOUR = ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX")
TYPES = {"1": "bool", "I": "int32", "F": "float32", "I;16": "uint16", "I;16L": "uint16", "I;16B": "uint16"}
DEEP = {2: 3, 4: 2, 6: 4}  # channels of a PNG by its colour type, where Pillow would cut 16 bits to 8
INCH = 25400.0  # micrometres

_limit = threading.Lock()  # Pillow's is one for all threads


def open_picture_file(path: str) -> ImageRecord:
    """Return what a picture holds; its pixels are read when they are asked for.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If Pillow cannot read it.
    """
    deep = _deep_png(path)
    with unlimited(path) as picture:
        mode, (width, height) = picture.mode, picture.size
        dots = picture.info.get("dpi")
    if deep:
        channels, dtype, alpha = deep, "uint16", deep % 2 == 0
    else:
        channels = 3 if mode in AS_COLOUR else Image.getmodebands(mode)
        dtype, alpha = TYPES.get(mode, "uint8"), mode in ALPHA
    axes = ("y", "x") if channels == 1 else ("y", "x", "c")
    shape = (height, width, channels)[: len(axes)]
    array = HeldArray.of_whole(shape, dtype, lambda: read_picture(path))
    sizes: Sizes = specimen_sizes(dots[1] / INCH, dots[0] / INCH) if dots else {}
    levels = (ImageLevel.sized(array, axes, sizes),)
    return ImageRecord(axes=axes, levels=levels, alpha=channels - 1 if alpha else None)


def read_picture(path: str | Path) -> npt.NDArray[Any]:
    """Return the pixels of a picture, (H, W) or with colours and alpha (H, W, C), as deep as the file has them.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it is damaged.
    """
    if _deep_png(path):
        import imagecodecs

        return np.asarray(imagecodecs.png_decode(Path(path).read_bytes()))
    with unlimited(path) as picture:
        if picture.mode in AS_COLOUR:
            return np.asarray(picture.convert("RGB"))
        if picture.mode in ("RGBa", "La"):
            return np.asarray(picture.convert("RGBA" if picture.mode == "RGBa" else "LA"))
        return np.asarray(picture)


@contextmanager
def unlimited(path: str | Path) -> Iterator[Image.Image]:
    """Open a picture of any size: Pillow takes those above 179 megapixels, common in microscopy, for an attack."""
    with _limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with picture:
        yield picture


def _deep_png(path: str | Path) -> int:
    """Return the channels of a PNG of 16 bits with colours or alpha, else 0."""
    with open(path, "rb") as stream:
        head = stream.read(26)
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 26:
        return 0
    depth, colour = struct.unpack("BB", head[24:26])
    return DEEP.get(colour, 0) if depth == 16 else 0

"""What a file is, told by its first bytes and not by its name."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Literal

from napari_sam.errors import InputError
from napari_sam.io.zarr_location import absolute, is_remote, zip_of

__all__ = ["READABLE", "Kind", "is_image", "kind_of"]

Kind = Literal["zarr", "tiff", "picture", "npy", "nifti", "dicom", "microscope", ""]

READABLE = "PNG, JPEG, BMP, WebP, TIFF and its relatives, .npy and Zarr"
HEAD = 540  # bytes: the longest header that is looked at, of NIfTI-2
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8", b"\0\0\0\x0cjP  ")
MICROSCOPES = (b"ZISRAWFILE", b"\xda\xce\xbe\x0a", b"\x70\0\0\0")  # CZI, ND2, LIF
# formats whose first bytes say little; bioio has readers for them
BY_NAME = (".czi", ".nd2", ".lif", ".lof", ".xlif", ".dv", ".r3d", ".sldy", ".ims", ".oib", ".oif", ".vsi", ".mrxs")
ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")


def kind_of(location: str | Path) -> Kind:
    """Return what an existing file, folder or URL is; "" where it is nothing that can be read as an image.

    Raises
    ------
    InputError
        If there is no such place, or it cannot be looked at.
    """
    place = absolute(location)
    if is_remote(place) or zip_of(place):
        return "zarr"
    if os.path.isdir(place):
        return _kind_of_folder(place)
    if not os.path.exists(place):
        inside = any((Path(folder) / name).exists() for folder in Path(place).parents for name in ZARR_FILES)
        what = "Zarr" if inside or place.lower().endswith(".zarr") else "file"
        raise InputError(f"There is no {what} {place}: give an existing image.")
    try:
        with open(place, "rb") as stream:
            head = stream.read(HEAD)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(place) as packed:
                head = packed.read(HEAD)
                return "nifti" if _is_nifti(head) else ""
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"Cannot read {place} ({error}): check the file and its permissions.") from error
    return _kind_of_bytes(head, place)


def is_image(path: str | Path) -> bool:
    """Return whether a file or folder holds what can be read as an image, by a glance at its beginning."""
    try:
        return bool(kind_of(path))
    except InputError:
        return False


def _kind_of_bytes(head: bytes, place: str) -> Kind:
    if head.startswith(TIFFS):
        return "tiff"
    if head.startswith(PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "picture"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if _is_nifti(head):
        return "nifti"
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(MICROSCOPES) or place.lower().endswith(BY_NAME):
        return "microscope"
    return ""


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _kind_of_folder(place: str) -> Kind:
    try:
        names = sorted(os.listdir(place))
    except OSError as error:
        raise InputError(f"Cannot look into {place} ({error.strerror}): check its permissions.") from error
    if any(name in names for name in ZARR_FILES) or place.lower().endswith((".zarr", ".ngff")):
        return "zarr"
    files = [os.path.join(place, name) for name in names if not name.startswith(".")]
    first = next((file for file in files if os.path.isfile(file)), "")
    return "dicom" if first and any(_is_dicom(file) for file in files[:20]) else ""


def _is_dicom(file: str) -> bool:
    try:
        with open(file, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:  # a folder, say
        return False

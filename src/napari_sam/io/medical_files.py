"""NIfTI through nibabel and DICOM series through pydicom: values with their slope and intercept, spacing in space."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.held_array import HeldArray, Key
from napari_sam.io.image_level import ImageLevel, ImageRecord

__all__ = ["open_dicom", "open_nifti", "write_nifti"]

MEDICAL = "pip install 'napari-sam-stack[medical]'"
UNITS = {"mm": "millimeter", "micron": "micrometer", "meter": "meter", "sec": "second", "msec": "millisecond"}
NEEDED = ("Rows", "Columns", "BitsAllocated")
DIRECTORY = "1.2.840.10008.1.3.10"  # a table of contents beside the slices


def open_nifti(path: str) -> ImageRecord:
    """Return what a NIfTI file holds: axes (t, z, y, x) of its (x, y, z, t), values with slope and intercept.

    Raises
    ------
    InputError
        If nibabel is missing, or the file is damaged or has more axes.
    """
    nibabel = _package("nibabel", path)
    try:
        image = nibabel.load(path)
        shape = tuple(int(side) for side in image.shape)
        zooms = tuple(float(zoom) for zoom in image.header.get_zooms())
        space, time = image.header.get_xyzt_units()
        slope, intercept = (image.dataobj.slope, image.dataobj.inter)
        stored = np.dtype(image.dataobj.dtype).newbyteorder("=")
        affine = np.asarray(image.affine, float)
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        EOFError,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    ) as error:
        raise InputError(f"Cannot read {path} as NIfTI ({_reason(error)}): the file is damaged.") from error
    while len(shape) > 4 and shape[-1] == 1:
        shape = shape[:-1]
    if not 2 <= len(shape) <= 4 or stored.kind not in "buif":
        raise InputError(f"{path} has shape {shape} and type {stored}: NIfTI of numbers and 2 to 4 axes are read.")
    axes = ("t", "z", "y", "x")[-len(shape) :]
    plain = (slope, intercept) == (1, 0)
    dtype = stored if plain else np.dtype(np.float32)
    extra = (0,) * (len(image.shape) - len(shape))

    def read(key: Key) -> Any:
        values = np.asarray(image.dataobj[(*reversed(key), *extra)]).T
        return values if plain else values.astype(np.float32, copy=False)

    shape = shape[::-1]
    if path.lower().endswith(".gz"):  # unpacked from its beginning for each piece, so all of it is kept
        array = HeldArray.of_whole(shape, dtype, lambda: read((slice(None),) * len(shape)))
    else:
        array = HeldArray(shape, dtype, read, chunks=_planewise(shape))
    length = UNITS.get(space, "millimeter" if space == "unknown" else "")
    units = {"t": UNITS.get(time, ""), **dict.fromkeys("zyx", length)}
    sizes = {axis: (zoom, units[axis]) for axis, zoom in zip(reversed(axes), zooms, strict=False) if zoom > 0}
    known = tuple(tuple(float(value) for value in row) for row in affine) if affine.shape == (4, 4) else ()
    return ImageRecord(axes=axes, levels=(ImageLevel.sized(array, axes, sizes),), affine=known)


def write_nifti(path: str | Path, labels: npt.NDArray[Any], affine: Any) -> None:
    """Write labels (y, x), (z, y, x) or (t, z, y, x) as NIfTI.

    Parameters
    ----------
    path
        A .nii or .nii.gz file.
    labels
        uint16 or uint32.
    affine
        (4, 4) from (x, y, z) pixels to millimetres.

    Raises
    ------
    InputError
        If nibabel is missing.
    """
    nibabel = _package("nibabel", str(path))
    image = nibabel.Nifti1Image(labels.T, np.asarray(affine, float))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(str(path))


def open_dicom(location: str) -> ImageRecord:
    """Return what a DICOM file, or a folder with the slices of a series, holds.

    Slices lie in the order of their positions along the normal of their plane; values have rescale slope and intercept.

    Raises
    ------
    InputError
        If pydicom is missing, a file is damaged, or the files are of several series.
    """
    pydicom = _package("pydicom", location)
    files = _dicom_files(location)
    headers = []
    for file in files:
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True)
        except (OSError, ValueError, EOFError, AttributeError, pydicom.errors.InvalidDicomError) as error:
            if len(files) > 1 and isinstance(error, pydicom.errors.InvalidDicomError):
                continue  # a text beside the slices
            raise InputError(f"Cannot read {file} as DICOM ({_reason(error)}): the file is damaged.") from error
        if all(name in header for name in NEEDED):
            headers.append((file, header))
        elif header.file_meta.get("MediaStorageSOPClassUID") != DIRECTORY:
            raise InputError(f"{file} has no picture: restore it, or take it out of the series.")
    if not headers:
        raise InputError(f"{location} holds DICOM without pixels: give the folder of an image series, or its files.")
    series = {str(header.get("SeriesInstanceUID", "")) for _, header in headers}
    sides = {(int(header.Rows), int(header.Columns)) for _, header in headers}
    if len(series) > 1 or len(sides) > 1:
        found = f"{len(series)} series" if len(series) > 1 else f"slices of {len(sides)} sizes"
        raise InputError(f"{location} holds {found}: put the files of one series into a folder of their own.")
    places = [_place(header) for _, header in headers]
    order = sorted(range(len(headers)), key=lambda number: places[number])
    headers = [headers[number] for number in order]
    return _series(location, headers, [places[number][0] for number in order], pydicom)


def _series(location: str, headers: list[tuple[str, Any]], places: list[float], pydicom: Any) -> ImageRecord:
    first = headers[0][1]
    frames = int(first.get("NumberOfFrames", 1) or 1)
    if frames > 1 and len(headers) > 1:
        raise InputError(f"{location} holds {len(headers)} files of several frames each: give one of the files.")
    colours = int(first.get("SamplesPerPixel", 1))
    rescaled = any(_rescale(header) != (1.0, 0.0) for _, header in headers)
    kind = "i" if int(first.get("PixelRepresentation", 0)) else "u"
    dtype = np.dtype(np.float32 if rescaled else f"{kind}{max(1, int(first.BitsAllocated) // 8)}")
    depth = max(frames, len(headers))
    leading = (depth,) if depth > 1 else ()
    shape = (*leading, int(first.Rows), int(first.Columns), *((colours,) if colours > 1 else ()))
    axes = (*("z" * len(leading)), "y", "x", *("c" if colours > 1 else ""))

    def pixels(number: int) -> Any:
        file, header = headers[number]
        try:
            values = pydicom.dcmread(file).pixel_array
        except (OSError, ValueError, EOFError, AttributeError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{file}: {_reason(error)}") from error
        slope, intercept = _rescale(header)
        return values * np.float32(slope) + np.float32(intercept) if rescaled else values

    if frames > 1 or not leading:
        array = HeldArray.of_whole(shape, dtype, lambda: pixels(0))
    else:
        array = HeldArray(shape, dtype, _by_slice(depth, pixels), chunks=_planewise(shape))
        array.files = tuple(os.path.relpath(file, location) for file, _ in headers)
    rows, cols = (float(step) for step in first.get("PixelSpacing") or first.get("ImagerPixelSpacing") or (0, 0))
    sizes = {"y": (rows, "millimeter"), "x": (cols, "millimeter")} if min(rows, cols) > 0 else {}
    steps = np.diff(places)
    gap = float(np.median(steps)) if len(steps) else 0.0
    gap = gap if gap > 0 else float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 0)
    if gap > 0 and leading:
        sizes["z"] = (gap, "millimeter")
    return ImageRecord(axes=axes, levels=(ImageLevel.sized(array, axes, sizes),))


def _by_slice(depth: int, pixels: Callable[[int], Any]) -> Callable[[Key], Any]:
    def read(key: Key) -> Any:
        numbers = range(depth)[key[0]]
        if isinstance(numbers, int):
            return pixels(numbers)[key[1:]]
        return np.stack([pixels(number)[key[1:]] for number in numbers])

    return read


def _place(header: Any) -> tuple[float, float, str]:
    """Return how far along the normal a slice lies, and its number where that says nothing."""
    at, turned = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    number = float(header.get("InstanceNumber") or 0)
    name = str(header.get("SOPInstanceUID", ""))
    if at is None or turned is None:
        return float(header.get("SliceLocation") or number), number, name
    normal = np.cross(np.asarray(turned[:3], float), np.asarray(turned[3:], float))
    return float(np.dot(normal, np.asarray(at, float))), number, name


def _rescale(header: Any) -> tuple[float, float]:
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return float(1 if slope is None else slope), float(0 if intercept is None else intercept)


def _dicom_files(location: str) -> list[str]:
    if os.path.isfile(location):
        return [location]
    found = (os.path.join(location, name) for name in sorted(os.listdir(location)) if not name.startswith("."))
    return [file for file in found if os.path.isfile(file)]


def _planewise(shape: Sequence[int]) -> tuple[int, ...]:
    return (*(1 for _ in shape[:-2]), *shape[-2:])


def _package(name: str, location: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"Reading {location} needs the package {name}: {MEDICAL}.") from error


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0].rstrip(".")

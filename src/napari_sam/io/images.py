"""Reading pictures; writing labels, all at once or not at all."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.paths import local_path

__all__ = ["check_output", "image_shape", "read_image", "read_labels", "write_labels"]

PICTURES = (".png", ".jpg", ".jpeg")
TIFFS = (".tif", ".tiff")
READABLE = "PNG, JPEG, TIFF, .npy and .zarr"
Read = TypeVar("Read")


def read_image(path: str | Path, plane: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """Read one plane: (H, W), or (H, W, C) for colour.

    Parameters
    ----------
    path
        A PNG, JPEG, TIFF or .npy file, or a Zarr array or OME-Zarr group; after `.zarr` a path inside may follow.
    plane
        Indices of the leading axes of a stack; only that plane of a Zarr or a TIFF is read.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind, or the plane does not fit.
    """
    path = local_path(path)
    if any(part.endswith(".zarr") for part in path.parts):
        return _pick_plane(_open_zarr(path), plane, path)
    if not path.is_file():
        raise InputError(f"There is no file {path}: give an existing image.")
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _pick_plane(_read(path, _read_picture), plane, path)
    if suffix in TIFFS:
        page = _read(path, lambda file: _read_tiff_page(file, plane)) if plane else None
        return _pick_plane(_read(path, _read_tiff), plane, path) if page is None else page
    if suffix == ".npy":
        return _pick_plane(_read(path, _read_npy), plane, path)
    raise InputError(f"Cannot read {path}: {suffix or 'no extension'} is unknown, {READABLE} are read.")


def read_labels(path: str | Path, plane: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """Read a (H, W) label image: see `label_numbers.read_labels`."""
    from napari_sam.io.label_numbers import read_labels as read  # which builds on this module

    return read(path, plane)


def image_shape(path: str | Path) -> tuple[int, ...]:
    """Return the shape of what `read_image` reads, without reading the pixels of a picture, TIFF or .npy file.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind.
    """
    path = local_path(path)
    suffix = path.suffix.lower()
    if path.is_file() and suffix in PICTURES:
        return _read(path, _picture_shape)
    if path.is_file() and suffix in TIFFS:
        return _read(path, _tiff_shape)
    if path.is_file() and suffix == ".npy":
        return tuple(_read(path, lambda file: np.load(file, mmap_mode="r", allow_pickle=False)).shape)
    return read_image(path).shape


def write_labels(path: str | Path, labels: npt.NDArray[Any]) -> None:
    """Write a (H, W) label image in the kind that the extension names: .png, .tif, .npy or .zarr (OME-Zarr 0.5).

    PNG holds 16 bits; TIFF and the others 16 or, where labels need it, 32. A kill leaves the old file or the new one.

    Raises
    ------
    InputError
        If the extension is unknown, the folder is missing, or the labels do not fit.
    """
    path = local_path(path)
    check_output(path)
    top = int(labels.max()) if labels.size else 0
    small = labels.astype(np.uint16 if top < 2**16 else np.uint32)
    suffix = path.suffix.lower()
    if suffix == ".png":
        if top >= 2**16:
            raise InputError(f"{path} cannot hold label {top}: PNG ends at 65535, write a .tif instead.")
        _replace(path, lambda part: Image.fromarray(small).save(part, format="PNG"))
    elif suffix in TIFFS:
        import tifffile

        _replace(path, lambda part: tifffile.imwrite(part, small, compression="zlib"))
    elif suffix == ".npy":
        _replace(path, lambda part: _save_npy(part, small))
    else:
        _write_ome_zarr(path, small)


def check_output(path: Path) -> None:
    """Check that labels can be written to `path`, before any work is done.

    Raises
    ------
    InputError
        If the extension is unknown, the folder is missing or not writable, or a Zarr is in the way.
    """
    if path.suffix.lower() not in (".png", *TIFFS, ".npy", ".zarr"):
        raise InputError(f"Cannot write labels to {path}: use .png, .tif, .npy or .zarr.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder} to write {path.name} to: make it first.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {folder} cannot be written to: choose another.")
    if path.suffix.lower() == ".zarr" and path.exists():
        raise InputError(f"{path} already exists: remove it or write to another name.")


def _read(path: Path, reader: Callable[[Path], Read]) -> Read:
    """Turn the many ways in which a damaged file fails into one sentence."""
    try:
        return reader(path)
    except (OSError, ValueError, EOFError, SyntaxError, KeyError, IndexError, TypeError, struct.error) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(f"Cannot read {path} ({reason}): the file is damaged or not what its name says.") from error


def _read_picture(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as picture:
        if picture.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "PA"):
            return np.asarray(picture.convert("RGB"))
        if picture.mode == "LA":
            return np.asarray(picture.convert("L"))
        return np.asarray(picture)


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    import tifffile

    try:
        return np.asarray(tifffile.imread(path))
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error


def _read_tiff_page(path: Path, plane: tuple[int, ...] | None) -> npt.NDArray[Any] | None:
    """Return one plane if the file keeps each on a page of its own, else None."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            leading = series.shape[: len(plane or ())]
            inside = all(0 <= index < side for index, side in zip(plane or (), leading, strict=True))
            if not inside or series.is_truncated or len(series) != np.prod(leading):
                return None
            page = series[int(np.ravel_multi_index(plane or (), leading))]
            fits = page is not None and page.shape == series.shape[len(leading) :] and len(page.shape) in (2, 3)
            return np.asarray(page.asarray()) if page is not None and fits else None
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error


def _picture_shape(path: Path) -> tuple[int, ...]:
    with Image.open(path) as picture:
        width, height = picture.size
        bands = {"P": 3, "LA": 1, "PA": 3, "CMYK": 3}.get(picture.mode, len(picture.getbands()))
        return (height, width) if bands == 1 else (height, width, bands)


def _tiff_shape(path: Path) -> tuple[int, ...]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return tuple(int(side) for side in file.series[0].shape)
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error


def _read_npy(path: Path) -> npt.NDArray[Any]:
    return np.load(path, allow_pickle=False)


def _open_zarr(path: Path) -> Any:
    """Open an array, or the finest level of an OME-Zarr group."""
    import zarr

    if not path.exists():
        raise InputError(f"There is no Zarr at {path}: give an existing array or OME-Zarr group.")
    try:
        node: Any = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Group):
            attributes: Any = dict(node.attrs)
            scales = attributes.get("ome", attributes).get("multiscales")
            name = scales[0]["datasets"][0]["path"] if scales else next(iter(sorted(node.array_keys())))
            node = node[name]
    except (OSError, ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        raise InputError(
            f"Cannot open {path} as a Zarr array or OME-Zarr image: {error or 'no array in it'}."
        ) from error
    return node


def _pick_plane(array: Any, plane: tuple[int, ...] | None, path: Path) -> npt.NDArray[Any]:
    """Index the leading axes; a last axis of 3 or 4 after two others counts as colour."""
    shape = tuple(int(side) for side in array.shape)
    if len(shape) < 2:
        raise InputError(f"{path} has shape {shape}: an image has at least two axes.")
    colour = len(shape) > 2 and shape[-1] in (3, 4)
    leading = shape[: -3 if colour else -2]
    if plane is None:
        if any(side > 1 for side in leading):
            raise InputError(
                f"{path} has shape {shape}, a stack: pick a plane with {len(leading)} "
                f"{'index' if len(leading) == 1 else 'indices'} (--plane {','.join('0' * len(leading))})."
            )
        plane = (0,) * len(leading)
    if len(plane) != len(leading):
        raise InputError(f"{path} has shape {shape}: a plane of it has {len(leading)} indices, not {len(plane)}.")
    for index, side in zip(plane, leading, strict=True):
        if not -side <= index < side:
            raise InputError(f"{path} has no plane {index}: that axis is numbered 0 to {side - 1}.")
    return np.asarray(array[tuple(plane)] if plane else array[...])


def _replace(path: Path, write: Callable[[str], Any]) -> None:
    """Write beside `path`, then rename: what is there stays whole until the new file is."""
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        write(part)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        if os.path.exists(part):
            os.remove(part)


def _save_npy(part: str, labels: npt.NDArray[Any]) -> None:
    with open(part, "wb") as stream:
        np.save(stream, labels)


def _write_ome_zarr(path: Path, labels: npt.NDArray[Any]) -> None:
    """Write an OME-Zarr 0.5 label image with a pyramid by nearest neighbours."""
    import shutil

    import zarr

    from napari_sam.io.label_metadata import describe_image
    from napari_sam.io.label_pyramid import LevelPlan, coarsen, create_level, plan_levels

    height, width = labels.shape
    plans = plan_levels([LevelPlan((height, width), (1.0, 1.0), (0.0, 0.0))])
    part = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
    try:
        group = zarr.open_group(str(part), mode="w", zarr_format=3)
        level = labels
        for number, plan in enumerate(plans):
            level = coarsen(level, plan.shape, "yx", {}, (0, 0, plan.shape[0], plan.shape[1]))  # the first as it is
            create_level(group, str(number), plan.shape, str(labels.dtype), "yx", (512, 512))[...] = level
        describe_image(group, path.stem, "yx", ("", ""), plans)
        os.chmod(part, 0o755)  # noqa: S103 - mkdtemp made it private; others may read results
        os.rename(part, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)

"""Reading images of every kind; writing labels, all at once or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.io.label_place import Place, nifti_affine, png_options, tiff_options
from napari_sam.io.large_image import LargeImage, open_large_image
from napari_sam.paths import local_path

__all__ = [
    "check_output",
    "image_shape",
    "plane_index",
    "read_image",
    "read_labels",
    "read_plane",
    "stack_sides",
    "write_labels",
]

TIFFS = (".tif", ".tiff")
NIFTIS = (".nii", ".nii.gz")
WRITABLE = ".png, .tif, .npy, .zarr, or .nii"


def read_image(path: str | Path, plane: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """Read one plane: (H, W), or (H, W, C) where the image has several channels.

    All kinds that `open_large_image` opens are read: channel axes are told by their names, or as the last of an array
    without names; alpha is left out where the file says that a channel is alpha.

    Parameters
    ----------
    path
        An image file of any kind, a Zarr array or OME-Zarr group (also in a zip file), or a folder of a DICOM series.
    plane
        Indices of the stacked axes, as stored; only that plane is read. Negative ones count from the end.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind, or the plane does not fit.
    """
    image = open_large_image(path)
    return read_plane(image, plane, path)


def read_plane(image: LargeImage, plane: tuple[int, ...] | None, name: object = None) -> npt.NDArray[Any]:
    """Read one plane of an open image, (H, W) or with several channels (H, W, C).

    Raises
    ------
    InputError
        If it cannot be read, or the plane does not fit; `name` says in messages whose it is.
    """
    index, channel = plane_index(image, plane, name)
    values = image.plane(index, channel)[...]
    return values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values


def plane_index(
    image: LargeImage, plane: tuple[int, ...] | None, name: object = None
) -> tuple[dict[str, int], tuple[int, ...] | None]:
    """Return the index by axis of the plane that numbers name, and the channel where they name one, too.

    There is a number for each stacked axis; where channels lie before y and x, one for those may be among them.

    Parameters
    ----------
    image
        Any.
    plane
        None for the only plane of an image.
    name
        Of the image for messages, its location by default.

    Raises
    ------
    InputError
        If the image has several planes and none is given, or there is no such plane.
    """
    name = name or image.location
    count = len(image.stacked)
    shape = tuple(int(side) for side in image.array.shape)
    if plane is None:
        if any(image.sizes[axis] > 1 for axis in image.stacked):
            raise InputError(
                f"{name} has shape {shape}, a stack: pick a plane with {count} "
                f"{'index' if count == 1 else 'indices'} (--plane {','.join('0' * count)})."
            )
        plane = (0,) * count
    axes = image.stacked
    if len(plane) == count + 1 and "c" in image.axes[: image.axes.index("y")]:
        axes = tuple(axis for axis in image.axes if axis not in "yx")
    if len(plane) != len(axes):
        raise InputError(
            f"{name} has shape {shape} and the axes {', '.join(image.axes)}: a plane of it has {count} indices, not "
            f"{len(plane)}."
        )
    found: dict[str, int] = {}
    for axis, index in zip(axes, plane, strict=True):
        side = image.sizes[axis]
        if not -side <= index < side:
            raise InputError(f"{name} has no plane {index}: that axis is numbered 0 to {side - 1}.")
        found[axis] = index % side
    channel = found.pop("c", None)
    return found, None if channel is None else (channel,)


def read_labels(path: str | Path, plane: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """Read a (H, W) label image: see `label_numbers.read_labels`."""
    from napari_sam.io.label_numbers import read_labels as read  # which builds on this module

    return read(path, plane)


def image_shape(path: str | Path) -> tuple[int, ...]:
    """Return the shape (..., H, W), or (..., H, W, C) with several channels, of all planes; no pixels are read.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind.
    """
    image = open_large_image(path)
    first = image.plane(dict.fromkeys(image.stacked, 0)).shape
    return (*(image.sizes[axis] for axis in image.stacked), *(first[:2] if first[2:] == (1,) else first))


def stack_sides(path: str | Path) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Return the sides of the stacked axes, () for one plane, and (H, W) of an image; no pixels are read.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind.
    """
    image = open_large_image(path)
    return tuple(image.sizes[axis] for axis in image.stacked), image.shape


def write_labels(path: str | Path, labels: npt.NDArray[Any], place: Place | None = None) -> None:
    """Write (..., H, W) labels in the kind that the extension names: .png, .tif, .npy, .zarr (OME-Zarr 0.5) or .nii.

    PNG holds 16 bits and one plane; TIFF and the others 16 or, where labels need it, 32. A kill leaves the old file or
    the new one.

    Parameters
    ----------
    path
        Of the file.
    labels
        0 is background.
    place
        Size and place of the image's pixels (`LargeImage.place`), which are kept as far as the format can say them.

    Raises
    ------
    InputError
        If the extension is unknown, the folder is missing, or the labels do not fit.
    """
    path = local_path(path)
    check_output(path, stack=labels.ndim > 2)
    place = place.last(labels.ndim) if place is not None else None
    top = int(labels.max()) if labels.size else 0
    small = labels.astype(np.uint16 if top < 2**16 else np.uint32)
    suffix = output_suffix(path)
    if suffix == ".png":
        if top >= 2**16:
            raise InputError(f"{path} cannot hold label {top}: PNG ends at 65535, write a .tif instead.")
        _replace(path, lambda part: Image.fromarray(small).save(part, format="PNG", **png_options(place)))
    elif suffix in TIFFS:
        import tifffile

        how = tiff_options(small, place)
        _replace(path, lambda part: tifffile.imwrite(part, small, compression="zlib", **how))
    elif suffix == ".npy":
        _replace(path, lambda part: _save_npy(part, small))
    elif suffix in NIFTIS:
        from napari_sam.io.medical_files import write_nifti

        _replace(path, lambda part: write_nifti(part, small, nifti_affine(place)), suffix)
    else:
        _write_ome_zarr(path, small, place)


def output_suffix(path: Path) -> str:
    """Return the extension that says how labels are written, ".nii.gz" as one."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def check_output(path: Path, *, stack: bool = False) -> None:
    """Check that labels can be written to `path`, before any work is done.

    Parameters
    ----------
    path
        Where to.
    stack
        Whether the labels have more than one plane.

    Raises
    ------
    InputError
        If the extension is unknown, the folder is missing or not writable, or a Zarr is in the way.
    """
    suffix = output_suffix(path)
    if suffix not in (".png", *TIFFS, ".npy", ".zarr", *NIFTIS):
        raise InputError(f"Cannot write labels to {path}: use {WRITABLE}.")
    if stack and suffix == ".png":
        raise InputError(f"Cannot write the labels of a stack to {path}: use .tif or .npy, .zarr, or .nii.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder} to write {path.name} to: make it first.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {folder} cannot be written to: choose another.")
    if suffix == ".zarr" and path.exists():
        raise InputError(f"{path} already exists: remove it or write to another name.")


def _replace(path: Path, write: Callable[[str], Any], suffix: str = "") -> None:
    """Write beside `path`, then rename: what is there stays whole until the new file is."""
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=f".part{suffix}")
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


def _write_ome_zarr(path: Path, labels: npt.NDArray[Any], place: Place | None) -> None:
    """Write an OME-Zarr 0.5 label image with a pyramid by nearest neighbours."""
    import zarr

    from napari_sam.io.label_metadata import describe_image
    from napari_sam.io.label_pyramid import LevelPlan, coarsen, create_level, plan_levels

    known = place or Place.unknown(labels.ndim)
    order = sorted(range(labels.ndim), key=lambda axis: "tzyx".index(known.axes[axis]))  # as OME-Zarr demands
    labels, place = labels.transpose(order), known.ordered(order)
    plans = plan_levels([LevelPlan(labels.shape, place.scale, place.translation)])
    part = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
    try:
        group = zarr.open_group(str(part), mode="w", zarr_format=3)
        level: Any = labels
        for number, plan in enumerate(plans):
            array = create_level(group, str(number), plan.shape, str(labels.dtype), place.axes, (512, 512))
            whole = (0, 0, plan.shape[-2], plan.shape[-1])
            for index in np.ndindex(plan.shape[:-2]):  # the first level as it is
                plane = dict(zip(place.axes, index, strict=False))
                array[index] = coarsen(level, plan.shape, place.axes, plane, whole)
            level = array
        describe_image(group, path.stem, place.axes, place.units, plans)
        os.chmod(part, 0o755)  # noqa: S103 - mkdtemp made it private; others may read results
        os.rename(part, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)

"""Stacks of images plane by plane, and the label stacks that belong to them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import check_folder, write_whole
from napari_sam.io.images import TIFFS, _open_zarr, _pick_plane, _read, _read_npy, _read_tiff, read_image
from napari_sam.paths import local_path

__all__ = ["ImageStack", "check_stack_output", "open_stack", "write_label_stack"]


@dataclass(frozen=True)
class ImageStack:
    """Hold an image with any number of leading axes; of a Zarr nothing is read before a plane is asked for.

    Parameters
    ----------
    array
        (..., H, W) or (..., H, W, C); a last axis of 3 or 4 after two others counts as colour.
    path
        For messages.
    """

    array: Any
    path: Path

    @property
    def leading(self) -> tuple[int, ...]:
        """Sides of the axes before the image's; () for a single plane."""
        shape = tuple(int(side) for side in self.array.shape)
        colour = len(shape) > 2 and shape[-1] in (3, 4)
        return shape[: -3 if colour else -2]

    @property
    def planes(self) -> list[tuple[int, ...]]:
        """Indices of all planes, the last axis fastest."""
        return list(np.ndindex(self.leading))

    def read(self, plane: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return one plane, (H, W) or (H, W, C).

        Raises
        ------
        InputError
            If it cannot be read.
        """
        try:
            return _pick_plane(self.array, plane, self.path)
        except InputError:
            raise
        except (OSError, ValueError, KeyError, RuntimeError) as error:  # a damaged chunk of a Zarr
            where = ",".join(map(str, plane))
            raise InputError(f"Cannot read plane {where} of {self.path} ({error}): restore the file.") from error


def open_stack(path: str | Path) -> ImageStack:
    """Open any image that `read_image` reads.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind.
    """
    path = local_path(path)
    suffix = path.suffix.lower()
    array: Any
    if any(part.endswith(".zarr") for part in path.parts):
        array = _open_zarr(path)
    elif path.is_file() and suffix in (*TIFFS, ".npy"):
        array = _read(path, _read_npy if suffix == ".npy" else _read_tiff)
    else:  # pictures have one plane, and it says what is wrong with all others
        array = read_image(path)
    if len(array.shape) < 2:
        raise InputError(f"{path} has shape {tuple(array.shape)}: an image has at least two axes.")
    return ImageStack(array, path)


def check_stack_output(path: Path) -> None:
    """Check that the labels of a stack can be written to `path`, before any work is done.

    Raises
    ------
    InputError
        If the extension is not one for stacks, or the folder is missing or not writable.
    """
    if path.suffix.lower() not in (*TIFFS, ".npy"):
        raise InputError(f"Cannot write the labels of a stack to {path}: use .tif or .npy.")
    check_folder(path)


def write_label_stack(path: str | Path, labels: npt.NDArray[Any]) -> None:
    """Write (..., H, W) labels to .tif or .npy, in 16 or where labels need it 32 bits; wholly or not at all.

    Raises
    ------
    InputError
        If the extension is not one of these, or the disk does not take it.
    """
    path = local_path(path)
    check_stack_output(path)
    small = labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)
    stream = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(stream, small)
    else:
        import tifffile

        # said outright, for three planes would pass for colour
        tifffile.imwrite(stream, small, photometric="minisblack", compression="zlib", metadata=_axes(labels.ndim))
    write_whole(path, stream.getvalue())


def _axes(ndim: int) -> dict[str, str]:
    return {"axes": "Q" * (ndim - 2) + "YX"}  # Q: some axis

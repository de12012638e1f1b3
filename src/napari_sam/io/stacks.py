"""Stacks of images plane by plane, and the label stacks that belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.images import check_output, plane_index, read_plane, write_labels
from napari_sam.io.label_place import Place
from napari_sam.io.large_image import LargeImage, open_large_image
from napari_sam.io.lazy_plane import LazyPlane
from napari_sam.paths import local_path

__all__ = ["ImageStack", "check_stack_output", "open_stack", "write_label_stack"]


@dataclass(frozen=True)
class ImageStack:
    """Hold an image with any number of stacked axes; nothing is read before a plane is asked for.

    Parameters
    ----------
    image
        As `open_large_image` opens it.
    path
        For messages.
    chosen
        The planes that are meant; None for all.
    """

    image: LargeImage
    path: Path
    chosen: tuple[tuple[int, ...], ...] | None = None

    @property
    def array(self) -> Any:
        """The array as stored."""
        return self.image.array

    @property
    def place(self) -> Place:
        """Size and place of the pixels."""
        return self.image.place

    @property
    def leading(self) -> tuple[int, ...]:
        """Sides of the stacked axes; () for a single plane."""
        return tuple(self.image.sizes[axis] for axis in self.image.stacked)

    @property
    def planes(self) -> list[tuple[int, ...]]:
        """Indices of the chosen planes, the last axis fastest."""
        return list(np.ndindex(self.leading)) if self.chosen is None else list(self.chosen)

    def lazy_planes(self) -> list[LazyPlane]:
        """Return all planes, whichever are chosen, of which nothing is read yet."""
        channel = plane_index(self.image, self.chosen[0], self.path)[1] if self.chosen else None
        return [self.image.plane(index, channel) for index in self.image.planes()]

    def read(self, plane: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return one plane, (H, W) or (H, W, C).

        Raises
        ------
        InputError
            If it cannot be read.
        """
        try:
            return read_plane(self.image, plane, self.path)
        except InputError as error:
            if not plane or error.__cause__ is None:
                raise
            where = ",".join(map(str, plane))
            reason = str(error.__cause__).split("\n")[0].rstrip(".")
            raise InputError(f"Cannot read plane {where} of {self.path} ({reason}): restore the file.") from error


def open_stack(path: str | Path, plane: tuple[int, ...] | None = None, *, one: bool = False) -> ImageStack:
    """Open any image that `read_image` reads.

    Parameters
    ----------
    path
        Of the image.
    plane
        The only one that is meant, None for all.
    one
        Whether it must be one: None then stands for the only plane of the image.

    Raises
    ------
    InputError
        If the file is missing, unreadable or of an unknown kind, or there is no such plane.
    """
    image = open_large_image(path)
    if plane is not None or one:
        index, channel = plane_index(image, plane, path)
        return ImageStack(image, Path(path), (plane if channel and plane else tuple(index.values()),))
    return ImageStack(image, Path(path))


def check_stack_output(path: Path) -> None:
    """Check that the labels of a stack can be written to `path`, before any work is done.

    Raises
    ------
    InputError
        If the extension is not one for stacks, or the folder is missing or not writable.
    """
    check_output(path, stack=True)


def write_label_stack(path: str | Path, labels: npt.NDArray[Any], place: Place | None = None) -> None:
    """Write (..., H, W) labels as `write_labels` does, to a kind that holds stacks.

    Raises
    ------
    InputError
        If the extension is not one of these, or the disk does not take it.
    """
    check_output(local_path(path), stack=True)
    write_labels(path, labels, place)

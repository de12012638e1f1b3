"""Images of every kind and size behind one interface, read piece by piece: the one way in for all commands."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.chunk_signature import chunk_signature
from napari_sam.io.file_kind import READABLE, kind_of
from napari_sam.io.held_array import HeldArray
from napari_sam.io.image_level import ImageLevel, ImageRecord, axis_name, check_axes, guess_axes, nearest_level
from napari_sam.io.label_place import Place
from napari_sam.io.lazy_plane import LazyPlane
from napari_sam.io.ome_metadata import is_plate, ome_attributes, read_ome_image, well_paths
from napari_sam.io.output_place import inside
from napari_sam.io.zarr_location import absolute, join, open_node, refused, transport_errors

__all__ = ["ImageLevel", "LargeImage", "LazyPlane", "list_wells", "open_large_image"]

Region = tuple[int, int, int, int]


@dataclass(frozen=True)
class LargeImage:
    """Hold what is known of an image and hand out its planes, of which nothing is read before it is asked for.

    It may be pickled: another process opens the same place anew.

    Parameters
    ----------
    location
        Absolute path or URL.
    version
        Of OME-Zarr, "0.4" or "0.5"; "" for all others.
    axes
        Names of the axes as stored, among t, c, z, y, x.
    levels
        Of the pyramid, the finest first.
    level
        The chosen one.
    channel_names
        One a channel, its number where it has no name; () without a channel axis.
    alpha
        Number of the channel that the file says is alpha, which is left out unless it is asked for.
    affine
        Of NIfTI, see `ImageRecord`.
    """

    location: str
    version: str
    axes: tuple[str, ...]
    levels: tuple[ImageLevel, ...]
    level: int
    channel_names: tuple[str, ...]
    alpha: int | None = None
    affine: tuple[tuple[float, ...], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.location, self.level, self.axes if not self.version else None)

    @property
    def array(self) -> Any:
        """The chosen level's array, axes as stored."""
        return self.levels[self.level].array

    @property
    def sizes(self) -> dict[str, int]:
        """Sides of the chosen level by axis."""
        return dict(zip(self.axes, (int(side) for side in self.array.shape), strict=True))

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the chosen level's planes."""
        return self.sizes["y"], self.sizes["x"]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, in the machine's byte order."""
        return np.dtype(self.array.dtype).newbyteorder("=")

    @property
    def stacked(self) -> tuple[str, ...]:
        """Axes besides c, y and x, as stored."""
        return tuple(axis for axis in self.axes if axis not in "cyx")

    @property
    def place(self) -> Place:
        """Where the pixels of the chosen level lie, by the axes of its labels: stacked ones as stored, y, x."""
        level = self.levels[self.level]
        stored = Place(self.axes, level.scale, level.translation, level.units, self.affine)
        return stored.ordered([self.axes.index(axis) for axis in (*self.stacked, "y", "x")])

    def at_level(self, level: int) -> LargeImage:
        """Return the same image with another level chosen.

        Raises
        ------
        InputError
            If there is no such level.
        """
        if not 0 <= level < len(self.levels):
            raise InputError(
                f"{self.location} has no level {level}: its levels are numbered 0 to {len(self.levels) - 1}."
            )
        return replace(self, level=level)

    def planes(self) -> list[dict[str, int]]:
        """Return the index of every plane by axis, the last axis fastest; [{}] for a single plane."""
        sizes = self.sizes
        ranges = (range(sizes[axis]) for axis in self.stacked)
        return [dict(zip(self.stacked, index, strict=True)) for index in product(*ranges)]

    def plane(self, index: Mapping[str, int] | None = None, channels: Sequence[int] | None = None) -> LazyPlane:
        """Return one plane, of which nothing is read yet.

        Parameters
        ----------
        index
            By stacked axis; an axis of one plane may be left out.
        channels
            Numbers of the channels to keep, in this order; all but alpha by default.

        Raises
        ------
        InputError
            If there is no such plane.
        """
        if channels is None and self.alpha is not None:
            channels = [number for number in range(self.sizes["c"]) if number != self.alpha]
        return LazyPlane(
            self.array,
            self.axes,
            self._index(index or {}),
            self.location if len(self.levels) == 1 else f"level {self.level} of {self.location}",
            tuple(channels) if channels is not None and "c" in self.axes else None,
        )

    def channels(self, wanted: Sequence[str | int]) -> tuple[int, ...]:
        """Return the numbers of channels given by number or by name.

        Raises
        ------
        InputError
            If there is no such channel, or a name belongs to several.
        """
        return tuple(self._channel(one) for one in wanted)

    def signature(self, region: Region, plane: Mapping[str, int] | None = None) -> str:
        """Return what identifies the stored chunks that a region of a plane lies in, without reading them.

        Another signature means that a chunk was written anew: of local files path, size and time of change count, of
        remote ones ETag, size and time.

        Parameters
        ----------
        region
            (row0, col0, row1, col1), ends exclusive, at the chosen level.
        plane
            As in `plane`.
        """
        row0, col0, row1, col1 = region
        spans = {"y": (row0, row1), "x": (col0, col1), "c": (0, self.sizes.get("c", 1))}
        spans |= {axis: (number, number + 1) for axis, number in self._index(plane or {}).items()}
        return chunk_signature(self.location, self.array, [spans[axis] for axis in self.axes])

    def _index(self, index: Mapping[str, int]) -> dict[str, int]:
        sizes = {axis: self.sizes[axis] for axis in self.stacked}
        full = {axis: index.get(axis, 0 if side == 1 else -1) for axis, side in sizes.items()}
        if set(index) - set(sizes) or any(not 0 <= full[axis] < side for axis, side in sizes.items()):
            ranges = ", ".join(f"{axis} 0 to {side - 1}" for axis, side in sizes.items()) or "one plane, without index"
            found = ", ".join(f"{axis}={number}" for axis, number in index.items()) or "without index"
            raise InputError(f"{self.location} has no plane {found}: it has {ranges}.")
        return full

    def _channel(self, wanted: str | int) -> int:
        names = self.channel_names
        found = [number for number, name in enumerate(names) if name == wanted]
        if len(found) == 1:
            return found[0]
        if not found and str(wanted).isdecimal() and int(wanted) < len(names):
            return int(wanted)
        what = "several channels" if found else "no channel"
        known = ", ".join(f"{number} ({name})" if name != str(number) else name for number, name in enumerate(names))
        raise InputError(f"{self.location} has {what} {wanted}: choose by number among {known or 'none, it has no c'}.")


def open_large_image(
    location: str | Path,
    *,
    level: int | None = None,
    pixel_size: float | None = None,
    axes: Sequence[str] | None = None,
) -> LargeImage:
    """Open an image without reading pixels.

    Parameters
    ----------
    location
        A file of any kind that is read, told by its content; a folder, zip file or URL of a Zarr (a path inside may
        follow); or a folder of a DICOM series.
    level
        Of the pyramid, 0 the finest (the default).
    pixel_size
        Takes the level whose pixels along y are nearest in ratio to so many micrometres (or the image's own units
        where they are unknown), instead of `level`.
    axes
        Names of a plain array's or a TIFF's axes, where the guess is wrong.

    Raises
    ------
    InputError
        If there is no such place, no image, or no such level.
    """
    location = absolute(location)
    image = _image(location, _record(location, axes))
    if pixel_size is not None:
        if not pixel_size > 0:
            raise InputError(f"A pixel size of {pixel_size} cannot be looked for: give micrometres above 0.")
        level = nearest_level(image.levels, image.axes.index("y"), pixel_size)
    return image.at_level(level or 0)


def list_wells(location: str | Path) -> list[str]:
    """Return the locations of a plate's images, well by well and field by field; [] if there is no plate.

    Raises
    ------
    InputError
        If there is no Zarr, or the plate's metadata is damaged or leads out of it.
    """
    location = absolute(location)
    if kind_of(location) != "zarr":
        return []
    group: Any = open_node(location)
    if not is_plate(group):
        return []
    try:
        return [
            join(location, well, inside(f"{location}/{well}", field["path"]))
            for well in (inside(location, path) for path in well_paths(group))
            for field in ome_attributes(group[well])["well"]["images"]
        ]
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The plate {location} has damaged metadata ({error}): write it anew.") from error
    except transport_errors() as error:
        raise refused(location, error) from error


def _reopen(location: str, level: int, axes: Sequence[str] | None) -> LargeImage:
    return open_large_image(location, level=level, axes=axes)


def _record(location: str, axes: Sequence[str] | None) -> ImageRecord:
    """Open a place as what it is."""
    kind = kind_of(location)
    if kind == "zarr":
        return _open_zarr(location, axes)
    if kind == "tiff":
        from napari_sam.io.tiff_levels import read_tiff_levels

        return read_tiff_levels(location, axes)
    if kind == "picture":
        from napari_sam.io.picture_files import open_picture_file

        return _whole(location, open_picture_file)
    if kind == "npy":
        return _whole(location, lambda path: _open_npy(path, axes))
    if kind == "nifti":
        from napari_sam.io.medical_files import open_nifti

        return open_nifti(location)
    if kind == "dicom":
        from napari_sam.io.medical_files import open_dicom

        return open_dicom(location)
    if kind == "microscope":
        from napari_sam.io.microscope_files import open_microscope_file

        return open_microscope_file(location)
    raise InputError(f"Cannot read {location}: it is none of the kinds that are read, {READABLE}.")


def _whole(location: str, reader: Callable[[str], ImageRecord]) -> ImageRecord:
    """Turn the many ways in which a damaged file fails into one sentence."""
    try:
        return reader(location)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError, KeyError, IndexError, TypeError, struct.error) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(f"Cannot read {location} ({reason}): the file is damaged or not what it says.") from error


def _open_npy(path: str, axes: Sequence[str] | None) -> ImageRecord:
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    found = check_axes(tuple(axes or guess_axes(pixels.shape)), [pixels.shape], path)
    array = HeldArray(pixels.shape, pixels.dtype, lambda key: pixels[key])
    return ImageRecord(axes=found, levels=(ImageLevel.sized(array, found, {}),))


def _open_zarr(location: str, axes: Sequence[str] | None) -> ImageRecord:
    import zarr

    node: Any = open_node(location)
    if isinstance(node, zarr.Group) and "multiscales" in ome_attributes(node):
        return read_ome_image(node, location)
    if isinstance(node, zarr.Group):
        node = _only_array(node, location)
    names = getattr(node.metadata, "dimension_names", None) or node.attrs.get("_ARRAY_DIMENSIONS")
    shape = tuple(int(side) for side in node.shape)
    given = axes and [axis_name(axis) for axis in axes]
    found = check_axes(given or guess_axes(shape, names), [shape], location)
    return ImageRecord(axes=found, levels=(ImageLevel.sized(node, found, {}),))


def _only_array(group: Any, location: str) -> Any:
    """Return the array of a group that holds one and no more."""
    arrays = [] if is_plate(group) else [array for _, array in group.arrays()]
    if len(arrays) != 1:
        raise _no_image(group, location)
    return arrays[0]


def _image(location: str, found: ImageRecord) -> LargeImage:
    for level in found.levels:
        if level.array.dtype.kind not in "buif" or 0 in level.array.shape:
            raise InputError(
                f"{location} has shape {level.array.shape} and type {level.array.dtype}: an image has pixels, and they "
                "are real numbers."
            )
    count = int(found.levels[0].array.shape[found.axes.index("c")]) if "c" in found.axes else 0
    names = [*found.channel_names, *[""] * count][:count]
    return LargeImage(
        location=location,
        version=found.version,
        axes=found.axes,
        levels=found.levels,
        level=0,
        channel_names=tuple(name or str(number) for number, name in enumerate(names)),
        alpha=found.alpha,
        affine=found.affine,
    )


def _no_image(group: Any, location: str) -> InputError:
    """Say what a group without an image holds instead."""
    if is_plate(group):
        wells = well_paths(group)
        return InputError(f"{location} is a plate of {len(wells)} wells: name an image in it, such as {wells[0]}/0.")
    if group.attrs.get("bioformats2raw.layout") or group.attrs.get("ome", {}).get("bioformats2raw.layout"):
        return InputError(f"{location} is a collection of images: name one of them, such as {join(location, '0')}.")
    return InputError(f"{location} is a Zarr group without an image: name an array or an OME-Zarr image in it.")

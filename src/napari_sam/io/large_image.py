"""Images larger than memory: OME-Zarr, plain Zarr and TIFF behind one interface, read piece by piece."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.chunk_signature import chunk_signature
from napari_sam.io.image_level import ImageLevel, check_axes, guess_axes, nearest_level
from napari_sam.io.lazy_plane import LazyPlane
from napari_sam.io.ome_metadata import is_plate, ome_attributes, read_ome_image, well_paths
from napari_sam.io.output_place import inside
from napari_sam.io.tiff_levels import read_tiff_levels
from napari_sam.io.zarr_location import absolute, is_remote, join, open_node, refused, transport_errors

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
        Of OME-Zarr, "0.4" or "0.5"; "" for plain arrays and TIFF.
    axes
        Names of the axes as stored, among t, c, z, y, x.
    levels
        Of the pyramid, the finest first.
    level
        The chosen one.
    channel_names
        One a channel, its number where it has no name; () without a channel axis.
    """

    location: str
    version: str
    axes: tuple[str, ...]
    levels: tuple[ImageLevel, ...]
    level: int
    channel_names: tuple[str, ...]

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
            Numbers of the channels to keep, in this order; all by default.

        Raises
        ------
        InputError
            If there is no such plane.
        """
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
        Folder, zip file or URL of a Zarr (a path inside may follow), or a TIFF file.
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
    image = _open_tiff(location, axes) if _is_tiff(location) else _open_zarr(location, axes)
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
    if _is_tiff(location):
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


def _is_tiff(location: str) -> bool:
    return not is_remote(location) and os.path.isfile(location) and not location.endswith((".zip", ".ozx"))


def _open_tiff(location: str, axes: Sequence[str] | None) -> LargeImage:
    found, levels, names = read_tiff_levels(location, axes)
    return _image(location, "", found, levels, names)


def _open_zarr(location: str, axes: Sequence[str] | None) -> LargeImage:
    import zarr

    node: Any = open_node(location)
    if isinstance(node, zarr.Group) and "multiscales" in ome_attributes(node):
        ome = read_ome_image(node, location)
        return _image(location, ome.version, ome.axes, ome.levels, ome.channel_names)
    if isinstance(node, zarr.Group):
        raise _no_image(node, location)
    names = getattr(node.metadata, "dimension_names", None) or node.attrs.get("_ARRAY_DIMENSIONS")
    shape = tuple(int(side) for side in node.shape)
    found = check_axes(axes or guess_axes(shape, names), [shape], location)
    level = ImageLevel(node, (1.0,) * node.ndim, (0.0,) * node.ndim, ("",) * node.ndim)
    return _image(location, "", found, (level,), ())


def _image(
    location: str, version: str, axes: tuple[str, ...], levels: tuple[ImageLevel, ...], names: Sequence[str]
) -> LargeImage:
    for level in levels:
        if level.array.dtype.kind not in "buif" or 0 in level.array.shape:
            raise InputError(
                f"{location} has shape {level.array.shape} and type {level.array.dtype}: an image has pixels, and they "
                "are real numbers."
            )
    count = int(levels[0].array.shape[axes.index("c")]) if "c" in axes else 0
    names = [*names, *[""] * count][:count]
    return LargeImage(location, version, axes, levels, 0, tuple(n or str(i) for i, n in enumerate(names)))


def _no_image(group: Any, location: str) -> InputError:
    """Say what a group without an image holds instead."""
    if is_plate(group):
        wells = well_paths(group)
        return InputError(f"{location} is a plate of {len(wells)} wells: name an image in it, such as {wells[0]}/0.")
    if group.attrs.get("bioformats2raw.layout") or group.attrs.get("ome", {}).get("bioformats2raw.layout"):
        return InputError(f"{location} is a collection of images: name one of them, such as {join(location, '0')}.")
    return InputError(f"{location} is a Zarr group without an image: name an array or an OME-Zarr image in it.")

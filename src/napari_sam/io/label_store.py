"""Labels of large images in OME-Zarr: created, written block by block, with a pyramid and a record of their making."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.label_group import (
    consolidate_again,
    disk_error,
    drop_chunks,
    holds_pixels,
    is_finished,
    make_group,
    ome_version,
    open_group,
    plain_errors,
    sync_chunks,
)
from napari_sam.io.label_metadata import (
    add_colors,
    describe_labels,
    level_count,
    list_labels,
    set_colors,
    set_properties,
)
from napari_sam.io.label_pyramid import LevelPlan, coarsen, create_level, plan_levels
from napari_sam.io.large_image import LargeImage
from napari_sam.io.ome_metadata import ome_attributes
from napari_sam.io.output_place import inside
from napari_sam.io.store_lock import store_lock
from napari_sam.io.zarr_location import absolute, is_remote, join

__all__ = ["HIGHEST", "LabelStore", "create_labels", "labels_drawn", "labels_exist", "open_labels"]

Region = tuple[int, int, int, int]
PROVENANCE = "napari_sam"
HIGHEST = "highest_label"  # in the provenance, where people have added labels
FOLDER = "labels/"
CHUNK, SHARD = 512, 2048
SUITABLE = range(128, 1025)  # sides of the image's chunks that labels take over


@dataclass(frozen=True)
class LabelStore:
    """Hold one label image with its pyramid, int32 labels outside and uint32 in the files.

    Parameters
    ----------
    location
        OME-Zarr group in whose `labels` folder the image lies; with `name` it opens the store anew (`open_labels`).
    name
        Of the labels.
    axes
        Among t, z, y, x in this order.
    levels
        Zarr arrays, the finest first.
    """

    location: str
    name: str
    axes: tuple[str, ...]
    levels: tuple[Any, ...]

    @property
    def array(self) -> Any:
        """The finest level's array."""
        return self.levels[0]

    @property
    def path(self) -> str:
        """Place of the label image, for viewers and messages."""
        return join(self.location, FOLDER, self.name)

    def blocks(self, level: int = 0) -> list[tuple[dict[str, int], Region]]:
        """Return pieces (plane index, region) that make up a level; no two share a file, so any may be written at once.

        Planes come as stored, the last axis fastest, in each the regions row by row.
        """
        regions = self.regions(level)
        planes = product(*(range(side) for side in self.levels[level].shape[:-2]))
        return [(dict(zip(self.axes, plane, strict=False)), region) for plane in planes for region in regions]

    def regions(self, level: int = 0) -> list[Region]:
        """Return the regions of `blocks` of any one plane, row by row."""
        array = self.levels[level]
        sides = array.shards or [max(1, SHARD // side) * side for side in array.chunks]
        (height, width), (tall, wide) = array.shape[-2:], sides[-2:]
        return [
            (row, col, min(row + tall, height), min(col + wide, width))
            for row in range(0, height, tall)
            for col in range(0, width, wide)
        ]

    def write(self, plane: Mapping[str, int], region: Region, labels: npt.NDArray[Any]) -> None:
        """Write (h, w) labels to a region of a plane of the finest level; on disk for good when it returns.

        Processes that write at the same time keep to regions made of whole `blocks`.

        Raises
        ------
        InputError
            If the disk does not take them.
        """
        self._put(0, plane, region, labels)

    def read(self, plane: Mapping[str, int], region: Region, level: int = 0) -> npt.NDArray[np.int32]:
        """Return (h, w) labels of a region of a plane.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        with plain_errors(self.path, "read"):
            values = np.asarray(self.levels[level][self._slices(plane, region)])
        return values.reshape(values.shape[-2:]).astype(np.int32)

    def build_level(self, number: int, plane: Mapping[str, int], region: Region) -> None:
        """Write one of `blocks(number)` from the pixels of the level below, which has to be finished there.

        Raises
        ------
        InputError
            If the level below cannot be read, or the disk does not take it.
        """
        with plain_errors(self.path, "read"):
            labels = coarsen(self.levels[number - 1], self.levels[number].shape, self.axes, plane, region)
        self._put(number, plane, region, labels)

    def write_provenance(
        self, record: Mapping[str, Any], count: int | None = None, texts: Mapping[int, str] | None = None
    ) -> None:
        """Write how the labels were made, as JSON in the attribute `napari_sam`, their colours, and what names them.

        What is on record already stays, unless the new record says otherwise; the highest label never sinks.

        Parameters
        ----------
        record
            Of values that JSON knows.
        count
            Highest label that was made; up to 1000 get colours in the metadata, more are left to the viewer.
        texts
            What names each label, for the `properties` of the metadata.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        with self._metadata() as labels:
            known = dict(labels.attrs.get(PROVENANCE) or {})
            highest = [int(each[HIGHEST]) for each in (known, record) if HIGHEST in each]
            if count is not None:
                set_colors(labels, max(count, *highest, 0))  # those that people have added need theirs
            if texts is not None:
                set_properties(labels, {label: {"text": text} for label, text in texts.items()})
            labels.attrs[PROVENANCE] = {**known, **record} | ({HIGHEST: max(highest)} if highest else {})

    @contextmanager
    def _metadata(self) -> Iterator[Any]:
        """Open the group of the labels to change its metadata, while nobody else does."""
        with plain_errors(self.path, "write to"), store_lock(self.location):
            group = open_group(self.location, "r+")
            yield group[FOLDER + self.name]
            list_labels(group, self.name)  # another machine's job may have lost it
            consolidate_again(group)

    def add_colors(self, added: Iterable[int]) -> None:
        """Give labels that were added colours, where the metadata list any.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        with self._metadata() as labels:
            add_colors(labels, added)

    @property
    def provenance(self) -> dict[str, Any] | None:
        """What `write_provenance` wrote; None before."""
        record: Any = open_group(self.location, "r")[FOLDER + self.name].attrs.get(PROVENANCE)
        return record

    def _put(self, level: int, plane: Mapping[str, int], region: Region, labels: npt.NDArray[Any]) -> None:
        array, slices = self.levels[level], self._slices(plane, region)
        values = labels.astype(np.uint32).reshape((1,) * (array.ndim - 2) + labels.shape)
        with plain_errors(self.path, "write to"):
            try:
                array[slices] = values
            except (OSError, ValueError, RuntimeError) as error:
                # a kill may have torn the file that is there, and some codecs read it first
                if disk_error(error) or not drop_chunks(array, slices):
                    raise
                array[slices] = values
            sync_chunks(array, slices)

    def _slices(self, plane: Mapping[str, int], region: Region) -> tuple[slice, ...]:
        row0, col0, row1, col1 = region
        leading = [slice(plane[axis], plane[axis] + 1) for axis in self.axes[:-2]]  # zarrs knows no numbers
        return *leading, slice(row0, row1), slice(col0, col1)


def create_labels(
    image: LargeImage,
    output: str | Path | None,
    name: str,
    *,
    chunks: tuple[int, int] | None = None,
    shards: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> LabelStore:
    """Create empty labels for the image's chosen level.

    Parameters
    ----------
    image
        Gives axes, sizes, pixel sizes and, where it has coarser levels, the pyramid.
    output
        OME-Zarr group to write `labels/NAME` to; made (version 0.5) where there is none. None: the image's own.
        Beside an image the labels have as many levels as it, as OME-Zarr demands.
    name
        Of the labels.
    chunks, shards
        (rows, columns); by default the image's chunks where they have 128 to 1024 pixels a side, else 512, and in
        Zarr v3 as many of them a shard as make up 2048.
    overwrite
        Replace labels of that name.

    Raises
    ------
    InputError
        If there are such labels already, or the place cannot be written to.
    """
    if not name or name.startswith(("__", ".")) or any(sign in name for sign in '/\\:*?"<>|'):
        raise InputError(f"{name!r} cannot name labels: give a name without slashes and other signs of paths.")
    if output is None and not image.version:
        raise InputError(f"{image.location} is no OME-Zarr image that could hold labels: give an output (-o OUT.zarr).")
    location = absolute(image.location if output is None else output)
    with plain_errors(location, "write to"), store_lock(location):
        group = make_group(location)
        if not overwrite and (is_finished(group, FOLDER + name) or holds_pixels(group, FOLDER + name)):
            raise InputError(
                f"{location} has labels {name} already: give another name, or have them replaced (--restart)."
            )
        axes = tuple(axis for axis in "tzyx" if axis in image.axes)
        plans = plan_levels(_plans(image, axes), level_count(group))
        chunks = chunks or _chunks(image)
        labels = group.create_group(FOLDER + name, overwrite=True)
        for number, plan in enumerate(plans):
            create_level(labels, str(number), plan.shape, "uint32", axes, chunks, shards or (SHARD, SHARD))
        units = [image.levels[image.level].units[image.axes.index(axis)] for axis in axes]
        # the label image's own metadata come last: with them it counts as finished
        describe_labels(group, name, axes, units, plans, _source(image, location, ome_version(group)))
        consolidate_again(group)
    return open_labels(location, name)


def open_labels(location: str | Path, name: str, mode: str = "r+") -> LabelStore:
    """Open labels that `create_labels`, or another program, made.

    Parameters
    ----------
    location
        The OME-Zarr group that has the labels.
    name
        Of the labels.
    mode
        "r+", or "r" to read only.

    Raises
    ------
    InputError
        If there are none.
    """
    location = absolute(location)
    if not labels_exist(location, name):
        raise InputError(f"{location} has no labels {name}: make them first, or give another name.")
    with plain_errors(location, "open"):
        labels = open_group(location, mode)[FOLDER + name]
    entry = ome_attributes(labels)["multiscales"][0]
    return LabelStore(
        location=location,
        name=name,
        axes=tuple(axis["name"] for axis in entry["axes"]),
        levels=tuple(labels[inside(labels.name, dataset["path"])] for dataset in entry["datasets"]),
    )


def labels_exist(location: str | Path, name: str) -> bool:
    """Return whether a place has finished labels of that name; what a killed `create_labels` left does not count."""
    try:
        return is_finished(open_group(absolute(location), "r"), FOLDER + name)
    except (OSError, ValueError):  # no such place, or an array
        return False


def labels_drawn(location: str | Path, name: str) -> bool:
    """Return whether a place has labels of that name, finished or not, with anything in them."""
    try:
        return holds_pixels(open_group(absolute(location), "r"), FOLDER + name)
    except (OSError, ValueError):  # no such place, or an array
        return False


def _plans(image: LargeImage, axes: Sequence[str]) -> list[LevelPlan]:
    kept = [image.axes.index(axis) for axis in axes]
    return [
        LevelPlan(
            shape=tuple(int(level.array.shape[place]) for place in kept),
            scale=tuple(float(level.scale[place]) for place in kept),
            translation=tuple(float(level.translation[place]) for place in kept),
        )
        for level in image.levels[image.level :]
    ]


def _chunks(image: LargeImage) -> tuple[int, int]:
    rows, cols = (int(image.array.chunks[image.axes.index(axis)]) for axis in "yx")
    return (rows, cols) if rows in SUITABLE and cols in SUITABLE else (CHUNK, CHUNK)


def _source(image: LargeImage, location: str, version: str) -> str:
    """Return the way from the labels to their image, "" where a relative path cannot lead there."""
    if location == absolute(image.location):
        return "../../"
    # OME-Zarr allows no more than a relative path to an image of the same version
    if image.version != version or is_remote(location) or is_remote(image.location) or ".zip" in image.location:
        return ""
    return Path(os.path.relpath(image.location, Path(location) / FOLDER / "name")).as_posix()

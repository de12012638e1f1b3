"""What a worker must know of a job: where everything lies, and how its units are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from napari_sam.batch.records_file import StoredRecords, read_arrays, read_records
from napari_sam.batch.segmenters import Segmenter
from napari_sam.batch.tiles import Tile, plan_tiles
from napari_sam.config.batch import BatchSettings
from napari_sam.io.codecs import fast_codecs
from napari_sam.io.label_store import LabelStore, open_labels
from napari_sam.io.large_image import LargeImage, LazyPlane, open_large_image

__all__ = ["JobSpec", "fixed_threads", "plane_name", "region_name"]

Region = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Hold what the units of one image have in common; it goes to the workers with each of them.

    Parameters
    ----------
    source, level
        Of the image.
    output
        Location of the group that holds the labels.
    folder
        Of the job.
    settings
        All settings.
    segmenter
        Finds the objects of a tile.
    channels
        Numbers of the channels that are looked at, () for all.
    run
        Another text in each run: what a worker keeps open is of one run.
    """

    source: str
    level: int
    output: str
    folder: Path
    settings: BatchSettings
    segmenter: Segmenter
    channels: tuple[int, ...] = ()
    run: str = ""

    @property
    def image(self) -> LargeImage:
        """The image, opened once a process."""
        return _image(self.source, self.level, self.run)

    @property
    def planes(self) -> tuple[dict[str, int], ...]:
        """The index of every plane, listed once a process: an image may have thousands."""
        return _planes(self.source, self.level, self.run)

    @property
    def labels(self) -> LabelStore:
        """The labels, opened once a process."""
        return _labels(self.output, self.settings.label, self.run)

    def pixels(self, plane: int) -> LazyPlane:
        """Return a plane by its number in `planes`, with the channels that are looked at."""
        return self.image.plane(self.planes[plane], self.channels or None)

    def tiles(self, plane: int) -> list[Tile]:
        """Return the tiles of a plane."""
        index = tuple(self.planes[plane].values())
        return list(_tiles(self.image.shape, self.settings.tile, self.settings.overlap, index))

    def file(self, kind: str, *numbers: int) -> Path:
        """Return the file of a unit; its folder is made when the job begins."""
        return self.folder / kind / f"{'-'.join(map(str, numbers))}.npz"

    def records(self, plane: int, tile: int, digest: str) -> StoredRecords:
        """Return the objects of a tile; those used last are kept."""
        return _records(self.file("tiles", plane, tile), digest)

    def arrays(self, kind: str, *numbers: int, digest: str) -> dict[str, Any]:
        """Return the tables of a unit; those used last are kept, and must not be changed."""
        return _arrays(self.file(kind, *numbers), digest)


def plane_name(index: Mapping[str, int]) -> str:
    """Return "t=1, z=3", "" for a single plane."""
    return ", ".join(f"{axis}={number}" for axis, number in index.items())


def region_name(index: Mapping[str, int], region: Region) -> str:
    """Return "z=3, rows 0-2048, columns 1856-3904"."""
    row0, col0, row1, col1 = region
    plane = plane_name(index)
    return f"{plane}{', ' if plane else ''}rows {row0}-{row1}, columns {col0}-{col1}"


@contextmanager
def fixed_threads(number: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads; afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=4)
def _image(location: str, level: int, _run: str) -> LargeImage:
    with fast_codecs(location):
        return open_large_image(location, level=level)


@lru_cache(maxsize=4)
def _planes(location: str, level: int, run: str) -> tuple[dict[str, int], ...]:
    return tuple(_image(location, level, run).planes())


@lru_cache(maxsize=4)
def _labels(location: str, name: str, _run: str) -> LabelStore:
    with fast_codecs(location, equal_files=True):
        return open_labels(location, name)


@lru_cache(maxsize=4)
def _tiles(shape: tuple[int, int], tile: int, overlap: int, plane: tuple[int, ...]) -> tuple[Tile, ...]:
    return tuple(plan_tiles(shape, tile, overlap, plane=plane))


@lru_cache(maxsize=16)
def _records(path: Path, _digest: str) -> StoredRecords:
    return read_records(path)


@lru_cache(maxsize=4)
def _arrays(path: Path, _digest: str) -> dict[str, Any]:
    return read_arrays(path)

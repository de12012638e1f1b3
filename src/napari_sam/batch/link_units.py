"""The units that make objects of neighbouring planes one: their overlaps block by block, then the ids of a series."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from napari_sam.batch.job_spec import JobSpec, Region
from napari_sam.batch.journal import storing
from napari_sam.batch.link import Overlaps, link, overlaps, sum_overlaps
from napari_sam.batch.records_file import read_arrays, write_arrays
from napari_sam.batch.units import Result, paint_plane

__all__ = ["PlaneInput", "count_overlaps", "link_series", "series_of_planes"]

PlaneInput = tuple[int, str]  # number of a plane, digest of its objects
Array = npt.NDArray[np.int64]


def series_of_planes(planes: Sequence[dict[str, int]], axis: str) -> list[list[int]]:
    """Return the numbers of the planes that lie behind one another along an axis, one list for each series."""
    series: dict[tuple[int, ...], list[int]] = {}
    for number, index in enumerate(planes):
        series.setdefault(tuple(k for name, k in index.items() if name != axis), []).append(number)
    return list(series.values())


def count_overlaps(
    spec: JobSpec, numbers: tuple[int, int], first: int, planes: tuple[PlaneInput, ...], region: Region
) -> Result:
    """Count what the objects of neighbouring planes share in one block, and how large they are there, and where.

    Parameters
    ----------
    numbers
        Of the series and of the unit in it, for the file's name.
    first
        So many planes at the beginning are counted by the unit before; they are only compared with.
    planes
        Neighbouring planes of one series, in order.
    region
        Of the block.
    """
    arrays: dict[str, npt.NDArray[np.int64]] = {}
    behind: deque[tuple[int, npt.NDArray[np.int32]]] = deque(maxlen=spec.settings.link_gap + 1)
    for place, (plane, objects) in enumerate(planes):
        labels = paint_plane(spec, plane, region, objects)
        if place >= first:
            arrays[f"sums{plane}"] = _sums(labels, region)
            for other, before in behind:
                pairs, shared = overlaps(before, labels)
                arrays[f"pairs{other}-{plane}"] = np.column_stack([pairs, shared])
        behind.append((plane, labels))
    path = spec.file("overlaps", *numbers)
    with storing(f"write {path}"):
        return {"digest": write_arrays(path, **arrays)}


def link_series(
    spec: JobSpec, series: int, planes: tuple[PlaneInput, ...], units: tuple[tuple[str, ...], ...]
) -> Result:
    """Give the objects of a series ids that hold over its planes.

    Parameters
    ----------
    series
        Its number.
    planes
        Of the series, in order.
    units
        For each plane the names (without ending) of the files in which its overlaps lie.
    """
    folder = spec.folder / "overlaps"
    numbers = [plane for plane, _ in planes]

    def members(place: int, name: str) -> Iterable[Array]:
        return (read_arrays(folder / f"{unit}.npz", [name])[name] for unit in units[place])

    def sums(place: int) -> Array:
        owners = spec.arrays("objects", numbers[place], digest=planes[place][1])["owners"]
        total = np.zeros((3, int(owners["id"].max(initial=0)) + 1), np.int64)
        for ids, *values in members(place, f"sums{numbers[place]}"):
            total[:, ids] += values
        return total

    def shared(one: int, other: int) -> Overlaps:
        parts = members(other, f"pairs{numbers[one]}-{numbers[other]}")
        return sum_overlaps((part[:, :2], part[:, 2]) for part in parts)

    settings = spec.settings
    total = [sums(place) for place in range(len(planes))]
    centres = [(places / np.maximum(areas, 1)).T for areas, *places in total]
    lookups = link(
        [areas for areas, *_ in total],
        shared,
        centres=centres if settings.link == "z" else None,
        threshold=settings.link_threshold,
        gap=settings.link_gap,
    )
    path = spec.file("links", series)
    with storing(f"write {path}"):
        digest = write_arrays(path, **{f"plane{plane}": ids for plane, ids in zip(numbers, lookups, strict=True)})
    return {"digest": digest}


def _sums(labels: npt.NDArray[np.int32], region: Region) -> Array:
    """Return (4, n) the labels of a block, the pixels of each, and the sums of their rows and of their columns."""
    ids, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows, cols = np.indices(labels.shape, np.int64) + np.array(region[:2]).reshape(2, 1, 1)
    # sums of whole numbers below 2**53 are exact in floating point
    places = [np.bincount(place.ravel(), at.ravel(), len(ids)).astype(np.int64) for at in (rows, cols)]
    return np.stack([ids.astype(np.int64), counts.astype(np.int64), *places])

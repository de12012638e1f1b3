"""Coarser levels of label images: their sizes, their arrays and their pixels, by nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LevelPlan", "coarsen", "create_level", "nearest_indices", "plan_levels"]

SMALLEST = 512  # a level whose sides are at most this has no coarser one
STRIP = 512  # rows made at a time, so that memory stays small at any factor


@dataclass(frozen=True)
class LevelPlan:
    """Hold the geometry of one level: per axis its side in pixels, a pixel's size and the place of the first pixel."""

    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]


def plan_levels(levels: Sequence[LevelPlan], count: int | None = None) -> tuple[LevelPlan, ...]:
    """Return the levels that labels get: those of their image, then halved in y and x.

    Parameters
    ----------
    levels
        The image's from the labelled one on, finest first; y and x are the last axes.
    count
        Of levels; by default as many as it takes to 512 pixels a side.
    """
    plans = list(levels)[:count]
    while max(plans[-1].shape[-2:]) > SMALLEST if count is None else len(plans) < count:
        last = plans[-1]
        shape = (*last.shape[:-2], *(-(-side // 2) for side in last.shape[-2:]))
        plans.append(LevelPlan(shape, (*last.scale[:-2], *(2 * step for step in last.scale[-2:])), last.translation))
    return tuple(plans)


def create_level(
    group: Any,
    path: str,
    shape: tuple[int, ...],
    dtype: str,
    axes: Sequence[str],
    chunks: tuple[int, int],
    shards: tuple[int, int] | None = None,
) -> Any:
    """Create the array of a level in the group's Zarr format: zstd, "/" between the numbers of chunks, 0 filled in.

    Parameters
    ----------
    group
        A Zarr group.
    path
        Of the array in the group.
    shape, dtype, axes
        Of the level.
    chunks
        (rows, columns), at most the level's; one plane each.
    shards
        (rows, columns) that a file holds at most, in whole chunks; without effect in Zarr v2, None for no shards.
    """
    from numcodecs import Zstd
    from zarr.codecs import ZstdCodec

    old = group.metadata.zarr_format == 2
    leading = (1,) * (len(shape) - 2)
    small = tuple(min(pair) for pair in zip(chunks, shape[-2:], strict=True))
    large = small
    if shards is not None and not old:
        large = tuple(
            chunk * min(max(1, most // chunk), -(-side // chunk))
            for chunk, most, side in zip(small, shards, shape[-2:], strict=True)
        )
    compressor: Any = Zstd(level=3) if old else ZstdCodec(level=3)
    return group.create_array(
        path,
        shape=shape,
        dtype=dtype,
        chunks=(*leading, *small),
        shards=None if large == small else (*leading, *large),
        compressors=(compressor,),
        fill_value=0,
        chunk_key_encoding={"name": "v2" if old else "default", "separator": "/"},
        dimension_names=None if old else tuple(axes),
        overwrite=True,
    )


def nearest_indices(below: int, side: int, start: int, stop: int) -> npt.NDArray[np.int64]:
    """Return the pixels of a level with `below` of them that stand for pixels start to stop of one with `side`.

    Every n-th where the sides are n to 1 but for rounding, else those under the centres; whatever start and stop.
    """
    step = max(1, round(below / side))
    pixels = np.arange(start, stop, dtype=np.int64)
    if side in (below // step, -(-below // step)):
        return pixels * step
    return (2 * pixels + 1) * below // (2 * side)


def coarsen(
    below: Any, shape: tuple[int, ...], axes: Sequence[str], plane: Mapping[str, int], region: tuple[int, int, int, int]
) -> npt.NDArray[Any]:
    """Return a region of the level above `below`, (h, w), by nearest neighbours: no label that is not there arises.

    Parameters
    ----------
    below
        The finer level's array; its last axes are y and x.
    shape, axes
        Of the level that is made.
    plane
        Index of that level's plane by axis.
    region
        row0, col0, row1, col1 in that level.
    """
    row0, col0, row1, col1 = region
    numbers = (
        int(nearest_indices(under, side, plane[axis], plane[axis] + 1)[0])
        for axis, under, side in zip(axes[:-2], below.shape, shape, strict=False)
    )
    leading = tuple(slice(number, number + 1) for number in numbers)
    cols = nearest_indices(below.shape[-1], shape[-1], col0, col1)
    parts = []
    for top in range(row0, row1, STRIP):
        rows = nearest_indices(below.shape[-2], shape[-2], top, min(top + STRIP, row1))
        strip = np.asarray(below[(*leading, slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))])
        parts.append(strip.reshape(strip.shape[-2:])[np.ix_(rows - rows[0], cols - cols[0])])
    return np.concatenate(parts)

"""Notices what was painted, loaded or changed by anyone else in planes of labels."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from napari_sam.widgets.stored_labels import keeper_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Labels
    from napari.utils.events import Event

    from napari_sam.widgets.findings import Region
    from napari_sam.widgets.plane import LabelPlane, Plane

__all__ = ["LabelWatch"]

HASHED_PIXELS = 2**25  # planes of NumPy arrays up to this size are hashed, in some 10 ms
TILE = 256  # side of the parts that are hashed, in pixels


class LabelWatch:
    """Compare planes of labels with how they were left, keeping no copy of them.

    A plane in memory is hashed tile by tile. In a very large one, or in an array of the user's on disk, only painting
    in napari is noticed. Labels written patch by patch (`stored_labels`) cannot be painted in napari.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[Labels, Plane], Any] = {}
        self._strokes: dict[Labels, list[npt.NDArray[np.int64]]] = {}  # (2, ndim): first and last + 1 on each axis

    def close(self) -> None:
        """Let go of the layers."""
        for layer in self._strokes:
            layer.events.paint.disconnect(self._on_paint)
        self._left.clear()
        self._strokes.clear()

    def look(self, labels: LabelPlane) -> tuple[Region, ...]:
        """Return the parts of the plane that are not as they were left; at first all of it if anything is in it."""
        if keeper_of(labels.layer) is not None:
            return ()
        self._follow(labels.layer)
        whole = (0, 0, *labels.shape)
        left = self._left.get((labels.layer, labels.plane))
        if left is None:
            return (whole,) if labels[:, :].any() else ()
        now = self._stamp(labels)
        if isinstance(now, np.ndarray) and isinstance(left, np.ndarray):
            return tuple(_regions(now != left, labels.shape))
        if isinstance(now, np.ndarray) or isinstance(left, np.ndarray) or now[0] is not left[0]:
            return (whole,)
        strokes = self._strokes[labels.layer][left[1] :]
        return tuple(part for stroke in strokes if (part := _on_plane(stroke, labels.plane)) is not None)

    def leave(self, labels: LabelPlane) -> None:
        """Remember the plane as it is."""
        if keeper_of(labels.layer) is None:
            self._follow(labels.layer)
            self._left[labels.layer, labels.plane] = self._stamp(labels)

    def _follow(self, layer: Labels) -> None:
        if layer not in self._strokes:
            self._strokes[layer] = []
            layer.events.paint.connect(self._on_paint)

    def _stamp(self, labels: LabelPlane) -> Any:
        data = labels.layer.data
        if isinstance(data, np.ndarray) and labels.shape[0] * labels.shape[1] <= HASHED_PIXELS:
            return _tile_hashes(labels[:, :])
        return data, len(self._strokes[labels.layer])

    def _on_paint(self, event: Event) -> None:
        """Note where it was painted."""
        layer = event.source
        for where, *_ in event.value:
            spans = [_span(along, size) for along, size in zip(where, layer.data.shape, strict=True)]
            self._strokes[layer].append(np.array(spans, np.int64).T)


def _span(along: Any, size: int) -> tuple[int, int]:
    """Return first and last + 1 of what an index takes along an axis."""
    if isinstance(along, slice):
        start, stop, _ = along.indices(size)
        return start, stop
    return int(np.min(along)), int(np.max(along)) + 1


def _tile_hashes(plane: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    height, width = plane.shape
    return np.array(
        [
            [
                xxhash.xxh3_64_intdigest(np.ascontiguousarray(plane[row : row + TILE, col : col + TILE]).data)
                for col in range(0, width, TILE)
            ]
            for row in range(0, height, TILE)
        ],
        np.uint64,
    )


def _regions(changed: npt.NDArray[np.bool_], shape: Sequence[int]) -> list[Region]:
    """Return boxes of pixels that cover the tiles (rows, cols) that changed, neighbours along rows in one."""
    regions = []
    for row, flags in enumerate(changed):
        for is_changed, group in groupby(enumerate(flags.tolist()), key=lambda item: item[1]):
            if is_changed:
                cols = [col for col, _ in group]
                regions.append(
                    (
                        row * TILE,
                        cols[0] * TILE,
                        min((row + 1) * TILE, shape[0]),
                        min((cols[-1] + 1) * TILE, shape[1]),
                    )
                )
    return regions


def _on_plane(box: npt.NDArray[np.int64], plane: Plane) -> Region | None:
    """Return the part of a plane that is in a box of the array, None if there is none."""
    first, last = box.tolist()
    for axis, at in enumerate(plane.index):
        if axis not in plane.axes and not first[axis] <= at < last[axis]:
            return None
    rows, cols = plane.axes
    return first[rows], first[cols], last[rows], last[cols]

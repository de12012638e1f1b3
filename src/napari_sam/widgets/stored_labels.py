"""Labels of images too large for memory: multiscale layers whose arrays lie on disk, written patch by patch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.highest_label import highest_label, highest_since
from napari_sam.io.label_group import plain_errors
from napari_sam.io.label_pyramid import nearest_indices
from napari_sam.io.label_store import HIGHEST, LabelStore, labels_exist, open_labels
from napari_sam.widgets.image_location import array_location
from napari_sam.widgets.plane import KEEPER, base_level

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_sam.widgets.plane import Plane

__all__ = ["StoredLabels", "adopt_layer", "keeper_of", "stored_place"]

SEEN = "highest_label_seen"  # time of the last change of a file that it was searched in, in nanoseconds
RESTS = 20  # times as long as the last look at the files' times took, before there is another


class StoredLabels:
    """Write to labels on disk, all levels of the pyramid at once, and know their highest label.

    That is searched when it is first asked for, and noted with the labels; later only files are read that changed
    since, by whomever.

    Parameters
    ----------
    store
        The labels.
    """

    def __init__(self, store: LabelStore) -> None:
        self.store = store
        record = store.provenance or {}
        self._searched = HIGHEST in record and SEEN in record
        self._highest = int(record.get(HIGHEST, 0))
        self._seen = int(record.get(SEEN, 0)) if self._searched else 0
        self._next_look = 0.0
        self._colored: set[int] = set()  # labels that have a colour by now, where the metadata list any

    @property
    def highest(self) -> int:
        """The highest label that there ever was."""
        begun = time.monotonic()
        if begun >= self._next_look:
            self._search()
            ended = time.monotonic()
            self._next_look = ended + RESTS * (ended - begun)
        return self._highest

    def raise_highest(self, label: int) -> None:
        """Note on disk a label that is written."""
        if label > self.highest:
            self._highest = label
            self._note()

    def _search(self) -> None:
        """Bring the highest label up to date."""
        before = self._highest, self._seen, self._searched
        with plain_errors(self.store.path, "read"):
            since = highest_since(self.store.array, self._seen)
            if since is not None:
                self._highest, self._seen = max(self._highest, since[0]), since[1]
            elif not self._searched:
                self._highest = max(self._highest, highest_label(self.store.array))
        self._searched = True
        if not before[2] or self._highest != before[0]:
            self._note()

    def _note(self) -> None:
        self.store.write_provenance({HIGHEST: self._highest, SEEN: self._seen})

    def _color(self, labels: npt.NDArray[Any]) -> None:
        """Give the labels in an array colours, where others have some: viewers show no others then."""
        fresh = set(np.unique(labels).tolist()) - self._colored - {0}
        if fresh:
            self.store.add_colors(fresh)
            self._colored |= fresh

    def write(self, plane: Plane, rows: slice, cols: slice, labels: npt.NDArray[Any]) -> None:
        """Write rows and columns of a plane, and what the coarser levels show of them.

        Raises
        ------
        InputError
            If the plane is not one of rows and columns of the stored array, or the disk does not take it.
        """
        axes = self.store.axes
        if plane.axes != (len(axes) - 2, len(axes) - 1):
            raise InputError(
                "Labels on disk are written in planes of their last two axes: "
                "roll the axes back with the buttons below the layer list."
            )
        box = [range(*part.indices(side)) for part, side in zip((rows, cols), plane.shape, strict=True)]
        if not all(map(len, box)):
            return
        part = np.broadcast_to(labels, [len(each) for each in box])
        self.raise_highest(int(part.max()))
        self._color(part)
        place = [range(number, number + 1) for number in plane.fixed] + box
        self.store.write(*self._target(place), part)
        for number in range(1, len(self.store.levels)):
            below, shape = self.store.levels[number - 1].shape, self.store.levels[number].shape
            place = [_above(*each) for each in zip(below, shape, place, strict=True)]
            if not all(map(len, place)):  # too small to be seen from there on
                return
            self.store.build_level(number, *self._target(place))

    def _target(self, place: list[range]) -> tuple[dict[str, int], tuple[int, int, int, int]]:
        *leading, rows, cols = place
        plane = {axis: each.start for axis, each in zip(self.store.axes, leading, strict=False)}
        return plane, (rows.start, cols.start, rows.stop, cols.stop)


def keeper_of(layer: Labels) -> StoredLabels | None:
    """Return what writes to a layer's labels on disk; None if it has its labels in memory."""
    keeper = layer.metadata.get(KEEPER)
    return keeper if isinstance(keeper, StoredLabels) else None


def stored_place(layer: Labels) -> tuple[str, str] | None:
    """Return location and name of the OME-Zarr labels on this machine that a layer shows, None if it shows none."""
    keeper = keeper_of(layer)
    if keeper is not None:
        return keeper.store.location, keeper.store.name
    parts = array_location(base_level(layer)).replace("\\", "/").split("/")
    if len(parts) < 4 or parts[-3] != "labels":
        return None
    location, name = "/".join(parts[:-3]), parts[-2]
    return (location, name) if labels_exist(location, name) else None


def adopt_layer(layer: Labels) -> None:
    """Let a layer of OME-Zarr labels that a reader opened be written to; others stay as they are.

    Raises
    ------
    InputError
        If the labels cannot be opened.
    """
    place = stored_place(layer)
    if place is None or keeper_of(layer) is not None:
        return
    store = open_labels(*place)
    if [tuple(level.shape) for level in store.levels] == [tuple(level.shape) for level in layer.data]:
        layer.data = list(store.levels)  # the reader's arrays may remember what was there
        layer.metadata[KEEPER] = StoredLabels(store)


def _above(below: int, side: int, changed: range) -> range:
    """Return the pixels along an axis of a level that show one of those that changed in the level below."""
    start = max(0, changed.start * side // below - 1)
    stop = min(side, -(-changed.stop * side // below) + 1)
    shown = nearest_indices(below, side, start, stop)
    first, last = np.searchsorted(shown, (changed.start, changed.stop))
    return range(start + int(first), start + int(last))

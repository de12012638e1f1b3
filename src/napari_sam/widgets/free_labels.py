"""The next free label of a layer, the same for all docks that write to it, so that no two objects share a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.highest_label import highest_label
from napari_sam.widgets.plane import base_level
from napari_sam.widgets.stored_labels import keeper_of

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.utils.events import Event

__all__ = ["check_room", "next_label", "raise_highest"]

ALWAYS_SEARCHED = 2**26  # bytes, in some 10 ms; of changes in larger arrays only napari tells: strokes, another array


class _Numbers:
    """Know the highest label there ever was in one layer; searched when it is first asked for."""

    def __init__(self) -> None:
        self._searched: Any = None  # the array
        self._highest = 0

    def highest(self, layer: Labels) -> int:
        data = layer.data
        if data is not self._searched or getattr(data, "nbytes", 0) <= ALWAYS_SEARCHED:
            found = highest_label(data)
            self._highest = max(found, self._highest if data is self._searched else 0)
            self._searched = data
        return self._highest

    def take(self, label: int) -> None:
        self._highest = max(self._highest, label)

    def on_paint(self, event: Event) -> None:
        self.take(max((int(np.max(atom[-1], initial=0)) for atom in event.value), default=0))


_numbers: WeakKeyDictionary[Labels, _Numbers] = WeakKeyDictionary()


def next_label(layer: Labels) -> int:
    """Return one above the highest label there ever was in a layer, in all of its planes."""
    keeper = keeper_of(layer)
    return (_of(layer).highest(layer) if keeper is None else keeper.highest) + 1


def raise_highest(layer: Labels, label: int) -> None:
    """Note a label that was written, which will not be given again even if it goes."""
    keeper = keeper_of(layer)
    if keeper is not None:
        keeper.raise_highest(label)
    else:
        _of(layer).take(label)


def check_room(layer: Labels) -> None:
    """Check that the type of the labels has room for one more.

    Raises
    ------
    InputError
        If the highest label is the highest that the type knows.
    """
    dtype = np.dtype(base_level(layer).dtype)
    if dtype.kind in "iu" and np.iinfo(dtype).max < 2**31 - 1 and next_label(layer) > np.iinfo(dtype).max:
        raise InputError(
            f"The labels layer {layer.name!r} is full: its type {dtype} ends at {np.iinfo(dtype).max}, "
            "and that label is in use. Convert it (right-click it, Convert data type, int32), or choose 'new layer'."
        )


def _of(layer: Labels) -> _Numbers:
    if layer not in _numbers:
        numbers = _numbers[layer] = _Numbers()
        layer.events.paint.connect(numbers.on_paint)
    return _numbers[layer]

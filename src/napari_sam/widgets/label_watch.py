"""Notices labels that were painted, loaded or changed by anyone else, and knows the next free label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from napari_sam.widgets.stored_labels import keeper_of

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.utils.events import Event

    from napari_sam.widgets.plane import LabelPlane, Plane

__all__ = ["LabelWatch"]

HASHED_PIXELS = 2**25  # planes of NumPy arrays up to this size are hashed, in some 10 ms
SCANNED_BYTES = 2**30  # arrays up to this size are searched for their highest label


class LabelWatch:
    """Compare planes of labels with how they were left.

    A plane in memory is hashed. In a very large one, or in an array of the user's on disk, only painting in napari is
    noticed. Labels written patch by patch (`stored_labels`) cannot be painted in napari, and know their highest.
    """

    def __init__(self) -> None:
        self._left: dict[Plane, Any] = {}
        self._highest: dict[Labels, int] = {}
        self._strokes: dict[Labels, int] = {}

    def close(self) -> None:
        """Let go of the layers."""
        for layer in self._strokes:
            layer.events.paint.disconnect(self._on_paint)
        self._left.clear()
        self._highest.clear()
        self._strokes.clear()

    def look(self, labels: LabelPlane) -> npt.NDArray[Any] | None:
        """Return a copy of the plane if it is not as it was left, or at first if anything is in it."""
        if keeper_of(labels.layer) is not None:
            return None
        self._follow(labels.layer)
        if self._left.get(labels.plane) == self._stamp(labels):
            return None
        values = np.array(labels[:, :])
        highest = int(values.max(initial=0))
        self._highest[labels.layer] = max(self._highest[labels.layer], highest)
        return values if labels.plane in self._left or highest else None

    def leave(self, labels: LabelPlane, label: int) -> None:
        """Remember the plane as it is after `label` was written."""
        if (keeper := keeper_of(labels.layer)) is not None:
            keeper.raise_highest(label)
            return
        self._highest[labels.layer] = max(self._highest[labels.layer], label)
        self._left[labels.plane] = self._stamp(labels)

    def next_label(self, labels: LabelPlane) -> int:
        """Return one above the highest label there ever was, in all planes."""
        keeper = keeper_of(labels.layer)
        return (self._highest[labels.layer] if keeper is None else keeper.highest) + 1

    def _follow(self, layer: Labels) -> None:
        if layer not in self._strokes:
            self._strokes[layer] = 0
            self._highest[layer] = _highest_label(layer.data)
            layer.events.paint.connect(self._on_paint)

    def _stamp(self, labels: LabelPlane) -> Any:
        data = labels.layer.data
        if isinstance(data, np.ndarray) and labels.shape[0] * labels.shape[1] <= HASHED_PIXELS:
            return xxhash.xxh3_64_intdigest(np.ascontiguousarray(labels[:, :]).data)
        return id(data), self._strokes[labels.layer]

    def _on_paint(self, event: Event) -> None:
        layer = event.source
        self._strokes[layer] += 1
        self._highest[layer] = max(self._highest[layer], int(layer.selected_label))


def _highest_label(data: Any) -> int:
    if getattr(data, "nbytes", 0) > SCANNED_BYTES:
        return 0
    return int(np.asarray(data).max(initial=0))

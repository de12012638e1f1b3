"""A part of labels on disk as a layer in memory, for napari's brush, which cannot paint multiscale layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_sam.errors import InputError
from napari_sam.widgets.label_refresh import refresh_part
from napari_sam.widgets.overlay import mark_overlay
from napari_sam.widgets.plane import LabelPlane
from napari_sam.widgets.prompt_layers import insert_below_prompts
from napari_sam.widgets.transforms import placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

    from napari_sam.widgets.findings import Region
    from napari_sam.widgets.plane import Plane

__all__ = ["PAUSE", "BrushWindow"]

PAUSE = 200  # ms after which a change is saved that is no stroke of the mouse: a script's, or napari's undo
AGAIN = 5000  # ms after which strokes that the disk refused are written again


class BrushWindow:
    """Copy a region of a plane into a layer, and what is painted there back to the disk, stroke by stroke.

    The layer goes when the labels' layer does, and nothing is lost when it is removed: strokes that the disk refuses
    stay in it, and are written again until it takes them.

    Parameters
    ----------
    viewer
        That shows the labels.
    labels
        A layer of labels on disk.
    plane, region
        What may be painted: (row0, col0, row1, col1) of the plane.
    label
        To paint with at first.
    on_problem
        Called with the error when the disk refuses what was painted, once until it takes it; None raises it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        labels: Labels,
        plane: Plane,
        region: Region,
        label: int,
        on_problem: Callable[[InputError], None] | None = None,
    ) -> None:
        self._viewer = viewer
        self._on_problem = on_problem
        self._refused = False  # whether the disk did not take the last stroke
        self._target = LabelPlane(labels, plane)
        self._region = region
        self.is_open = True
        self._saved = self._read()
        others = tuple(axis for axis in range(labels.ndim) if axis not in plane.axes)
        self.layer = Labels(
            np.expand_dims(self._saved.copy(), others),
            name=f"{labels.name}: paint here",
            opacity=labels.opacity,
            **placement(labels, plane.embed(region[:2])[0]),
        )
        self.layer.selected_label = label
        mark_overlay(self.layer)
        insert_below_prompts(viewer, self.layer)
        viewer.layers.selection.active = self.layer
        self.layer.mode = "paint"
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._save)
        for name, react in self._reactions().items():
            self.layer.events[name].connect(react)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Remove the layer, unless the disk refuses what is in it, and let go of the viewer."""
        if not self.is_open:
            return
        self._save_rest()
        self.is_open = False
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for name, react in self._reactions().items():
            self.layer.events[name].disconnect(react)
        self._timer.stop()
        if self.layer in self._viewer.layers and not self._refused:
            self._viewer.layers.remove(self.layer)

    def take_in(self) -> None:
        """Show what was written to the labels since by anyone else, beside what is painted and not saved yet."""
        data = np.asarray(self.layer.data).reshape(self._saved.shape)
        waiting = data != self._saved
        self._saved = self._read()
        data[~waiting] = self._saved[~waiting]
        self.layer.refresh()

    def _reactions(self) -> dict[str, Callable[[Event], None]]:
        return {"paint": self._save, "labels_update": self._on_redrawn, "set_data": self._on_redrawn}

    def _on_redrawn(self, _event: Event) -> None:
        self._timer.start(PAUSE)

    def _read(self) -> Any:
        row0, col0, row1, col1 = self._region
        return np.array(self._target[row0:row1, col0:col1])

    def _save(self, _event: Event | None = None) -> None:
        self._timer.stop()
        painted = np.asarray(self.layer.data).reshape(self._saved.shape)
        different = painted != self._saved
        if not different.any():
            return
        at_rows, at_cols = np.flatnonzero(different.any(axis=1)), np.flatnonzero(different.any(axis=0))
        rows, cols = slice(at_rows[0], at_rows[-1] + 1), slice(at_cols[0], at_cols[-1] + 1)
        row0, col0 = self._region[:2]
        there = slice(row0 + rows.start, row0 + rows.stop), slice(col0 + cols.start, col0 + cols.stop)
        try:
            now = np.array(self._target[there])  # others may have written there since
            now[different[rows, cols]] = painted[rows, cols][different[rows, cols]]
            self._target[there] = now
        except InputError as error:
            self._complain(error)
            return
        self._saved[rows, cols] = painted[rows, cols]
        self._refused = False
        refresh_part(self._target.layer, self._target.plane, *there)

    def _save_rest(self) -> None:
        """Write what waits, if the labels are still shown."""
        if (self._timer.isActive() or self._refused) and self._target.layer in self._viewer.layers:
            self._save()

    def _complain(self, error: InputError) -> None:
        """Say that the disk refused a stroke, which is written again later."""
        first, self._refused = not self._refused, True
        self._timer.start(AGAIN)
        if self._on_problem is None:
            raise error
        if first:
            self._on_problem(
                InputError(f"{error} What you painted stays in {self.layer.name!r} and is saved as soon as that works.")
            )

    def _on_removed(self, event: Event) -> None:
        if event.value is self.layer:
            self._save_rest()
            if self._refused and self._target.layer in self._viewer.layers:  # or what was painted would be lost
                QTimer.singleShot(0, self._put_back)
                return
        if event.value in (self.layer, self._target.layer):
            self.close()

    def _put_back(self) -> None:
        if self.is_open and self.layer not in self._viewer.layers:
            insert_below_prompts(self._viewer, self.layer)

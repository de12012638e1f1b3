"""One viewer's automatic masks: what is asked of the model, and where its answers go."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError
from napari_sam.widgets.auto_engine import AutoTask, Part
from napari_sam.widgets.auto_runner import AutoRunner
from napari_sam.widgets.findings import Region, bounds, paint
from napari_sam.widgets.free_labels import check_room
from napari_sam.widgets.image_view import ImageView
from napari_sam.widgets.label_measurer import LabelMeasurer
from napari_sam.widgets.object_board import ObjectBoard
from napari_sam.widgets.overlay import Overlay
from napari_sam.widgets.plane import Plane, stack_planes
from napari_sam.widgets.sifter import Chosen
from napari_sam.widgets.view_region import drawn_region, visible_region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from napari_sam.ops.mask_record import MaskRecord

__all__ = ["WHERE", "AutoSession", "loosened", "skipped_text"]

WHERE = ("plane", "region", "stack")
SHOW_EVERY = 500  # ms between two looks at what a run found so far
NAMED = 5  # planes that are named
SLACK = {"pred_iou_thresh": 0.2, "stability_score_thresh": 0.15}
# what only the filter uses, whatever the run was asked for
_FILTER = ("min_mask_region_area", "overlap", "nesting", "min_area", "max_area", "remove_background", "conditions")


def loosened(settings: AutoSettings) -> AutoSettings:
    """Return the settings of a search that finds more, so that the filter can be lowered later without a new run."""
    neutral = AutoSettings()
    thresholds = {name: max(0.0, getattr(settings, name) - slack) for name, slack in SLACK.items()}
    return settings.changed(**thresholds, **{name: getattr(neutral, name) for name in _FILTER})


def skipped_text(skipped: Sequence[tuple[Plane, str]]) -> str:
    """Name the planes that a run left out, by their position on the sliders, and why."""
    if not skipped:
        return ""
    planes = [", ".join(map(str, plane.fixed)) for plane, _ in skipped]
    named = "; ".join(planes[:NAMED]) + (f" and {len(planes) - NAMED} more" if len(planes) > NAMED else "")
    what = f"Plane {named} was" if len(planes) == 1 else f"Planes {named} were"
    return f"{what} left out, the others are done. {skipped[0][1]}"


class AutoSession(QObject):
    """Hold everything that belongs to automatic masks in one viewer.

    Emits `changed` when anything did, `said(sentence)` for the status line, and `failed(exception)`. Its `runner` emits
    progress.

    Parameters
    ----------
    viewer
        The viewer.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.view = ImageView(viewer)
        self.board = ObjectBoard(viewer, self.view)
        self.runner = AutoRunner()
        self._measurer = LabelMeasurer()
        self.searched: AutoSettings | None = None  # how the last run searched
        self.previewed = 0  # masks in the preview
        self.skipped: list[tuple[Plane, str]] = []  # planes that the last run could not search, and why
        self.has_missing = False  # whether planes of the last run have pixels without a value
        self.completed = False  # whether the last run came to its end
        self._overlay = Overlay(viewer, "SAM Auto preview", opacity=0.6)
        self._runs = itertools.count(1)
        self._run = 0
        self._image: Image | None = None  # of the run, and of the preview
        self._previewing = False
        self._late: tuple[Part, list[MaskRecord]] | None = None  # found, but not shown yet
        self._show_timer = QTimer(self)
        self._show_timer.setSingleShot(True)
        self._show_timer.timeout.connect(self._show_some)
        self._error: BaseException | None = None
        self._open = True
        self.board.is_busy_plane = self._is_searched
        self.board.passed.connect(self._on_passed)
        self.board.changed.connect(self.changed)
        self.board.failed.connect(self._fail)
        self.view.lost.connect(self._on_lost)
        self.runner.found.connect(self._on_found)
        self.runner.skipped.connect(self._on_skipped)
        self.runner.ended.connect(self._on_ended)
        self._measurer.finished.connect(self.said)
        self._measurer.failed.connect(self._fail)

    def close(self) -> None:
        """End the threads and let go of the viewer; the user's layers stay."""
        if self._open:
            self._open = False
            self._show_timer.stop()
            for part in (self.runner, self._measurer, self.board, self.view, self._overlay):
                part.close()

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""
        return self.runner.busy or self.board.busy or self._measurer.busy

    def take_error(self) -> BaseException | None:
        """Return the last error of the threads, once."""
        error, self._error = self._error, None
        return error

    def set_image(self, image: Image | None) -> None:
        """Choose the image layer; what was found in another one is kept."""
        if image is not self.view.layer:
            self.clear_preview()
            self.view.set_layer(image)
            self.board.show_image()

    def preview(self) -> None:
        """Search the part of the plane that the canvas shows, and show what is found without writing labels."""
        image, plane = self.view.place()
        self._start(image, [self._part(image, plane, visible_region(image, plane))], preview=True)

    def run(self, where: str = "plane", shapes: Shapes | None = None) -> None:
        """Search the displayed "plane", the "region" of a shape in it, or every plane of the "stack"."""
        image, plane = self.view.place()
        if where == "plane":
            parts = [self._part(image, plane)]
        elif where == "region":
            parts = [self._part(image, plane, drawn_region(self._viewer, shapes, image, plane))]
        elif where == "stack":
            parts = [self._part(image, each) for each in stack_planes(image, plane)]
        else:
            raise InputError(f"Cannot run on {where!r}: choose one of {', '.join(WHERE)}.")
        self._start(image, parts)

    def measure(self, path: str | Path) -> None:
        """Write a table of all objects of the labels layer, in the background."""
        image, _ = self.view.place()
        if (layer := self.board.layer) is None:
            raise InputError("There are no labels to measure: run first, or choose a labels layer to write to.")
        self._measurer.start(layer, image, path)
        self.said.emit(f"Measuring the objects of {layer.name}.")

    def clear_preview(self) -> None:
        """Show no preview."""
        self.board.stop_passing()
        self._overlay.clear()
        self.previewed = 0

    def _part(self, image: Image, plane: Plane, region: Region | None = None) -> Part:
        read = self.view.reader(image, plane)

        def look() -> npt.NDArray[Any]:
            pixels = read()
            if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
                self.has_missing = True  # only ever set by the worker, and read when the run is over
            return pixels

        return Part(plane, region, look, self.view.stretch(image, plane))

    def _start(self, image: Image, parts: list[Part], *, preview: bool = False) -> None:
        if self.runner.busy:
            raise InputError("A run is going on: wait until it has ended, or cancel it.")
        self.view.check_model()
        self.completed, self.has_missing, self._error = False, False, None
        if not preview:
            try:
                check_room(self.board.ensure(image).ensure())
            except InputError as error:  # said before the work, not after it
                self._fail(error)
                return
            self._run = next(self._runs)
        self.clear_preview()
        self._image, self._previewing, self._late = image, preview, None
        self.skipped.clear()
        question = self.view.question(image, parts[0].plane)
        self.searched = self._search()
        task = AutoTask(self.view.number, question["model"], self.searched, question["normalization"], tuple(parts))
        resumed = self.runner.start(task)
        self.said.emit("Going on where the run was cancelled." if resumed else "")
        self.changed.emit()

    def _search(self) -> AutoSettings:
        """Return how to search: as before where a cancelled run can go on and the filter asks for no more than it."""
        now, before = loosened(self.board.settings), self.runner.rest
        if before is not None:
            thresholds = {name: getattr(before, name) for name in SLACK}
            enough = all(low <= getattr(self.board.settings, name) for name, low in thresholds.items())
            if enough and now.changed(**thresholds) == before:
                return before
        return now

    def _is_searched(self, plane: Plane) -> bool:
        return not self._previewing and self._image is self.view.layer and self.runner.searches(plane)

    def _on_found(self, part: Part, records: list[MaskRecord], complete: bool) -> None:
        self._late = part, records
        if complete:
            self._show_late()
        elif not self._show_timer.isActive():
            self._show_timer.start(SHOW_EVERY)

    def _show_some(self) -> None:
        """Show what was found so far, unless the time before is still being dealt with."""
        if self.board.choosing:
            self._show_timer.start(SHOW_EVERY)
        else:
            self._show_late()

    def _show_late(self) -> None:
        """Show what was found and not shown yet."""
        self._show_timer.stop()
        if self._late is None or self._image is None:
            return
        (part, records), self._late = self._late, None
        if self._previewing:
            self.board.let_pass(part.plane, tuple(records), part.read)
        elif self._image in self._viewer.layers:
            try:
                findings = self.board.ensure(self._image).findings(part.plane)
                self.board.add(self._image, part.plane, findings.found(records, part.region), self._run)
            except InputError as error:  # the labels layer was replaced by something else meanwhile
                self.runner.cancel()
                self._fail(error)

    def _on_skipped(self, part: Part, error: Exception) -> None:
        self.skipped.append((part.plane, str(error)))

    def _on_ended(self, complete: bool, error: BaseException | None) -> None:
        self._show_late()
        self.completed = complete
        if error is not None:
            self._fail(error)
        elif self.skipped:
            self._fail(InputError(skipped_text(self.skipped)))
        elif not complete:
            kept = "" if self._previewing else " What was found stays; the same run goes on from there."
            self.said.emit(f"Cancelled.{kept}")
        self.changed.emit()

    def _on_passed(self, chosen: Chosen) -> None:
        """Show the preview's objects."""
        self.previewed = len(chosen.records)
        if self._image is None or not self._previewing:
            return
        if (region := bounds(chosen.records)) is None:
            self._overlay.clear()
        else:
            labels = paint(dict(enumerate(chosen.records, start=1)), region)
            self._overlay.show(self._image, chosen.plane, labels, region[:2])
        self.changed.emit()

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.failed.emit(error)

    def _on_lost(self) -> None:
        self.runner.cancel()
        self.clear_preview()
        self.said.emit('The image layer was removed: choose another one under "Image".')

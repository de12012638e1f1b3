"""The objects that one viewer shows: filtered, measured, edited; knows nothing of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.errors import InputError
from napari_sam.ops.label_image import label_records
from napari_sam.widgets.findings import Findings, Objects
from napari_sam.widgets.label_measurer import pixel_micrometres
from napari_sam.widgets.object_sheet import ObjectSheet
from napari_sam.widgets.plane import Plane, base_level, plane_reader
from napari_sam.widgets.plane_linking import link_sheet
from napari_sam.widgets.sifter import Chosen, Measured, Sieve, Sifter, Sight

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils.events import Event

    from napari_sam.ops.mask_record import MaskRecord
    from napari_sam.widgets.image_view import ImageView
    from napari_sam.widgets.sheet_history import SheetHistory

__all__ = ["ObjectBoard"]

SLIDER_PAUSE = 40  # ms that a slider must rest
PAINT_PAUSE = 150  # ms after a stroke of the brush
MEASURED_AT_ONCE = 20  # objects measured without another thread
_CHANGES = ("paint", "labels_update", "data")


class ObjectBoard(QObject):
    """Keep candidates, objects, labels and their table in step.

    Emits `changed` when objects or history changed, `passed(Chosen)` for candidates that only pass by, and
    `failed(exception)`.

    Parameters
    ----------
    viewer
        The viewer.
    view
        Its image and the displayed plane.
    """

    changed = Signal()
    passed = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel, view: ImageView) -> None:
        super().__init__()
        self._viewer = viewer
        self._view = view
        self.settings: AutoSettings = load_auto_settings("cells")
        self.is_busy_plane: Callable[[Plane], bool] = lambda _plane: False  # told by who runs the model
        self._sheets: dict[Image, ObjectSheet] = {}
        self._sifter = Sifter()
        self._columns: dict[tuple[Image, Plane], dict[str, Any]] = {}
        self._stale: set[Plane] = set()
        self._unmeasured: set[Plane] = set()
        self._passing: Sieve | None = None
        self._watched: Labels | None = None
        self._slider_timer = self._timer(self.sift)
        self._paint_timer = self._timer(self._adopt)
        self._sifter.chosen.connect(self._on_chosen)
        self._sifter.measured.connect(self._on_measured)
        self._sifter.failed.connect(self.failed)
        self._sifter.rested.connect(self._on_rested)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """End the threads and let go of the viewer; the layers stay."""
        self._slider_timer.stop()
        self._paint_timer.stop()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._watch(None)
        self._sifter.close()
        for sheet in self._sheets.values():
            sheet.close()

    # what there is

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""
        return self._sifter.busy or self._slider_timer.isActive() or self._paint_timer.isActive()

    @property
    def choosing(self) -> bool:
        """Tell whether candidates are being chosen from."""
        return self._sifter.choosing

    @property
    def sheet(self) -> ObjectSheet | None:
        """The objects of the chosen image."""
        return self._sheets.get(self._view.layer) if self._view.layer is not None else None

    @property
    def layer(self) -> Labels | None:
        """The labels layer of the chosen image."""
        return self.sheet.layer if self.sheet is not None else None

    def objects(self) -> Objects:
        """Return the objects on the displayed plane by label."""
        image, plane = self._view.place()
        sheet = self._sheets.get(image)
        return dict(sheet.objects.get(plane, {})) if sheet is not None else {}

    def findings(self) -> Findings:
        """Return what is known of the displayed plane."""
        image, plane = self._view.place()
        return self._sheets[image].findings(plane) if image in self._sheets else Findings()

    def table(self) -> dict[str, Any]:
        """Return the rows of the displayed plane's objects, measured now where they were not yet."""
        image, plane = self._view.place()
        return self._sifter.measure_now(self._sight(image, plane)).columns

    @property
    def cursor(self) -> tuple[float, ...]:
        """Where the mouse points, in the world."""
        return tuple(self._viewer.cursor.position)

    # what to work on

    def show_image(self) -> None:
        """Go on with the image that was chosen."""
        self._watch(self.layer)
        self._stale.clear()
        self.changed.emit()

    def set_layer(self, layer: Labels | None) -> None:
        """Choose the labels layer of the chosen image, None: a new one; what was found stays in the former one."""
        image = self._view.layer
        if image is None or (self.layer is layer and layer is not None):
            return
        self._drop(image)
        self._sheets[image] = ObjectSheet(self._viewer, image, layer)
        self.show_image()

    def ensure(self, image: Image) -> ObjectSheet:
        """Return the sheet of an image, its labels layer made."""
        if image not in self._sheets:
            self._sheets[image] = ObjectSheet(self._viewer, image)
        self._watch(self._sheets[image].ensure())
        return self._sheets[image]

    # the filter

    def set_settings(self, settings: AutoSettings) -> None:
        """Change the filter, which acts on what was found already, soon."""
        before, self.settings = self.settings, settings
        if settings != before and (self.sheet is not None or self._passing is not None):
            self._stale.update(self.sheet.planes if self.sheet is not None else ())
            self._slider_timer.start(SLIDER_PAUSE)

    def filter_now(self) -> None:
        """Let the filter act at once."""
        self._slider_timer.stop()
        if self._view.layer is not None and self.sheet is not None:
            self._rewrite(self._view.layer, self.sheet, self.sheet.planes, anew=True)
        if self._passing is not None:
            self.sift()

    def history_of(self, layer: Labels) -> SheetHistory | None:
        """Return what was done to a labels layer, None if it is no image's."""
        return next((sheet.history for sheet in self._sheets.values() if sheet.layer is layer), None)

    def add(self, image: Image, plane: Plane, findings: Findings, run: int) -> None:
        """Take over what a run found in a plane so far."""
        self.ensure(image).put({plane: findings}, run=run)
        if self._view.layer is image:
            self._stale.add(plane)
            self.sift()
        else:
            self._rewrite(image, self._sheets[image], [plane])

    def let_pass(self, plane: Plane, candidates: tuple[MaskRecord, ...], read: Callable[[], Any]) -> None:
        """Choose from candidates that do not become labels; `passed` tells which."""
        self._passing = Sieve(plane, candidates, self.settings, read, preview=True)
        self.sift()

    def stop_passing(self) -> None:
        """Forget them."""
        self._passing = None

    def sift(self) -> None:
        """Choose from the candidates of planes where the filter or the candidates changed, away from this thread."""
        image, sheet, sieves = self._view.layer, self.sheet, []
        if image is not None and sheet is not None:
            sieves += [self._sieve(image, sheet, plane) for plane in sorted(self._stale, key=self._is_hidden)]
        if self._passing is not None:
            passing = self._passing
            sieves.append(Sieve(passing.plane, passing.candidates, self.settings, passing.read, preview=True))
        if sieves:
            self._sifter.sift(sieves)

    # edits

    def accept(self, label: int) -> None:
        """Settle an object, so that no filter and no run changes it."""
        self._edit([label], lambda findings, objects: findings.settle(objects))

    def delete(self, label: int) -> None:
        """Remove an object."""
        self._edit([label], lambda findings, objects: findings.remove(objects))

    def merge(self, labels: Sequence[int]) -> int:
        """Make one object of several and return its label, the first one's."""
        if len(set(labels)) < 2:
            raise InputError(f"Merging takes at least two objects and got {len(set(labels))}: give more labels.")
        self._edit(labels, lambda findings, objects: findings.merge(objects))
        return int(labels[0])

    def add_objects(self, records: Sequence[MaskRecord]) -> list[int]:
        """Settle masks as new objects of the displayed plane, where nothing is settled yet; return their labels."""
        image, plane = self._view.place()
        sheet = self.ensure(image)
        findings = sheet.findings(plane)
        fitting = findings.visible(label_records(records, plane.shape)[1])
        labels = sheet.free_labels(len(fitting))
        sheet.put({plane: findings.settle(dict(zip(labels, fitting, strict=True)))})
        self._rewrite(image, sheet, [plane])
        return labels

    def link(self, axis: int | None = None) -> int:
        """Give objects that are one on neighbouring planes one label and settle them; return how many there are."""
        image, plane = self._view.place()
        sheet = self._sheets.get(image)
        changes, count = link_sheet(sheet, plane, image.axis_labels, axis)
        assert sheet is not None  # noqa: S101 - it has objects
        self._check_idle(changes)
        sheet.put(changes)
        self._rewrite(image, sheet, changes)
        return count

    def undo(self) -> None:
        """Take back the last run, edit or import."""
        self._step(lambda sheet: sheet.undo())

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._step(lambda sheet: sheet.redo())

    def plane_of(self, label: int) -> Plane:
        """Return the plane in which an object lies."""
        image, plane = self._view.place()
        if image not in self._sheets:
            raise InputError(f"There is no object {label}: there are no objects yet, run first.")
        return self._sheets[image].plane_of(label, plane)

    def _edit(self, labels: Sequence[int], change: Callable[[Findings, dict[int, MaskRecord]], Findings]) -> None:
        image, _ = self._view.place()
        plane = self.plane_of(labels[0])
        self._check_idle([plane])
        sheet = self._sheets[image]
        findings, shown = sheet.findings(plane), sheet.objects[plane]
        if missing := [label for label in labels if label not in shown]:
            raise InputError(
                f"There is no object {missing[0]} in the plane of object {labels[0]}: give objects of one plane."
            )
        sheet.put({plane: change(findings, {label: shown[label] for label in labels})})
        self._rewrite(image, sheet, [plane])

    def _step(self, move: Callable[[ObjectSheet], tuple[Plane, ...]]) -> None:
        if (sheet := self.sheet) is not None and self._view.layer is not None:
            self._check_idle(sheet.planes)
            self._rewrite(self._view.layer, sheet, move(sheet))

    def _check_idle(self, planes: Iterable[Plane]) -> None:
        if any(self.is_busy_plane(plane) for plane in planes):
            raise InputError("The run is still at work on this plane: wait until it has ended, or cancel it.")

    # labels and their table

    def _rewrite(self, image: Image, sheet: ObjectSheet, planes: Iterable[Plane], *, anew: bool = False) -> None:
        """Bring the labels of planes up to date in this thread."""
        planes = list(planes)
        for plane in planes:
            if anew or not sheet.is_chosen(plane):
                chosen = self._sieve(image, sheet, plane).sift()
                sheet.choose(plane, chosen.candidates, chosen.records)
            sheet.write(plane)
            self._stale.discard(plane)
        self._tabulate(planes)
        self.changed.emit()

    def _on_chosen(self, chosen: Chosen) -> None:
        if chosen.preview:
            if self._passing is not None and chosen.candidates is self._passing.candidates:
                self.passed.emit(chosen)
            return
        sheet = self.sheet
        current = sheet is not None and chosen.settings == self.settings
        if sheet is None or not current or sheet.findings(chosen.plane).candidates is not chosen.candidates:
            return  # overtaken by an edit; what replaced it was or will be chosen from
        self._stale.discard(chosen.plane)
        sheet.choose(chosen.plane, chosen.candidates, chosen.records)
        try:
            sheet.write(chosen.plane)
        except InputError as error:
            self.failed.emit(error)
        self._unmeasured.add(chosen.plane)
        self.changed.emit()

    def _on_rested(self) -> None:
        if self._stale and not self._sifter.choosing and not self._slider_timer.isActive():
            self._stale.intersection_update(self.sheet.planes if self.sheet is not None else ())
            self.sift()
        elif self._unmeasured and not self._sifter.busy:
            self._tabulate(sorted(self._unmeasured, key=self._is_hidden), later=True)
        self.changed.emit()

    def _tabulate(self, planes: Sequence[Plane], *, later: bool = False) -> None:
        """Measure the objects of planes; a few at once, so that the table is right when an edit returns."""
        image, sheet = self._view.layer, self.sheet
        if image is None or sheet is None:
            return
        sights = [self._sight(image, plane) for plane in planes]
        few = sum(self._sifter.table.count_new(s.plane, s.objects) for s in sights) <= MEASURED_AT_ONCE
        if not later and few and isinstance(base_level(image), np.ndarray):
            for sight in sights:
                self._on_measured(self._sifter.measure_now(sight))
            return
        self._unmeasured.update(planes)
        self._sifter.measure(sights)

    def _sight(self, image: Image, plane: Plane) -> Sight:
        sheet = self._sheets.get(image)
        if sheet is None:
            return Sight(plane, {}, set(), plane_reader(image, plane))
        return Sight(
            plane,
            sheet.objects.get(plane, {}),
            set(sheet.findings(plane).settled),
            plane_reader(image, plane),
            pixel_micrometres(image, plane.axes),
        )

    def _on_measured(self, measured: Measured) -> None:
        sheet, image, sight = self.sheet, self._view.layer, measured.sight
        if sheet is None or image is None or sheet.layer is None or sheet.objects.get(sight.plane) is not sight.objects:
            return
        self._unmeasured.discard(sight.plane)
        self._columns[image, sight.plane] = measured.columns
        tables = [self._columns[image, plane] for plane in sheet.planes if (image, plane) in self._columns]
        names = dict.fromkeys(name for table in tables if len(table["label"]) for name in table)
        filled = [table for table in tables if len(table["label"])]
        columns = {
            name: np.concatenate([t.get(name, np.full(len(t["label"]), np.nan)) for t in filled]) for name in names
        }
        sheet.columns.write(sheet.layer, columns)

    def _sieve(self, image: Image, sheet: ObjectSheet, plane: Plane) -> Sieve:
        return Sieve(plane, sheet.findings(plane).candidates, self.settings, plane_reader(image, plane))

    def _is_hidden(self, plane: Plane) -> bool:
        try:
            return self._view.place()[1] != plane
        except InputError:
            return True

    # what happens elsewhere

    def _watch(self, layer: Labels | None) -> None:
        """Follow what others draw into the labels layer."""
        if layer is self._watched:
            return
        former, self._watched = self._watched, layer
        for name in _CHANGES:
            if former is not None:
                former.events[name].disconnect(self._on_drawn)
            if layer is not None:
                layer.events[name].connect(self._on_drawn)

    def _on_drawn(self, _event: Event) -> None:
        self._paint_timer.start(PAINT_PAUSE)

    def _adopt(self) -> None:
        sheet = self.sheet
        if sheet is not None and (drawn := [plane for plane in sheet.planes if sheet.adopt(plane)]):
            self._tabulate(drawn)
            self.changed.emit()

    def _on_removed(self, event: Event) -> None:
        for image, sheet in list(self._sheets.items()):
            if event.value in (image, sheet.layer):
                self._drop(image)
                self.changed.emit()

    def _drop(self, image: Image) -> None:
        if (sheet := self._sheets.pop(image, None)) is not None:
            if sheet.layer is self._watched:
                self._watch(None)
            sheet.close()
            self._columns = {key: table for key, table in self._columns.items() if key[0] is not image}

    def _timer(self, react: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(react)
        return timer

"""The objects of one image in one labels layer: what is known of each plane, their numbers, undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.ops.label_records import labels_to_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.widgets.feature_columns import FeatureColumns
from napari_sam.widgets.findings import Findings, bounds, paint, record_key
from napari_sam.widgets.free_labels import next_label, raise_highest
from napari_sam.widgets.label_colors import show_labels
from napari_sam.widgets.label_layers import add_labels_layer, check_labels_layer
from napari_sam.widgets.label_refresh import refresh_part
from napari_sam.widgets.label_watch import LabelWatch
from napari_sam.widgets.plane import LabelPlane, Plane
from napari_sam.widgets.sheet_history import Drawing, SheetHistory, SheetStep

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

__all__ = ["ObjectSheet"]

Candidates = tuple[MaskRecord, ...]


class ObjectSheet:
    """Keep labels and findings in step.

    Pixels of objects that the dock did not draw, there before or painted since, become settled objects: no filter and
    no run touches them, and undo and redo leave those pixels as they are.

    Parameters
    ----------
    viewer, image
        The image, and the viewer that shows it.
    layer
        The labels layer to write to; None: a new one, made when first needed.
    """

    def __init__(self, viewer: ViewerModel, image: Image, layer: Labels | None = None) -> None:
        self._viewer = viewer
        self.image = image
        self.layer = layer
        self.history = SheetHistory()
        self.objects: dict[Plane, dict[int, MaskRecord]] = {}  # what the labels show, by label
        self._findings: dict[Plane, Findings] = {}
        self._chosen: dict[Plane, tuple[Candidates, Sequence[MaskRecord]]] = {}  # by the filter, and of what
        self._numbers: dict[tuple[Plane, Any], int] = {}
        self._floating: dict[Plane, list[Drawing]] = {}  # to be laid on what undo or redo leaves
        self._watch = LabelWatch()
        self.columns = FeatureColumns()

    def close(self) -> None:
        """Let go of the layer."""
        self._watch.close()

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The planes of which anything is known."""
        return tuple(self._findings)

    def ensure(self) -> Labels:
        """Return the labels layer, made over the image if there is none.

        Raises
        ------
        InputError
            If the layer does not fit the image or cannot be written.
        """
        if self.layer is None:
            self.layer = add_labels_layer(self._viewer, self.image, f"SAM Auto: {self.image.name}")
        check_labels_layer(self.layer, self.image)
        return self.layer

    def findings(self, plane: Plane) -> Findings:
        """Return what is known of a plane, with what anyone else drew there since."""
        if self.layer is not None:
            self.adopt(plane)
        return self._findings.get(plane, Findings())

    def plane_of(self, label: int, first: Plane) -> Plane:
        """Return the plane in which an object lies, looking into `first` first.

        Raises
        ------
        InputError
            If there is no such object.
        """
        self.findings(first)
        found = next((plane for plane in (first, *self.planes) if label in self.objects.get(plane, {})), None)
        if found is None:
            raise InputError(f"There is no object {label}: give a label that is in the labels layer.")
        return found

    def put(self, changes: Mapping[Plane, Findings], *, run: int = 0) -> None:
        """Take over findings as one step that can be undone; steps of one run (not 0) that follow each other are one.

        The labels are brought up to date by `write`.
        """
        before = {plane: self._findings.get(plane, Findings()) for plane in changes}
        self._findings.update(changes)
        self.history.record(SheetStep(before, dict(changes), run))

    def undo(self) -> tuple[Plane, ...]:
        """Take back the last step and return the planes concerned, whose labels are to be written."""
        self._adopt_all(self.history.last)
        if (found := self.history.undo()) is None:
            return ()
        step, drawn = found
        return self._go_to(step.before, drawn)

    def redo(self) -> tuple[Plane, ...]:
        """Do again what was taken back last, likewise."""
        self._adopt_all(self.history.next)
        if (found := self.history.redo()) is None:
            return ()
        step, drawn = found
        return self._go_to(step.after, drawn)

    def _go_to(self, findings: Mapping[Plane, Findings], drawn: Sequence[Drawing]) -> tuple[Plane, ...]:
        self._findings.update(findings)
        for drawing in drawn:
            if drawing.plane in findings:
                self._floating.setdefault(drawing.plane, []).append(drawing)
        return tuple(findings)

    def choose(self, plane: Plane, candidates: Candidates, chosen: Sequence[MaskRecord]) -> None:
        """Say which of a plane's candidates become objects."""
        self._chosen[plane] = candidates, chosen

    def is_chosen(self, plane: Plane) -> bool:
        """Tell whether it was said which of the candidates that the plane has now become objects."""
        candidates = self._findings.get(plane, Findings()).candidates
        return not candidates or (plane in self._chosen and self._chosen[plane][0] is candidates)

    def write(self, plane: Plane) -> None:
        """Bring the labels of a plane up to date."""
        layer, floating = self.ensure(), self._floating.pop(plane, [])
        findings = self._findings.get(plane, Findings()) if floating else self.findings(plane)
        labels = LabelPlane(layer, plane)
        objects = self._number(plane, findings)
        if floating:
            objects = self._lay_on(plane, findings, objects, floating)
        top = np.iinfo(labels.dtype).max if labels.dtype.kind in "iu" else 0
        if max(objects, default=0) > top:
            raise InputError(
                f"The label {max(objects)} does not fit the layer {layer.name!r} of type {labels.dtype}, "
                f"which ends at {top}: choose another labels layer or 'new layer'."
            )
        before, self.objects[plane] = self.objects.get(plane, {}), objects
        different = [
            record
            for one, other in ((objects, before), (before, objects))
            for label, record in one.items()
            if label not in other or (other[label].box, other[label].bits) != (record.box, record.bits)
        ]
        if (region := bounds(different)) is not None:
            rows, cols = slice(region[0], region[2]), slice(region[1], region[3])
            labels[rows, cols] = paint(objects, region, labels.dtype)
            show_labels(layer, objects)
            refresh_part(layer, plane, rows, cols)
        raise_highest(layer, max(objects, default=0))
        self._watch.leave(labels)

    def free_labels(self, count: int) -> list[int]:
        """Return labels that no object has or had."""
        layer = self.ensure()
        first = next_label(layer)
        raise_highest(layer, first + count - 1)
        return list(range(first, first + count))

    def adopt(self, plane: Plane) -> bool:
        """Settle the objects that were drawn or changed by anyone else; tell whether there were any."""
        if self.layer is None:
            return False
        labels = LabelPlane(self.layer, plane)
        if not self._watch.look(labels):
            return False
        now = np.array(labels[:, :])
        known, shown = plane in self._findings, self.objects.get(plane, {})
        before = paint(shown, (0, 0, *plane.shape), now.dtype)
        findings, self.objects[plane] = _settle(self._findings.get(plane, Findings()), shown, before, now)
        self._findings[plane] = findings
        self._watch.leave(labels)
        changed = now != before
        if known and changed.any():  # what was there before anything was known is there to stay
            self.history.draw(Drawing.of(plane, changed, now))
        return bool(changed.any())

    def _lay_on(
        self, plane: Plane, findings: Findings, objects: dict[int, MaskRecord], floating: Sequence[Drawing]
    ) -> dict[int, MaskRecord]:
        """Return the objects with what was painted by hand on top of them, settled."""
        labels = LabelPlane(self.ensure(), plane)
        before = paint(objects, (0, 0, *plane.shape), labels.dtype)
        now = before.copy()
        for drawing in floating:
            drawing.lay_on(now)
        self._findings[plane], objects = _settle(findings, objects, before, now)
        return dict(sorted(objects.items()))

    def _adopt_all(self, step: SheetStep | None) -> None:
        for plane in step.before if step is not None else ():
            self.adopt(plane)

    def _number(self, plane: Plane, findings: Findings) -> dict[int, MaskRecord]:
        """Return all objects of a plane by label; a candidate that comes back has the label that it had."""
        objects = dict(findings.settled)
        fresh = []
        _, chosen = self._chosen.get(plane, ((), ()))
        for record in findings.visible(chosen if findings.candidates else ()):
            number = self._numbers.get((plane, record_key(record)))
            if number is None:
                fresh.append(record)
            elif number not in findings.settled:
                objects[number] = record
        for number, record in zip(self.free_labels(len(fresh)) if fresh else (), fresh, strict=True):
            self._numbers[plane, record_key(record)] = number
            objects[number] = record
        return dict(sorted(objects.items()))


def _settle(
    findings: Findings, shown: Mapping[int, MaskRecord], before: npt.NDArray[Any], now: npt.NDArray[Any]
) -> tuple[Findings, dict[int, MaskRecord]]:
    """Settle the objects that (H, W) labels show otherwise than before; return all that are known and shown then."""
    differs = now != before
    touched = np.union1d(now[differs], before[differs])
    drawn = _objects_of(now, touched[touched > 0])
    drawn = {label: _with_scores(record, shown.get(label)) for label, record in drawn.items()}
    gone = {label: shown[label] for label in touched.tolist() if label in shown and label not in drawn}
    left = {label: record for label, record in shown.items() if label not in gone}
    return findings.remove(gone).settle(drawn), left | drawn


def _objects_of(labels: npt.NDArray[Any], wanted: Iterable[int]) -> dict[int, MaskRecord]:
    """Return the records of some of a plane's labels."""
    picked = np.where(np.isin(labels, np.asarray(wanted)), labels, 0)
    return dict(zip(np.unique(picked[picked > 0]).tolist(), labels_to_records(picked), strict=True))


def _with_scores(record: MaskRecord, other: MaskRecord | None) -> MaskRecord:
    if other is None:
        return record
    return replace(record, predicted_iou=other.predicted_iou, stability_score=other.stability_score)

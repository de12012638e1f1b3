"""What is known of one plane: candidates of the model, objects that are settled, those removed; knows no napari."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import AutoSettings
from napari_sam.ops.label_image import label_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import select_records

__all__ = ["Findings", "Objects", "Region", "bounds", "choose", "overlap", "paint", "record_key"]

Region = tuple[int, int, int, int]  # (row0, col0, row1, col1), exclusive ends
Objects = Mapping[int, MaskRecord]

SAME = 0.5  # mask IoU above which a candidate is what the user removed
VISIBLE = 0.5  # of its pixels a candidate must have beside settled objects


def record_key(record: MaskRecord) -> tuple[Any, ...]:
    """Return what tells a candidate from any other of its plane, also after pixels of it were cleaned away."""
    return record.group, record.crop_box, record.point, record.predicted_iou, record.stability_score


def choose(candidates: Sequence[MaskRecord], settings: AutoSettings, image: Any = None) -> list[MaskRecord]:
    """Return the candidates that become objects, with the pixels that they get of each other; needs no model."""
    if not candidates:
        return []
    return label_records(select_records(candidates, settings), candidates[0].image_shape, settings, image=image)[1]


def paint(objects: Objects, region: Region, dtype: npt.DTypeLike = np.int32) -> npt.NDArray[Any]:
    """Return the (h, w) labels in a region of objects that do not overlap."""
    labels = np.zeros((region[2] - region[0], region[3] - region[1]), dtype)
    for label, record in objects.items():
        here, inside = overlap(region, record.box)
        labels[here][record.patch[inside]] = label
    return labels


def bounds(records: Iterable[MaskRecord]) -> Region | None:
    """Return the box around masks, None if there are none."""
    boxes = np.array([record.box for record in records if record.area])
    if not len(boxes):
        return None
    (row0, col0), (row1, col1) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    return row0, col0, row1, col1


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Hold what is known of one plane.

    Parameters
    ----------
    candidates
        What the model found, before any filter.
    settled
        Objects that no filter changes, by label: accepted, merged, imported, or drawn by hand. They do not overlap.
    removed
        Objects that the user removed; candidates that are the same do not come back.
    """

    candidates: tuple[MaskRecord, ...] = ()
    settled: Objects = field(default_factory=dict)
    removed: tuple[MaskRecord, ...] = ()

    def found(self, records: Sequence[MaskRecord], region: Region | None) -> Findings:
        """Return these with the candidates in a region, None: everywhere, replaced by others."""
        kept = () if region is None else tuple(r for r in self.candidates if not _holds(region, r.point))
        gone = () if region is None else tuple(r for r in self.removed if not _holds(region, r.point))
        return replace(self, candidates=(*kept, *records), removed=gone)

    def settle(self, objects: Objects) -> Findings:
        """Return these with objects settled, each as it is; a label that is settled already is replaced."""
        return replace(self, settled={**self.settled, **objects})

    def remove(self, objects: Objects) -> Findings:
        """Return these without objects."""
        settled = {label: record for label, record in self.settled.items() if label not in objects}
        return replace(self, settled=settled, removed=(*self.removed, *objects.values()))

    def merge(self, objects: Objects) -> Findings:
        """Return these with several objects settled as one, under the first one's label."""
        label, *_ = objects
        return self.remove(objects).settle({label: _union(list(objects.values()))})

    def visible(self, chosen: Sequence[MaskRecord]) -> list[MaskRecord]:
        """Return those of the chosen candidates that are no removed object, with what settled objects leave of them."""
        chosen = [record for record in chosen if not _is_among(record, self.removed)]
        if not self.settled:
            return chosen
        settled = list(self.settled.values())
        boxes = np.array([record.box for record in settled])
        left = []
        for record in chosen:
            row0, col0, row1, col1 = record.box
            near = (boxes[:, 0] < row1) & (boxes[:, 2] > row0) & (boxes[:, 1] < col1) & (boxes[:, 3] > col0)
            free = record.patch
            for index in np.flatnonzero(near):
                here, inside = overlap(record.box, settled[index].box)
                free[here] &= ~settled[index].patch[inside]
            if (area := np.count_nonzero(free)) > VISIBLE * record.area:
                left.append(record if area == record.area else record.with_patch(free, record.box[:2]))
        return left


def overlap(one: Region, other: Region) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where the part that two boxes share lies in each of them."""
    row0, col0 = max(one[0], other[0]), max(one[1], other[1])
    row1, col1 = max(row0, min(one[2], other[2])), max(col0, min(one[3], other[3]))
    here, there = ((slice(row0 - box[0], row1 - box[0]), slice(col0 - box[1], col1 - box[1])) for box in (one, other))
    return here, there


def _holds(region: Region, point: tuple[float, float]) -> bool:
    return region[0] <= point[0] < region[2] and region[1] <= point[1] < region[3]


def _union(records: Sequence[MaskRecord]) -> MaskRecord:
    region = bounds(records) or (0, 0, 0, 0)
    return MaskRecord.from_patch(
        paint(dict(enumerate(records, start=1)), region) > 0,
        region[:2],
        image_shape=records[0].image_shape,
        predicted_iou=float(np.mean([record.predicted_iou for record in records])),
        stability_score=float(np.mean([record.stability_score for record in records])),
    )


def _is_among(record: MaskRecord, others: Sequence[MaskRecord]) -> bool:
    return any(_mask_iou(record, other) > SAME for other in others)


def _mask_iou(one: MaskRecord, other: MaskRecord) -> float:
    here, there = overlap(one.box, other.box)
    shared = int(np.count_nonzero(one.patch[here] & other.patch[there]))
    return shared / max(one.area + other.area - shared, 1)

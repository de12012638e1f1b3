"""Linking the objects of SAM Auto over the planes of a stack, so that each has one label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.widgets.findings import Findings, Objects, overlap
from napari_sam.widgets.free_labels import next_label
from napari_sam.widgets.plane import Plane

if TYPE_CHECKING:
    from napari_sam.batch.link import Overlaps
    from napari_sam.ops.mask_record import MaskRecord
    from napari_sam.widgets.object_sheet import ObjectSheet

__all__ = ["link_sheet"]

Chain = list[tuple[Plane, int]]  # the planes of one object, and its labels there
Relabelled = dict[Plane, dict[int, int]]  # the label that each object of a plane gets


def link_sheet(
    sheet: ObjectSheet | None, plane: Plane, axis_labels: Sequence[str], axis: int | None
) -> tuple[dict[Plane, Findings], int]:
    """Return what is known of the planes parallel to one once their objects are linked, and how many objects that are.

    Raises
    ------
    InputError
        If there is no such axis, or there are no objects.
    """
    chosen, times = along(plane, axis_labels, axis)
    planes = [each for each in sheet.planes if each.axes == plane.axes] if sheet is not None else []
    if sheet is None or not any(sheet.objects.get(each) for each in planes):
        raise InputError("There are no objects to link: run on every plane first.")
    findings = {each: sheet.findings(each) for each in planes}
    objects = {each: sheet.objects.get(each, {}) for each in planes}
    rows = rows_of_planes(planes, chosen)
    chains = [chain for row in rows for chain in link_planes(row, objects, times=times)]
    labels = relabel(chains, next_label(sheet.ensure()))
    return {each: linked(findings[each], objects[each], labels.get(each, {})) for each in planes}, len(chains)


def rows_of_planes(planes: Sequence[Plane], axis: int) -> list[list[Plane]]:
    """Sort planes into rows that differ along one axis of the array only, each in rising order."""
    rows: defaultdict[tuple[int, ...], list[Plane]] = defaultdict(list)
    for plane in planes:
        rows[plane.index[:axis] + plane.index[axis + 1 :]].append(plane)
    return [sorted(row, key=lambda plane: plane.index[axis]) for _, row in sorted(rows.items())]


def link_planes(row: Sequence[Plane], objects: Mapping[Plane, Objects], *, times: bool) -> list[Chain]:
    """Return the objects of a row of planes that are one, each as its planes and its labels there.

    Parameters
    ----------
    row
        Neighbouring planes in their order.
    objects
        Those of each plane by label.
    times
        Whether the planes are times; else they are sections of bodies.
    """
    from napari_sam.batch.link import link

    numbered = [sorted(objects[plane].items()) for plane in row]  # the labels of a plane as 1 to n
    areas = [np.array([0, *(record.area for _, record in own)]) for own in numbered]
    centres = [np.array([(0.0, 0.0), *(_centre(record.box) for _, record in own)]) for own in numbered]
    records = [[record for _, record in own] for own in numbered]
    ids = link(areas, lambda a, b: _shared(records[a], records[b]), centres=None if times else centres)
    chains: defaultdict[int, Chain] = defaultdict(list)
    for plane, named, own in zip(row, numbered, ids, strict=True):
        for (label, _), number in zip(named, own[1:].tolist(), strict=True):
            chains[number].append((plane, label))
    return list(chains.values())


def _shared(one: Sequence[MaskRecord], other: Sequence[MaskRecord]) -> Overlaps:
    """Count the pixels that the objects of two planes share, as `batch.link.overlaps` does."""
    pairs, counts = [], []
    boxes = np.array([record.box for record in other]).reshape(-1, 4)
    patches: dict[int, npt.NDArray[np.bool_]] = {}
    for number, record in enumerate(one):
        row0, col0, row1, col1 = record.box
        near = (boxes[:, 0] < row1) & (boxes[:, 2] > row0) & (boxes[:, 1] < col1) & (boxes[:, 3] > col0)
        patch = record.patch if near.any() else None
        for index in np.flatnonzero(near).tolist():
            here, there = overlap(record.box, other[index].box)
            if patch is not None and (count := np.count_nonzero(patch[here] & _patch(patches, other, index)[there])):
                pairs.append((number + 1, index + 1))
                counts.append(count)
    return np.array(pairs, np.int64).reshape(-1, 2), np.array(counts, np.int64)


def _patch(known: dict[int, npt.NDArray[np.bool_]], records: Sequence[MaskRecord], index: int) -> npt.NDArray[np.bool_]:
    """Return the pixels of a record, unpacked once."""
    if index not in known:
        known[index] = records[index].patch
    return known[index]


def relabel(chains: Sequence[Chain], free: int) -> Relabelled:
    """Choose one label for each chain: the first of its own that no earlier chain has, else one from `free` on."""
    taken: set[int] = set()
    found: Relabelled = {}
    for chain in chains:
        label = next((own for _, own in chain if own not in taken), None)
        if label is None:
            label, free = free, free + 1
        taken.add(label)
        for plane, own in chain:
            found.setdefault(plane, {})[own] = label
    return found


def linked(findings: Findings, objects: Objects, labels: Mapping[int, int]) -> Findings:
    """Return what is known of a plane once its objects are settled under other labels."""
    return replace(findings, settled={labels[label]: record for label, record in objects.items()})


def along(plane: Plane, axis_labels: Sequence[str], axis: int | None) -> tuple[int, bool]:
    """Return the axis along which planes are linked, None: the last that they do not span, and whether it is time.

    Raises
    ------
    InputError
        If there is no such axis.
    """
    others = [k for k in range(len(plane.index)) if k not in plane.axes]
    if not others or (axis is not None and axis not in others):
        raise InputError(
            f"Planes can be linked along the axes {others or '(none)'} here, and the image has {len(plane.index)}: "
            "open a stack and search every plane of it first."
        )
    chosen = others[-1] if axis is None else axis
    return chosen, str(axis_labels[chosen]).lower() in ("t", "time")


def _centre(box: tuple[int, int, int, int]) -> tuple[float, float]:
    return (box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2

"""From masks that overlap to a label image: which masks become objects, and who gets the shared pixels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.config.auto import AutoSettings, parse_condition
from napari_sam.errors import InputError
from napari_sam.ops.containment import containment_parents, smaller_first
from napari_sam.ops.mask_features import measure_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.types import BoolArray

__all__ = ["choose_records", "label_records", "masks_to_labels"]

COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
BACKGROUND_SHARE = 0.5  # of the image
BACKGROUND_SIDES = 3  # of the image, touched


def masks_to_labels(
    records: Sequence[MaskRecord],
    shape: tuple[int, ...],
    settings: AutoSettings | None = None,
    *,
    image: Any = None,
    **changes: Any,
) -> npt.NDArray[np.int32]:
    """Return the (H, W) int32 label image of masks; see `label_records`."""
    return label_records(records, shape, settings, image=image, **changes)[0]


def choose_records(
    records: Sequence[MaskRecord],
    shape: tuple[int, ...],
    settings: AutoSettings | None = None,
    *,
    image: Any = None,
    **changes: Any,
) -> list[MaskRecord]:
    """Return the records that become the labels 1 to n, in this order, with all their pixels (see `label_records`)."""
    return [record for record, _ in _assign(records, shape, _settings(settings, changes), image)[1]]


def label_records(
    records: Sequence[MaskRecord],
    shape: tuple[int, ...],
    settings: AutoSettings | None = None,
    *,
    image: Any = None,
    **changes: Any,
) -> tuple[npt.NDArray[np.int32], list[MaskRecord]]:
    """Make masks that may overlap into labels.

    First masks are left out by `min_area`, `max_area`, `remove_background` and `conditions`, all measured on the masks
    as they were found; then by `nesting`. The rest get their pixels in the order of `overlap`, the foremost mask
    first: the "smaller" one or the one of the higher "score" (by `rank_by`). A mask keeps what those
    in front of it left; if they cut it into pieces, only the largest piece (pixels joined by sides or corners) stays,
    so that no object is scattered. What is then smaller than `min_area`, or empty, is left out, and its pixels are
    free for the masks behind it. With "whole" a mask of which any pixel is taken is left out instead.

    Parameters
    ----------
    records
        Masks of one image, in any order.
    shape
        (H, W) or (H, W, C) of the image.
    settings, changes
        Fields of `AutoSettings`; those of finding masks are not used here.
    image
        Needed for conditions on intensity only; see `measure_records`.

    Returns
    -------
    labels
        (H, W) int32, 0 background, the labels 1 to n by falling score.
    records
        n records with the pixels that their labels have.

    Raises
    ------
    InputError
        If records are of an image of another size, or a condition cannot be used.
    """
    labels, claims = _assign(records, shape, _settings(settings, changes), image)
    return labels, [final for _, final in claims]


def _settings(settings: AutoSettings | None, changes: dict[str, Any]) -> AutoSettings:
    settings = AutoSettings() if settings is None else settings
    return settings.changed(**changes) if changes else settings


def _assign(
    records: Sequence[MaskRecord], shape: tuple[int, ...], settings: AutoSettings, image: Any
) -> tuple[npt.NDArray[np.int32], list[tuple[MaskRecord, MaskRecord]]]:
    """Return the labels, and for each its record as found and with the pixels it got."""
    size = int(shape[0]), int(shape[1])
    for record in records:
        if record.image_shape != size:
            raise InputError(
                f"A mask is of an image of {record.image_shape} pixels, not {size}: give the shape of the image in "
                "which the masks were found."
            )
    kept = _nested(_allowed(records, settings, image), settings.nesting)
    kept.sort(key=smaller_first if settings.overlap == "smaller" else _better_first(settings.rank_by))
    labels = np.zeros(size, np.int32)
    claims: list[tuple[MaskRecord, MaskRecord]] = []
    for record in kept:
        part, patch, final = labels[record.slices], record.patch, record
        free = patch & (part == 0)
        if np.count_nonzero(free) < record.area:
            if settings.overlap == "whole" or not free.any():
                continue
            free = _largest_piece(free)
            final = record.with_patch(free, record.box[:2])
        if final.area < settings.min_area:
            continue
        claims.append((record, final))
        part[free] = -1  # taken; numbered below
    better = _better_first(settings.rank_by)
    claims.sort(key=lambda claim: better(claim[0]))
    for number, (_, final) in enumerate(claims, start=1):
        labels[final.slices][final.patch] = number
    return labels, claims


def _better_first(score: str) -> Callable[[MaskRecord], tuple[object, ...]]:
    """Return the sort key that puts the mask of the higher score first."""

    def key(record: MaskRecord) -> tuple[object, ...]:
        return -getattr(record, score), -record.predicted_iou, -record.stability_score, smaller_first(record)

    return key


def _largest_piece(mask: BoolArray) -> BoolArray:
    """Return the largest piece of a (h, w) mask, of equal ones the first in reading order."""
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    return pieces == 1 + int(sizes[1:].argmax())


def _nested(records: list[MaskRecord], nesting: str) -> list[MaskRecord]:
    if nesting == "all":
        return records
    parents = containment_parents(records)
    if nesting == "root":
        return [record for record, parent in zip(records, parents, strict=True) if parent < 0]
    containing = set(parents)
    return [record for index, record in enumerate(records) if index not in containing]


def _allowed(records: Sequence[MaskRecord], settings: AutoSettings, image: Any) -> list[MaskRecord]:
    """Return the records of allowed size that are not background and fulfil the conditions."""
    largest = settings.max_area or np.inf
    kept = [record for record in records if max(1, settings.min_area) <= record.area <= largest]
    if settings.remove_background:
        kept = [record for record in kept if not _is_background(record)]
    conditions = [parse_condition(condition) for condition in settings.conditions]
    if not conditions:
        return kept
    values = measure_records(kept, image, properties=[name for name, _, _ in conditions])
    good = np.ones(len(kept), bool)
    for name, sign, number in conditions:
        good &= COMPARISONS[sign](values[name], number)
    return [record for record, fits in zip(kept, good, strict=True) if fits]


def _is_background(record: MaskRecord) -> bool:
    height, width = record.image_shape
    row0, col0, row1, col1 = record.box
    sides = (row0 == 0) + (col0 == 0) + (row1 == height) + (col1 == width)
    return record.area > BACKGROUND_SHARE * height * width or sides >= BACKGROUND_SIDES

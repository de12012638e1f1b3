"""The prompts of a job, plane by plane: from a table, or one for each label of an image of seeds."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.io import prompt_table
from napari_sam.io.label_store import labels_exist
from napari_sam.io.large_image import LargeImage, LazyPlane, open_large_image
from napari_sam.io.mask_entries import left_out
from napari_sam.io.prompt_table import PromptRow, PromptTable, is_table, read_prompt_table
from napari_sam.io.zarr_location import is_remote, join

__all__ = ["check_prompts_source", "has_texts", "open_seeds", "prompts_location", "prompts_of_plane"]

BLOCK = 2048  # pixels a side that are read of seeds at once
LARGEST_ID = 2**31 - 1

Arrays = dict[str, npt.NDArray[Any]]


def check_prompts_source(settings: BatchSettings, image: LargeImage) -> str:
    """Check the prompts of a job before it begins, and return what tells other ones apart.

    Raises
    ------
    InputError
        If the table cannot be read, has objects of text alone or names planes that do not exist, or the seeds do not
        fit the image.
    """
    if not is_table(settings.prompts):
        seeds = open_seeds(settings.prompts, image)
        if is_remote(seeds.location):
            return seeds.location
        # as far as one can tell without reading them
        return "-".join(seeds.signature((0, 0, *seeds.shape), index) for index in seeds.planes())
    table = _table(settings.prompts, image)
    if table.problems:
        warnings.warn(left_out(table.problems, settings.prompts), UserWarning, stacklevel=2)
    rows = table.rows
    for row in rows:
        count = _count_planes(row, image)
        if count != 1:
            said = ", ".join(f"{axis}={k}" for axis, k in zip("tz", row.plane, strict=True) if k is not None)
            there = ", ".join(f"{axis} from 0 to {image.sizes[axis] - 1}" for axis in image.stacked)
            raise InputError(
                f"Object {row.object_id} of {settings.prompts} is on {count or 'no'} planes "
                f"({said or 'no t, no z'}): name one plane in the columns t and z ({there or 'the image has but one'})."
            )
    for group in _by_plane(rows, image.stacked).values():
        _check_objects(group, settings.prompts)
    return hashlib.sha256(Path(settings.prompts).read_bytes()).hexdigest()


def has_texts(settings: BatchSettings) -> bool:
    """Tell whether the prompts of a job are a table that says of some object in words what it is.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    return is_table(settings.prompts) and prompt_table.has_texts(settings.prompts)


def open_seeds(prompts: str, image: LargeImage) -> LargeImage:
    """Open a label image of seeds: the name of labels inside the image, or any location.

    Raises
    ------
    InputError
        If there is none, or its planes are not those of the image.
    """
    location = _seeds_location(prompts, image)
    try:
        seeds = open_large_image(location)
    except InputError as error:
        raise InputError(
            f"The prompts {prompts!r} are no table (.csv, .geojson), no labels of the image, and no label image that "
            f"can be opened: {error}"
        ) from error
    fitting = [k for k in range(len(seeds.levels)) if _sides(seeds.at_level(k)) == _sides(image)]
    if not fitting:
        raise InputError(
            f"The seeds {location} have the sides {_sides(seeds)}, the image {_sides(image)}: give seeds of "
            "the image's size."
        )
    if seeds.dtype.kind not in "iu" or "c" in seeds.axes:
        raise InputError(f"The seeds {location} are no label image ({seeds.dtype}, axes {seeds.axes}): give integers.")
    return seeds.at_level(fitting[0])


def prompts_location(settings: BatchSettings, image: LargeImage) -> str:
    """Return where the prompts of a job lie: a table, or a label image of seeds."""
    return settings.prompts if is_table(settings.prompts) else _seeds_location(settings.prompts, image)


def prompts_of_plane(settings: BatchSettings, image: LargeImage, plane: int) -> Arrays:
    """Return the prompts of a plane, one a row, in the order that decides who keeps shared pixels.

    Returns
    -------
    dict
        id (k,) int64; box (k,) bool, else a point; place (k, 4) float64, row0, col0, row1, col1 of a box (exclusive
        ends) or row, col, 0, 0 of a point; label (k,) int64, 1 or 0 of a point. Where a table has texts: texts (t,)
        str, the first of them "", and text (k,) int32, the number of what the prompt's object is said to be.

    Raises
    ------
    InputError
        If the seeds cannot be read or have numbers that are no labels.
    """
    index = image.planes()[plane]
    if is_table(settings.prompts):
        return _from_rows(_rows_by_plane(settings.prompts, image).get(tuple(index.values()), ()))
    pixels = open_seeds(settings.prompts, image).plane(index)
    ids, boxes = _seed_boxes(pixels)
    if settings.seeds == "point":
        boxes[:, :2], boxes[:, 2:] = _middle_pixels(pixels, ids, boxes), 0
    return {
        "id": ids,
        "box": np.full(len(ids), settings.seeds == "box"),
        "place": boxes.astype(np.float64),
        "label": np.ones(len(ids), np.int64),
    }


def _seeds_location(prompts: str, image: LargeImage) -> str:
    inside = bool(image.version) and "/" not in prompts and labels_exist(image.location, prompts)
    return join(image.location, "labels", prompts) if inside else prompts


def _table(path: str, image: LargeImage) -> PromptTable:
    """Return the prompts of a table, read once as long as it stays as it is."""
    return _read_table(path, image.shape, _written(path))


def _rows_by_plane(path: str, image: LargeImage) -> dict[tuple[int, ...], list[PromptRow]]:
    """Return the rows of a table by the index of their plane, sorted once as long as it stays as it is."""
    return _sort_table(path, image.shape, _written(path), image.stacked)


def _written(path: str) -> int:
    try:
        written = Path(path).stat().st_mtime_ns
    except OSError:  # reading it says what is wrong
        written = 0
    return written


@lru_cache(maxsize=1)
def _read_table(path: str, shape: tuple[int, int], _written: int) -> PromptTable:
    return read_prompt_table(path, shape)


@lru_cache(maxsize=1)
def _sort_table(
    path: str, shape: tuple[int, int], written: int, stacked: tuple[str, ...]
) -> dict[tuple[int, ...], list[PromptRow]]:
    return _by_plane(_read_table(path, shape, written).rows, stacked)


def _sides(image: LargeImage) -> dict[str, int]:
    return {axis: side for axis, side in image.sizes.items() if axis != "c" and (axis in "yx" or side > 1)}


def _count_planes(row: PromptRow, image: LargeImage) -> int:
    """Return on how many planes a row is: on all where it does not say."""
    said = dict(zip("tz", row.plane, strict=True))
    count = 1
    for axis in {*said, *image.stacked}:
        side, number = image.sizes.get(axis, 1), said.get(axis)
        count *= side if number is None else int(0 <= number < side)
    return count


def _by_plane(rows: Sequence[PromptRow], stacked: tuple[str, ...]) -> dict[tuple[int, ...], list[PromptRow]]:
    """Group rows by the index of their plane along the stacked axes, of which each names one plane."""
    planes: dict[tuple[int, ...], list[PromptRow]] = {}
    for row in rows:
        said = dict(zip("tz", row.plane, strict=True))
        planes.setdefault(tuple(said.get(axis) or 0 for axis in stacked), []).append(row)
    return planes


def _check_objects(rows: Sequence[PromptRow], name: str) -> None:
    boxed, placed, texts = set(), set(), dict[int, str]()
    for row in rows:
        if row.kind == "box" and row.object_id in boxed:
            raise InputError(f"Object {row.object_id} of {name} has two boxes: give one, or another object_id to one.")
        if row.kind == "box":
            boxed.add(row.object_id)
        if row.kind != "text":
            placed.add(row.object_id)
        if row.text and texts.setdefault(row.object_id, row.text) != row.text:
            raise InputError(
                f"Object {row.object_id} of {name} has the texts {texts[row.object_id]!r} and {row.text!r}: give one, "
                "or another object_id to the rest."
            )
    for number, text in texts.items():
        if number not in placed:
            raise InputError(
                f"Object {number} of {name} is but the text {text!r}: add a point or a box that says where it is, or "
                "choose mode text to find all that is named."
            )


def _as_box(row: PromptRow) -> PromptRow:
    """Let a polygon stand for its box: a mask would be as large as the image."""
    if row.record is None:
        return row
    row0, col0, row1, col1 = row.record.box
    return replace(row, kind="box", row=row0, col=col0, row1=row1, col1=col1, record=None)


def _from_rows(rows: Sequence[PromptRow]) -> Arrays:
    order: dict[int, int] = {}
    for row in rows:
        order.setdefault(row.object_id, len(order))
    said = {row.object_id: row.text for row in rows if row.text}
    # rows of text alone have no place, but count in the order of the objects
    rows = [_as_box(row) for row in sorted(rows, key=lambda row: order[row.object_id]) if row.kind != "text"]
    arrays: Arrays = {
        "id": np.array([row.object_id for row in rows], np.int64),
        "box": np.array([row.kind == "box" for row in rows], bool),
        "place": np.array([(row.row, row.col, row.row1, row.col1) for row in rows], np.float64).reshape(-1, 4),
        "label": np.array([row.label for row in rows], np.int64),
    }
    if said:  # by number: one column of texts would be as wide as the longest
        texts = ["", *dict.fromkeys(said.values())]
        number = {text: k for k, text in enumerate(texts)}
        arrays["texts"] = np.array(texts)
        arrays["text"] = np.array([number[said.get(row.object_id, "")] for row in rows], np.int32)
    return arrays


def _seed_boxes(pixels: LazyPlane) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the labels of an image in rising order and their (n, 4) boxes, reading it piece by piece."""
    ids, boxes = np.empty(0, np.int64), np.empty((0, 4), np.int64)
    for labels, rows, cols in _labelled_pixels(pixels):
        corners = np.stack([rows, cols, rows + 1, cols + 1], axis=1)
        ids, place = np.unique(np.concatenate([ids, labels]), return_inverse=True)
        corners = np.concatenate([boxes, corners])
        boxes = np.empty((len(ids), 4), np.int64)
        boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, -1
        np.minimum.at(boxes[:, :2], place, corners[:, :2])
        np.maximum.at(boxes[:, 2:], place, corners[:, 2:])
    return ids, boxes


def _middle_pixels(
    pixels: LazyPlane, ids: npt.NDArray[np.int64], boxes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the (n, 2) pixel of each label that is nearest to the middle of its box, the first of equal ones."""
    best = np.zeros((len(ids), 2), np.int64)
    least = np.full(len(ids), np.iinfo(np.int64).max)
    for labels, rows, cols in _labelled_pixels(pixels):
        place = np.searchsorted(ids, labels)
        off_rows = 2 * rows + 1 - boxes[place, 0] - boxes[place, 2]
        off_cols = 2 * cols + 1 - boxes[place, 1] - boxes[place, 3]
        distance = off_rows**2 + off_cols**2
        order = np.lexsort((cols, rows, distance, place))
        seeds, first = np.unique(place[order], return_index=True)
        nearest = order[first]
        nearer = distance[nearest] < least[seeds]  # blocks come in reading order, so of equal ones the first stays
        best[seeds[nearer]] = np.stack([rows[nearest], cols[nearest]], axis=1)[nearer]
        least[seeds[nearer]] = distance[nearest][nearer]
    return best


def _labelled_pixels(
    pixels: LazyPlane,
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield label, row and column of the pixels that are no background, block by block."""
    height, width = pixels.shape[:2]
    for row in range(0, height, BLOCK):
        for col in range(0, width, BLOCK):
            block = pixels[row : row + BLOCK, col : col + BLOCK]
            rows, cols = np.nonzero(block)
            labels = block[rows, cols].astype(np.int64)
            if len(labels) and not 0 < labels.min() <= labels.max() <= LARGEST_ID:
                raise InputError(
                    f"The seeds have numbers from {labels.min()} to {labels.max()}: give 0 to {LARGEST_ID}."
                )
            yield labels, rows + row, cols + col

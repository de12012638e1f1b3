"""Patches written to labels on disk, and what the coarser levels show of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sam.errors import InputError
from napari_sam.io import highest_label
from napari_sam.io.label_pyramid import coarsen
from napari_sam.io.label_store import LabelStore, create_labels, open_labels
from napari_sam.io.large_image import open_large_image
from napari_sam.io.ome_metadata import ome_attributes
from napari_sam.widgets.plane import Plane
from napari_sam.widgets.stored_labels import StoredLabels


def make(folder: Path, shape: tuple[int, ...], shards: tuple[int, int] = (1, 1)) -> LabelStore:
    zarr.create_array(
        str(folder / "image.zarr"), shape=shape, dtype="uint8", chunks=(*(1,) * (len(shape) - 2), 200, 200)
    )
    return create_labels(open_large_image(folder / "image.zarr"), folder / "out.zarr", "mine", shards=shards)


def plane_of(store: LabelStore, *fixed: int) -> Plane:
    ndim = store.array.ndim
    return Plane((ndim - 2, ndim - 1), (*fixed, 0, 0), store.array.shape[-2:])


@pytest.mark.parametrize(
    ("shape", "shards"), [((1301, 777), (1, 1)), ((1301, 777), (400, 400)), ((3, 1025, 600), (1, 1))]
)
def test_all_levels_stay_as_if_built_anew(tmp_path: Path, shape: tuple[int, ...], shards: tuple[int, int]) -> None:
    store = make(tmp_path, shape, shards)
    keeper = StoredLabels(store)
    truth = np.zeros(shape, np.int32)
    rng = np.random.default_rng(1)
    assert len(store.levels) > 1
    for label in range(1, 25):
        fixed = tuple(int(rng.integers(0, side)) for side in shape[:-2])
        (row, col), (height, width) = rng.integers(0, np.array(shape[-2:]) - 1), rng.integers(1, (300, 200))
        rows, cols = (
            slice(at, min(at + size, side))
            for at, size, side in zip((row, col), (height, width), shape[-2:])  # noqa: B905
        )
        if label % 4 == 0:  # the smallest patches are not seen in all levels
            rows, cols = slice(row, row + 1), slice(col, col + 1)
        truth[(*fixed, rows, cols)] = label
        keeper.write(plane_of(store, *fixed), rows, cols, truth[(*fixed, rows, cols)])
    np.testing.assert_array_equal(store.array[...], truth)
    for number in range(1, len(store.levels)):
        level = np.asarray(store.levels[number][...])
        height, width = level.shape[-2:]
        for plane, _ in store.blocks(number):
            place = tuple(plane.get(axis, 0) for axis in store.axes[:-2])
            anew = coarsen(store.levels[number - 1], level.shape, store.axes, plane, (0, 0, height, width))
            np.testing.assert_array_equal(level[place], anew)


def test_the_highest_label_is_noted(tmp_path: Path) -> None:
    store = make(tmp_path, (900, 800))
    keeper = StoredLabels(store)
    assert keeper.highest == 0
    keeper.write(plane_of(store), slice(3, 5), slice(4, 6), np.full((2, 2), 7))
    keeper.write(plane_of(store), slice(3, 5), slice(4, 6), np.zeros((2, 2), np.int32))
    assert keeper.highest == 7  # there ever was
    assert StoredLabels(open_labels(tmp_path / "out.zarr", "mine")).highest == 7


def test_only_files_that_changed_since_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path, (900, 800), (400, 400))
    store.write({}, (500, 500, 520, 510), np.full((20, 10), 41))
    store.write({}, (0, 0, 9, 9), np.full((9, 9), 3))
    keeper = StoredLabels(store)
    assert keeper.highest == 41
    read: list[Any] = []
    searched = highest_label._highest_in
    monkeypatch.setattr(highest_label, "_highest_in", lambda *what: read.append(what[1]) or searched(*what))
    again = StoredLabels(open_labels(tmp_path / "out.zarr", "mine"))
    assert again.highest == 41
    assert len(read) <= 2  # those of the same moment as the last one
    read.clear()
    time.sleep(0.02)  # longer than a file system's clock ticks
    store.write({}, (880, 20, 885, 25), np.full((5, 5), 60))  # by another program
    assert StoredLabels(open_labels(tmp_path / "out.zarr", "mine")).highest == 60
    assert {part[0].start for part in read} <= {0, 800}  # the last one of before, and the one that changed


def test_labels_of_others_are_searched(tmp_path: Path) -> None:
    store = make(tmp_path, (900, 800), (400, 400))
    store.write_provenance({"model": "cells"})
    store.write({}, (500, 500, 520, 510), np.full((20, 10), 41))
    assert StoredLabels(store).highest == 41
    record = store.provenance
    assert record is not None
    assert record["model"] == "cells"
    assert record["highest_label"] == 41


def test_labels_that_are_added_get_a_colour_where_there_are_some(tmp_path: Path) -> None:
    store = make(tmp_path, (300, 200))
    keeper = StoredLabels(store)
    keeper.write(plane_of(store), slice(0, 9), slice(0, 9), np.full((9, 9), 1))
    assert "colors" not in image_label(store)  # viewers colour those by themselves
    store.write_provenance({}, count=2)
    keeper.write(plane_of(store), slice(0, 9), slice(20, 29), np.full((9, 9), 7))
    listed = {color["label-value"]: color["rgba"] for color in image_label(store)["colors"]}
    assert sorted(listed) == [1, 2, 7]
    assert all(rgba[3] == 255 for rgba in listed.values())


def image_label(store: LabelStore) -> dict[str, Any]:
    found: dict[str, Any] = ome_attributes(zarr.open_group(store.path, mode="r"))["image-label"]
    return found


def test_other_planes_are_refused_in_one_sentence(tmp_path: Path) -> None:
    store = make(tmp_path, (3, 700, 600))
    with pytest.raises(InputError, match="roll the axes back"):
        StoredLabels(store).write(Plane((0, 2), (0, 5, 0), (3, 600)), slice(0, 1), slice(0, 1), np.ones((1, 1)))
    StoredLabels(store).write(plane_of(store, 1), slice(5, 5), slice(0, 9), np.ones((0, 9)))  # nothing to write

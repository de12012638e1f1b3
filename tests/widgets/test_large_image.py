"""Prompts on multiscale images larger than memory: what is read, where labels go, how they are found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Labels
from qtpy.QtTest import QTest

from napari_sam.errors import InputError
from napari_sam.io.journal import read_journal
from napari_sam.io.label_store import open_labels
from napari_sam.model.sam import Sam
from napari_sam.pipeline import large_planes
from napari_sam.pipeline.replay import Replay, journal_images
from napari_sam.widgets.brush_window import PAUSE
from napari_sam.widgets.label_layers import add_labels_layer
from napari_sam.widgets.label_shelf import remember_place
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]
SIDE = 100_000
NAME = "sam-prompts"


@pytest.fixture(autouse=True)
def labels_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labels that have no place beside their image go to the test's own folder."""
    monkeypatch.setenv("NAPARI_SAM_LABELS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat planes of more than 100 x 100 pixels as too large for memory."""
    monkeypatch.setattr(large_planes, "LARGE_PLANE", 10_000)


def make_slide(read: list[int]) -> list[Any]:
    """Return a pyramid that is computed where it is read; the pixels of level 0 that are read are added to `read`."""

    def fill(block_info: Any = None) -> Any:
        (rows, cols) = (np.arange(*bounds) for bounds in block_info[None]["array-location"])
        if block_info[None]["shape"][0] == SIDE:
            read.append(len(rows) * len(cols))
        return ((rows[:, None] * 7 + cols * 13) % 4000).astype(np.uint16)

    sides = [SIDE // 4**number for number in range(4)]
    chunks = [(1000,) * (side // 1000) + ((side % 1000,) if side % 1000 else ()) for side in sides]
    return [
        da.map_blocks(fill, chunks=(each, each), dtype=np.uint16, meta=np.zeros((0, 0), np.uint16)) for each in chunks
    ]


def write_ome(path: Path, shape: tuple[int, ...] = (300, 420), levels: int = 3) -> list[Any]:
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    rng = np.random.default_rng(0)
    arrays, axes = [], "zyx"[-len(shape) :]
    for number in range(levels):
        sides = tuple(-(-side // 2**number) for side in shape[-2:])
        array = group.create_array(
            str(number), shape=(*shape[:-2], *sides), chunks=(*(1,) * (len(shape) - 2), 64, 64), dtype="u2"
        )
        array[...] = rng.integers(0, 4000, array.shape)
        arrays.append(array)
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "name": "slide",
                "axes": [{"name": axis, "type": "space"} for axis in axes],
                "datasets": [
                    {
                        "path": str(i),
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [0.5 * 2**i if axis in "yx" else 2.0 for axis in axes]}
                        ],
                    }
                    for i in range(levels)
                ],
            }
        ],
    }
    return arrays


def click(dock: PromptDock, *position: float) -> int:
    dock.add_point(position)
    dock.wait_idle()
    best = max(range(len(dock.candidates)), key=lambda i: dock.candidates[i].patch.mask.sum())
    dock.choose(best)
    return dock.accept()


def paint(layer: Labels, position: tuple[int, int], label: int) -> None:
    layer.paint(position, label)
    QTest.qWait(2 * PAUSE)


@pytest.fixture
def undecided(tmp_path: Path, small_is_large: None) -> list[Any]:
    """A small OME-Zarr pyramid that is treated as if it were large."""
    return write_ome(tmp_path / "slide.zarr")


@pytest.fixture
def into_images(labels_folder: Path) -> None:
    """Somebody chose to have labels in their images."""
    remember_place("inside")


@pytest.fixture
def ome(undecided: list[Any], into_images: None) -> list[Any]:
    """The same, of somebody who chose to have labels in their images."""
    return undecided


def test_of_a_slide_only_windows_are_read(open_dock: OpenDock, labels_folder: Path) -> None:
    read: list[int] = []
    dock = open_dock(make_slide(read), multiscale=True, contrast_limits=(0, 4000))
    dock.wait_idle()
    read.clear()
    assert click(dock, 61_234, 42_345) == 1
    assert 0 < sum(read) < SIDE**2 / 50
    layer = dock.labels_layer
    assert layer.multiscale
    assert layer.data[0].shape == (SIDE, SIDE)
    assert max(layer.data[-1].shape) <= 512
    (kept,) = labels_folder.glob("*.zarr")
    assert str(kept) in dock.status
    assert kept.name.startswith("image-")
    box = dock._session.history.last.written[0].edit
    assert (np.asarray(layer.data[0][box.rows, box.cols]) == 1).sum() == box.changed.sum() > 0

    dock.undo()
    assert not np.asarray(layer.data[0][box.rows, box.cols]).any()
    dock.redo()
    assert (np.asarray(layer.data[0][box.rows, box.cols]) == 1).sum() == box.changed.sum()
    with pytest.raises(InputError, match="napari-sam batch"):
        add_labels_layer(dock.viewer, dock.viewer.layers["image"], "in memory")


def test_nothing_is_written_into_an_image_unless_that_is_chosen(
    open_dock: OpenDock, undecided: list[Any], tmp_path: Path
) -> None:
    dock = open_dock(undecided, multiscale=True)
    dock.wait_idle()
    assert dock.labels_place == "beside"
    assert dock._form.place_row.isVisibleTo(dock)
    assert "beside the image: choose where" in dock.status
    before = sorted(tmp_path.joinpath("slide.zarr").rglob("*"))
    assert click(dock, 40, 50) == 1
    assert sorted(tmp_path.joinpath("slide.zarr").rglob("*")) == before
    store = open_labels(tmp_path / "slide-labels.ome.zarr", NAME)
    assert (np.asarray(store.array[...]) == 1).any()
    assert len(store.levels) > 1
    assert str(tmp_path / "slide-labels.ome.zarr") in dock.status
    assert not dock._form.place_row.isVisibleTo(dock)  # there is nothing to choose any more
    dock.viewer.close()

    again = open_dock(undecided, multiscale=True)
    again.wait_idle()
    assert again.labels_layer is not None
    assert click(again, 200, 300) == 2
    again.set_labels_layer(None)
    with pytest.raises(InputError, match="beside, inside"):
        again.set_labels_place("elsewhere")
    again._form.place.setCurrentIndex(1)
    again._form.place.activated.emit(1)
    assert again.labels_place == "inside"
    click(again, 100, 100)
    assert (np.asarray(open_labels(tmp_path / "slide.zarr", NAME).array[...]) > 0).any()
    again.viewer.close()
    assert open_dock().labels_place == "inside"  # remembered


def test_labels_of_a_field_lie_beside_its_plate(open_dock: OpenDock, small_is_large: None, tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "plate.zarr"), mode="w").create_group("A").create_group("1")
    dock = open_dock(write_ome(tmp_path / "plate.zarr" / "A" / "1" / "0"), multiscale=True)
    click(dock, 40, 50)
    assert (np.asarray(open_labels(tmp_path / "plate-A-1-0-labels.ome.zarr", NAME).array[...]) == 1).any()


def test_labels_lie_in_an_ome_zarr_and_are_found_again(open_dock: OpenDock, ome: list[Any], tmp_path: Path) -> None:
    dock = open_dock(ome, multiscale=True, scale=(0.5, 0.5))
    assert [click(dock, 40, 50), click(dock, 200, 300)] == [1, 2]
    assert str(tmp_path / "slide.zarr" / "labels" / NAME) in dock.status
    dock.undo()
    store = open_labels(tmp_path / "slide.zarr", NAME)
    first = np.asarray(store.array[...])
    assert set(np.unique(first)) == {0, 1}
    assert len(store.levels) == len(ome)
    np.testing.assert_array_equal(store.levels[1][...], first[::2, ::2])
    np.testing.assert_array_equal(dock.labels_layer.scale, (0.5, 0.5))
    dock.viewer.close()

    again = open_dock(ome, multiscale=True, scale=(0.5, 0.5))
    again.wait_idle()
    assert again.labels_layer is not None
    assert again._form.labels.currentText() == again.labels_layer.name
    assert str(tmp_path / "slide.zarr") in again.status
    assert click(again, 200, 300) == 3  # 2 was there once
    values = np.asarray(store.array[...])
    assert set(np.unique(values)) == {0, 1, 3}
    assert (values[first == 1] == 1).all()  # labels that are there keep their pixels
    again.set_labels_layer(None)
    assert click(again, 100, 100) == 1
    assert open_labels(tmp_path / "slide.zarr", f"{NAME}-2").array.shape == (300, 420)


@pytest.mark.parametrize("kind", ["zarr", "dask", "computed"])
def test_the_kind_of_array_makes_no_difference(open_dock: OpenDock, ome: list[Any], tmp_path: Path, kind: str) -> None:
    levels = ome
    if kind != "zarr":
        levels = [da.from_zarr(level) for level in ome]
    if kind == "computed":
        levels = [level + 0 for level in levels]
    dock = open_dock(levels, multiscale=True)
    assert click(dock, 150, 210) == 1
    assert (np.asarray(open_labels(tmp_path / "slide.zarr", NAME).array[...]) == 1).any()


def test_labels_that_a_reader_opened_can_be_written(open_dock: OpenDock, ome: list[Any], tmp_path: Path) -> None:
    dock = open_dock(ome, multiscale=True)
    click(dock, 150, 210)
    dock.viewer.close()
    dock = open_dock()
    image, labels = dock.viewer.open(str(tmp_path / "slide.zarr"), plugin="napari-ome-zarr")
    assert type(labels.data[0]).__module__.startswith("dask")
    dock.set_image(image)
    dock.wait_idle()
    assert dock.labels_layer is labels  # not opened twice
    assert click(dock, 40, 50) == 2
    assert 2 in np.asarray(open_labels(tmp_path / "slide.zarr", NAME).array[...])
    assert 2 in np.asarray(labels.data[0][...])


def test_stacks_are_written_plane_by_plane(
    open_dock: OpenDock, small_is_large: None, into_images: None, tmp_path: Path
) -> None:
    dock = open_dock(write_ome(tmp_path / "slide.zarr", (3, 200, 160), 2), multiscale=True)
    click(dock, 2, 100, 80)
    values = np.asarray(open_labels(tmp_path / "slide.zarr", NAME).array[...])
    assert values[2].any()
    assert not values[:2].any()
    dock.viewer.dims.order = (1, 0, 2)
    with pytest.raises(InputError, match="roll the axes back"):
        click(dock, 1, 80)


def test_outlines_and_labels_start_an_object(open_dock: OpenDock, ome: list[Any], tmp_path: Path) -> None:
    dock = open_dock(ome, multiscale=True)
    dock.add_polygon([(100, 100), (100, 160), (150, 160), (150, 100)])
    dock.wait_idle()
    dock.accept()
    store = open_labels(tmp_path / "slide.zarr", NAME)
    dock.improve_label(1)
    dock.add_point((120, 130), positive=False)
    dock.wait_idle()
    assert dock.accept() == 1
    with pytest.raises(InputError, match="what the canvas shows"):
        dock.improve_label(77)
    journal = read_journal(dock.journal_path)
    predicts = [event for event in journal if event["event"] == "predict"]
    assert all(event["mask"]["shape"][0] < 300 for event in predicts if event["mask"])  # no mask of the whole plane
    assert [event["stored"] for event in journal if event["event"] == "base"] == [store.path]


def test_a_journal_says_where_the_labels_are(open_dock: OpenDock, ome: list[Any], tiny_cell_model: Sam) -> None:
    dock = open_dock(ome, multiscale=True)
    click(dock, 150, 210)
    journal = read_journal(dock.journal_path)
    with pytest.raises(InputError, match=f"labels/{NAME}: open them"):
        Replay(tiny_cell_model, journal, journal_images(journal)[0]).run(np.asarray(ome[0]))


def test_images_without_a_place_are_known_by_their_pixels(
    open_dock: OpenDock, small_is_large: None, labels_folder: Path
) -> None:
    image = np.random.default_rng(5).integers(0, 4000, (300, 420)).astype(np.uint16)
    for number in (1, 2):
        dock = open_dock([image.copy(), image[::2, ::2]], multiscale=True)
        assert click(dock, 100, 200 * number) == number
        dock.viewer.close()
    dock = open_dock([image + 1, image[::2, ::2] + 1], multiscale=True)
    assert click(dock, 100, 200) == 1
    assert len(list(labels_folder.glob("*.zarr"))) == 2


def test_painting_by_hand_is_saved_stroke_by_stroke(open_dock: OpenDock, ome: list[Any], tmp_path: Path) -> None:
    dock = open_dock(ome, multiscale=True, scale=(0.5, 0.5))
    label = click(dock, 150, 210)
    store = open_labels(tmp_path / "slide.zarr", NAME)
    part = dock.paint_by_hand()
    np.testing.assert_array_equal(part.data, store.array[...])
    assert part.selected_label == label + 1
    paint(part, (10, 12), label + 1)
    values = np.asarray(store.array[...])
    assert values[10, 12] == label + 1
    np.testing.assert_array_equal(values, part.data)
    np.testing.assert_array_equal(dock.labels_layer.data[1][...], values[::2, ::2])
    part.undo()
    QTest.qWait(2 * PAUSE)
    assert store.array[10, 12] == 0

    paint(part, (10, 12), label + 1)
    dock.undo()  # of the click
    assert set(np.unique(store.array[...])) == {0, label + 1}
    assert set(np.unique(part.data)) == {0, label + 1}
    dock.viewer.layers.remove(dock.labels_layer)
    assert part not in dock.viewer.layers


def test_the_part_for_painting_is_the_one_in_view(open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch) -> None:
    dock = open_dock(make_slide([]), multiscale=True, contrast_limits=(0, 4000))
    monkeypatch.setattr("napari_sam.widgets.label_target.visible_region", lambda *_: (50_000, 60_000, 57_000, 60_500))
    part = dock.paint_by_hand()
    assert part.data.shape == (4096, 500)
    paint(part, (7, 9), 1)
    assert dock.labels_layer.data[0][51_452 + 7, 60_009] == 1
    np.testing.assert_array_equal(part.data_to_world((7, 9)), (51_459, 60_009))
    small = open_dock(np.zeros((30, 40), np.uint8))
    with pytest.raises(InputError, match="in memory"):
        small.paint_by_hand()

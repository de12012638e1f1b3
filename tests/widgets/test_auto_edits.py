"""Objects of SAM Auto accepted, deleted, merged, painted, refined, taken back, written to files and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import InputError
from napari_sam.io.mask_files import read_masks
from napari_sam.widgets.auto_dock import AutoDock

OpenAuto = Callable[..., AutoDock]
Image = npt.NDArray[np.uint8]


@pytest.fixture
def dock(open_auto: OpenAuto, planted: Any, squares: Image) -> AutoDock:
    """Six objects, found."""
    dock = open_auto(squares)
    dock.run()
    dock.wait_idle()
    return dock


def label_of(dock: AutoDock, value: int) -> int:
    """The label over the square of a value."""
    (label,) = np.unique(dock.labels_layer.data[dock.viewer.layers["image"].data == value])
    return int(label)


def check(dock: AutoDock) -> None:
    """Labels, objects and table say the same."""
    data = dock.labels_layer.data
    present = np.unique(data)[1:].tolist()
    assert list(dock.objects) == present
    table = dock.labels_layer.features
    assert table["label"].tolist() == present
    assert table["area"].tolist() == [np.count_nonzero(data == label) for label in present]
    for label, record in dock.objects.items():
        np.testing.assert_array_equal(record.mask, data == label)


def click(dock: AutoDock, row: float, col: float, drag: float = 0) -> None:
    """Press and release the left button over a pixel, as napari reports it."""
    callback = dock._tools._picker._on_press
    if callback in dock.viewer.mouse_drag_callbacks:
        event = SimpleNamespace(type="mouse_press", button=1, pos=(10, 10), position=(row, col))
        steps = callback(dock.viewer, event)
        next(steps)
        if drag:
            event.type, event.pos = "mouse_move", (10 + drag, 10)
            next(steps)
        event.type = "mouse_release"
        assert next(steps, "over") == "over"


def test_a_deleted_object_does_not_come_back(dock: AutoDock) -> None:
    label = label_of(dock, 60)
    dock.delete(label)
    check(dock)
    assert label not in dock.objects
    dock.set_filter(pred_iou_thresh=0.55)
    dock.set_filter(pred_iou_thresh=0.0)
    check(dock)
    assert len(dock.records) == 5
    dock.undo()
    check(dock)
    assert label_of(dock, 60) == label
    dock.redo()
    assert len(dock.records) == 5
    check(dock)
    with pytest.raises(InputError, match=f"There is no object {label}"):
        dock.delete(label)


def test_a_near_duplicate_does_not_take_the_place_of_a_deleted_object(
    open_auto: OpenAuto, planted: Any, squares: Image
) -> None:
    squares[5:11, 11] = 39  # one more column: another candidate beside the first
    squares[5:11, 5:11] = 39
    squares[5:11, 10:12] = 41
    dock = open_auto(squares)
    dock.set_filter(overlap="score")
    dock.run()
    dock.wait_idle()
    assert len(dock.records) == 7
    dock.delete(label_of(dock, 39))
    assert len(dock.records) == 6
    check(dock)


def test_no_slider_removes_an_accepted_object(dock: AutoDock) -> None:
    label = label_of(dock, 40)
    dock.accept(label)
    assert "settled" in dock.status
    dock.set_filter(pred_iou_thresh=0.85)
    dock.wait_idle()
    check(dock)
    assert set(dock.objects) == {label, label_of(dock, 90)}
    assert dock.labels_layer.features["settled"].tolist() == [False, True]
    assert "1 settled" in dock._form.count.text()
    dock.run()  # nor does a new run
    dock.wait_idle()
    assert label in dock.objects
    check(dock)
    dock.undo()
    dock.undo()
    assert list(dock.objects) == [label_of(dock, 90)]
    check(dock)


def test_objects_are_merged(dock: AutoDock) -> None:
    first, second, third = (label_of(dock, value) for value in (40, 50, 80))
    assert dock.merge([first, third, second]) == first
    check(dock)
    assert len(dock.records) == 4
    assert dock.objects[first].area == 3 * 36
    dock.set_filter(pred_iou_thresh=0.9)
    assert list(dock.objects) == [first]
    dock.set_filter(pred_iou_thresh=0.0)
    check(dock)
    dock.undo()
    check(dock)
    assert len(dock.records) == 6
    dock.redo()
    assert len(dock.records) == 4
    with pytest.raises(InputError, match="at least two"):
        dock.merge([first])
    with pytest.raises(InputError, match="no object 77 in the plane"):
        dock.merge([first, 77])


def test_undo_and_redo_of_everything(dock: AutoDock) -> None:
    seen = [dock.labels_layer.data.copy()]
    for edit in (lambda: dock.delete(2), lambda: dock.merge([1, 3]), lambda: dock.accept(4), lambda: dock.delete(1)):
        edit()
        seen.append(dock.labels_layer.data.copy())
    for state in seen[-2::-1]:
        dock.undo()
        np.testing.assert_array_equal(dock.labels_layer.data, state)
        check(dock)
    dock.undo()  # the run
    assert not dock.labels_layer.data.any()
    dock.undo()  # nothing is left
    for state in seen:
        dock.redo()
        np.testing.assert_array_equal(dock.labels_layer.data, state)
    check(dock)
    assert not dock._form.redo.isEnabled()


def test_what_is_painted_by_hand_stays(dock: AutoDock) -> None:
    layer, label = dock.labels_layer, label_of(dock, 70)
    layer.selected_label = label
    layer.brush_size = 3
    layer.paint((30, 5), label)
    grown = np.count_nonzero(layer.data == label)
    assert grown > 36
    layer.fill((6, 6), 0)  # erases the first
    layer.paint((20, 40), 50)  # a new one
    dock.wait_idle()
    check(dock)
    assert dock.objects[label].area == grown
    assert len(dock.records) == 6
    assert 50 in dock.objects
    dock.set_filter(pred_iou_thresh=0.95)
    dock.wait_idle()
    check(dock)
    assert list(dock.objects) == [label, 50]
    dock.set_filter(pred_iou_thresh=0.0)
    check(dock)
    assert len(dock.records) == 6  # the erased one stays away


def test_undo_and_redo_leave_what_was_painted_by_hand(dock: AutoDock) -> None:
    layer, label, eaten = dock.labels_layer, label_of(dock, 70), label_of(dock, 80)
    found = layer.data.copy()
    layer.brush_size = 3
    layer.selected_label = label
    layer.paint((30, 4), label)  # makes it larger
    layer.paint((26, 22), 50)  # over a part of another object
    layer.fill((6, 6), 0)  # erases the first
    drawn = layer.data.copy()
    mine = drawn != found
    dock.delete(label_of(dock, 90))
    layer.paint((15, 45), 60)  # between two steps
    between = layer.data.copy()
    between[found == between] = 0  # what the run made goes
    dock.undo()  # the deletion
    check(dock)
    np.testing.assert_array_equal(layer.data[mine], drawn[mine])
    assert (layer.data == 60).sum() == (between == 60).sum() > 0
    dock.undo()  # the run
    check(dock)
    np.testing.assert_array_equal(layer.data, between)
    assert set(dock.objects) == {label, 50, 60}
    assert not dock._form.undo.isEnabled()
    layer.paint((15, 5), 70)  # what is painted now does not end redo
    late = layer.data == 70
    dock.wait_idle()
    dock.redo()
    check(dock)
    np.testing.assert_array_equal(layer.data == 70, late)
    np.testing.assert_array_equal(layer.data[mine], drawn[mine])
    assert eaten in dock.objects
    dock.redo()
    check(dock)
    assert not layer.data[dock.viewer.layers["image"].data == 90].any()
    np.testing.assert_array_equal(layer.data[mine], drawn[mine])


def test_the_tools(dock: AutoDock) -> None:
    first, second, third = (label_of(dock, value) for value in (40, 50, 60))
    click(dock, 6, 6)  # no tool, no effect
    assert len(dock.records) == 6
    form = dock._form
    form.tools["delete"].click()
    click(dock, 7, 37)
    assert third not in dock.objects
    click(dock, 7, 22, drag=8)  # that was a pan
    click(dock, 1, 1)  # background
    assert len(dock.records) == 5
    form.tools["merge"].click()
    assert not form.tools["delete"].isChecked()
    click(dock, 7, 22)
    assert not form.merge.isEnabled()
    click(dock, 6, 6)
    assert dock.viewer.layers["SAM Auto marks"].visible
    assert form.merge.text() == "Merge 2 objects"
    form.merge.click()
    assert dock.objects[second].area == 72
    assert first not in dock.objects
    assert not dock.viewer.layers["SAM Auto marks"].visible
    form.tools["accept"].click()
    click(dock, 27, 7)
    assert label_of(dock, 70) in dock._board.findings().settled
    form.tools["accept"].click()
    assert dock._tools.tool is None
    assert dock._tools._picker._on_press not in dock.viewer.mouse_drag_callbacks
    with pytest.raises(InputError, match="no tool 'split'"):
        dock.switch_tool("split")
    check(dock)


def test_a_click_on_the_screen(
    make_napari_viewer: Callable[..., Any], tiny_cell_model: Any, planted: Any, squares: Image
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(squares, name="image")
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")
    dock.set_model(tiny_cell_model)
    dock.set_settings("natural", pred_iou_thresh=0.0)
    dock.viewer = viewer
    dock.run()
    dock.wait_idle()
    dock._form.tools["delete"].click()
    QTest.qWait(200)
    canvas = viewer.window._qt_viewer.canvas
    label = label_of(dock, 80)
    (height, width), camera = canvas.size, viewer.scene.camera
    offset = (np.array([27, 22]) - camera.center[-2:]) * camera.zoom
    place = QPoint(round(width / 2 + offset[1]), round(height / 2 + offset[0]))
    QTest.mouseClick(canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    dock.wait_idle()
    assert label not in dock.objects
    assert len(dock.records) == 5


def test_an_object_is_refined_in_the_prompt_dock(dock: AutoDock) -> None:
    label = label_of(dock, 80)
    prompts = dock.refine(label)
    assert prompts is dock.refine(label)  # the one that is open
    prompts.wait_idle()
    assert prompts.labels_layer is dock.labels_layer
    assert prompts._session.current.prompts.seed.label == label
    assert len(prompts.candidates) > 0
    prompts.add_point((27, 22))
    prompts.wait_idle()
    prompts.set_keep_existing(False)
    assert prompts.accept() == label
    dock.wait_idle()
    check(dock)
    mask = prompts.labels_layer.data == label
    assert mask.any()
    dock.set_filter(pred_iou_thresh=0.99)
    np.testing.assert_array_equal(dock.labels_layer.data == label, mask)  # what was corrected is settled


def test_refining_moves_to_the_plane(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(np.stack([squares, squares[::-1]]))
    dock.run("stack")
    dock.wait_idle()
    label = int(dock.labels_layer.data[1].max())
    dock.viewer.dims.set_point(0, 0)
    prompts = dock.refine(label)
    assert dock.viewer.dims.current_step[0] == 1
    prompts.wait_idle()
    assert prompts._session.current.prompts.seed.label == label
    dock.delete(1)  # in the other plane
    assert not (dock.labels_layer.data[0] == 1).any()
    with pytest.raises(InputError, match="in the plane of object"):
        dock.merge([label, 2])


@pytest.mark.parametrize("extension", [".json", ".geojson", ".zip", ".csv"])
def test_files_and_back(dock: AutoDock, tmp_path: Path, extension: str, squares: Image) -> None:
    dock.merge([1, 2])
    path = tmp_path / f"objects{extension}"
    dock.export(path)
    before = dock.labels_layer.data.copy()
    areas = sorted(record.area for record in dock.records)
    assert sorted(record.area for record in read_masks(path, squares.shape)) == areas
    dock.undo()
    dock.undo()
    assert not dock.labels_layer.data.any()
    labels = dock.import_masks(path)
    assert len(labels) == 5
    np.testing.assert_array_equal(dock.labels_layer.data > 0, before > 0)
    assert sorted(record.area for record in dock.records) == areas
    dock.wait_idle()
    check(dock)
    assert dock.import_masks(path) == []  # they are there already
    assert "0 of 5" in dock.status
    dock.undo()
    dock.undo()
    assert not dock.labels_layer.data.any()


def test_a_file_becomes_boxes_in_the_prompt_dock(dock: AutoDock, tmp_path: Path) -> None:
    dock.export(tmp_path / "objects.json")
    boxes = sorted(record.box for record in dock.records)
    assert dock.import_masks(tmp_path / "objects.json", as_prompts=True) == []
    _, prompts = dock.viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    prompts.wait_idle()
    assert sorted(draft.prompts.box for draft in prompts._session.drafts) == boxes


def test_files_that_cannot_be_used(dock: AutoDock, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="extension"):
        dock.export(tmp_path / "objects.png")
    with pytest.raises(InputError, match="Cannot read"):
        dock.import_masks(tmp_path / "missing.json")


def test_another_image_has_objects_of_its_own(dock: AutoDock, squares: Image) -> None:
    other = dock.viewer.add_image(squares[::-1], name="other")
    dock.delete(1)
    dock.set_image(other)
    assert dock.labels_layer is None
    assert dock.records == []
    dock.run()
    dock.wait_idle()
    assert dock.labels_layer.name == "SAM Auto: other"
    check(dock)
    dock.set_image("image")
    assert len(dock.records) == 5
    check(dock)
    dock.undo()
    assert len(dock.records) == 6


def test_layers_are_removed(dock: AutoDock) -> None:
    dock.viewer.layers.remove(dock.labels_layer)
    assert dock.labels_layer is None
    dock.set_filter(pred_iou_thresh=0.3)
    with pytest.raises(InputError, match="no objects yet"):
        dock.delete(1)
    dock.run()
    dock.wait_idle()
    assert len(dock.records) == 6
    dock.viewer.layers.remove("image")
    assert "removed" in dock.status
    with pytest.raises(InputError, match="No image layer"):
        dock.run()


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_the_button_measures_all_labels(
    dock: AutoDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, squares: Image
) -> None:
    for layer in dock.viewer.layers:
        layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    path = tmp_path / name
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
    QTest.mouseClick(dock._form.measure, Qt.MouseButton.LeftButton)
    dock.wait_idle()
    table = pd.read_csv(path) if name.endswith("csv") else pd.read_parquet(path)
    labels = dock.labels_layer.data
    assert table.label.tolist() == np.unique(labels)[1:].tolist()
    assert table.area.tolist() == [np.count_nonzero(labels == label) for label in table.label]
    np.testing.assert_allclose(table.area_um2, table.area / 4)
    np.testing.assert_allclose(table.intensity_mean, [squares[labels == label].mean() for label in table.label])
    assert "6 objects measured" in dock.status
    with pytest.raises(InputError, match=r"\.parquet"):
        dock.measure(tmp_path / "table.xlsx")


def test_micrometres_stand_beside_pixels_in_the_table(dock: AutoDock, tmp_path: Path) -> None:
    assert "area_um2" not in dock.labels_layer.features
    for layer in dock.viewer.layers:
        layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    dock.merge([1, 2])  # measured anew
    dock.wait_idle()
    features = dock.labels_layer.features
    np.testing.assert_allclose(features["area_um2"], features["area"] / 4)
    dock.export(tmp_path / "objects.csv")
    written = pd.read_csv(tmp_path / "objects.csv")
    np.testing.assert_allclose(written.area_um2, written.area / 4)
    np.testing.assert_allclose(written.perimeter_um, written.perimeter / 2)

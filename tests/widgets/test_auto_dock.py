"""The dock SAM Auto: runs, regions, stacks, filter, table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gui_helpers import values_of
from napari_sam.config.auto import load_auto_settings
from napari_sam.errors import InputError
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.model.load import load_model
from napari_sam.model.sam import Sam
from napari_sam.ops.label_image import masks_to_labels
from napari_sam.sample_data import nuclei
from napari_sam.widgets.auto_dock import AutoDock

OpenAuto = Callable[..., AutoDock]
Image = npt.NDArray[np.uint8]


def test_a_run_writes_labels_and_their_table(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares, scale=(2, 3), translate=(5, 7))
    dock.run()
    dock.wait_idle()
    layer = dock.labels_layer
    assert layer.name == "SAM Auto: image"
    assert layer.data.dtype == np.int32
    assert sorted(values_of(squares, layer.data).values()) == [40, 50, 60, 70, 80, 90]
    assert np.unique(layer.data).tolist() == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(layer.data_to_world((3, 4)), dock.viewer.layers["image"].data_to_world((3, 4)))
    table = layer.features
    assert table["label"].tolist() == table["index"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["area"].tolist() == [36] * 6
    for label, value in values_of(squares, layer.data).items():
        row = table[table["label"] == label].iloc[0]
        assert row["predicted_iou"] == pytest.approx(value / 100)
        assert row["intensity_mean"] == value
        np.testing.assert_allclose(
            [row["centroid-0"], row["centroid-1"]], np.argwhere(layer.data == label).mean(axis=0)
        )
    assert "6 objects found" in dock.status
    assert len(dock.records) == 6


def test_it_is_what_the_generator_finds(open_auto: OpenAuto, tiny_cell_model: Sam) -> None:
    image = np.random.default_rng(0).integers(0, 4000, (50, 60)).astype(np.uint16)
    dock = open_auto(image)
    dock.set_filter(box_nms_thresh=1.0)  # of random weights all masks are alike
    dock.run()
    dock.wait_idle()
    records = AutomaticMaskGenerator(tiny_cell_model, dock.settings).generate(image)
    expected = masks_to_labels(records, image.shape, dock.settings)
    assert expected.max() > 1
    np.testing.assert_array_equal(dock.labels_layer.data, expected)


def test_the_bundled_model_finds_nuclei(open_auto: OpenAuto) -> None:
    sample = nuclei((128, 128))
    dock = open_auto(sample.image, model=load_model("cells"))
    dock.set_settings("cells", points_per_side=8, pred_iou_thresh=0.4)
    dock.run()
    dock.wait_idle()
    labels = dock.labels_layer.data
    assert len(dock.records) == len(dock.labels_layer.features) >= 3
    assert np.mean(sample.labels[labels > 0] > 0) > 0.6


def test_the_filter_needs_no_model(open_auto: OpenAuto, tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    hook = tiny_cell_model.image_encoder.register_forward_hook(lambda *_: encoded.append(1))
    image = np.random.default_rng(0).integers(0, 4000, (50, 60)).astype(np.uint16)
    dock = open_auto(image)
    dock.set_filter(box_nms_thresh=1.0)
    dock.run()
    dock.wait_idle()
    areas = sorted(record.area for record in dock.records)
    assert encoded == [1]
    monkeypatch.setattr(dock._session.runner._engine, "run", lambda *_: 1 / 0)
    before = dock.labels_layer.data.copy()
    middle = areas[-5]
    assert areas[0] < middle
    dock.set_filter(min_area=middle)
    assert 0 < len(dock.records) < len(areas)
    assert all(record.area >= middle for record in dock.records)
    assert set(np.unique(dock.labels_layer.data)) - {0} == set(dock.objects)
    dock.set_filter(min_area=0)
    dock.wait_idle()
    np.testing.assert_array_equal(dock.labels_layer.data, before)  # with the numbers that they had
    assert dock.labels_layer.features["label"].tolist() == np.unique(before)[1:].tolist()
    assert encoded == [1]
    hook.remove()


def test_sliders_can_be_lowered_below_what_was_asked(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares)
    dock.set_settings("natural", pred_iou_thresh=0.65)
    dock.run()
    dock.wait_idle()
    assert sorted(values_of(squares, dock.labels_layer.data).values()) == [70, 80, 90]
    dock.set_filter(pred_iou_thresh=0.46)
    assert sorted(values_of(squares, dock.labels_layer.data).values()) == [50, 60, 70, 80, 90]
    assert "run again" not in dock._form.count.text()
    dock.set_filter(pred_iou_thresh=0.1)
    dock.wait_idle()
    assert "low score: run again" in dock._form.count.text()
    assert len(planted.searches) == 1
    assert len(dock.records) == 5


def test_sliders_act_in_the_background(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    squares[5:9, 5:11] = 0  # 12 pixels are left
    dock = open_auto(squares)
    dock.run()
    dock.wait_idle()
    dock._form.settings.editors["pred_iou_thresh"].widget.slider.setValue(650)
    assert len(dock.records) == 6
    dock.wait_idle()
    assert len(dock.records) == 3
    assert len(dock.labels_layer.features) == 3
    dock._form.settings.editors["pred_iou_thresh"].widget.box.setValue(0)
    dock._form.settings.editors["min_area"].widget.box.setValue(20)
    dock.wait_idle()
    assert sorted(record.area for record in dock.records) == [36] * 5
    assert dock.settings.min_area == 20
    dock._form.settings.editors["max_area"].widget.box.setValue(15)  # pushes the other
    dock.wait_idle()
    assert dock.settings.min_area == 15
    assert dock.records == []
    assert "leaves none" not in dock.status
    assert "0 objects of 6 candidates" in dock._form.count.text()


def test_only_a_region(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares, scale=(2, 2))
    with pytest.raises(InputError, match="no region"):
        dock.run("region")
    shapes = dock.viewer.add_shapes([[[3, 3], [3, 12.4], [12.6, 12.4], [12.6, 3]]], scale=(2, 2))
    shapes.add([[[20, 2], [20, 30], [39, 30], [39, 2]]])
    dock.run("region")
    dock.wait_idle()
    assert sorted(values_of(squares, dock.labels_layer.data).values()) == [70, 80]
    assert planted.searches[-1][0] == (20, 2, 40, 31)
    shapes.selected_data = {0}
    dock.run("region")
    dock.wait_idle()
    assert planted.searches[-1][0] == (3, 3, 13, 13)
    assert sorted(values_of(squares, dock.labels_layer.data).values()) == [40, 70, 80]  # the other region stays
    shapes.data = [np.array([[90, 90], [90, 99], [99, 99], [99, 90]])]
    with pytest.raises(InputError, match="no pixel"):
        dock.run("region")
    with pytest.raises(InputError, match="choose one of plane, region, stack"):
        dock.run("everything")


def test_a_region_is_drawn(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares)
    dock.draw_region()
    layer = dock.viewer.layers["SAM Auto region"]
    assert layer.mode == "add_rectangle"
    layer.add_rectangles([[3, 3], [12, 12]])
    dock.run("region")
    dock.wait_idle()
    assert [record.predicted_iou for record in dock.records] == [0.4]


def test_every_plane_of_a_stack(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    stack = np.stack([squares, np.zeros_like(squares), squares[:, ::-1]])
    dock = open_auto(stack)
    dock.viewer.dims.set_point(0, 2)
    dock.run("stack")
    dock.wait_idle()
    labels = dock.labels_layer.data
    assert labels.shape == stack.shape
    assert [len(values_of(plane, seen)) for plane, seen in zip(stack, labels, strict=True)] == [6, 0, 6]
    assert np.unique(labels).tolist() == list(range(13))  # each object has a label of its own
    table = dock.labels_layer.features
    assert sorted(table["label"]) == list(range(1, 13))
    assert table["plane-0"].tolist() == [0] * 6 + [2] * 6
    dock.set_filter(pred_iou_thresh=0.75)
    dock.wait_idle()
    assert [len(np.unique(plane)) - 1 for plane in labels] == [2, 0, 2]
    dock.undo()  # one run, one step
    assert not labels.any()
    dock.redo()
    assert [len(np.unique(plane)) - 1 for plane in labels] == [2, 0, 2]


def test_a_preview_writes_no_labels(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares)
    dock.viewer.layers["image"].corner_pixels = np.array([[0, 0], [18, 22]])
    dock.preview()
    dock.wait_idle()
    assert planted.searches[-1][0] == (0, 0, 19, 23)
    assert dock.labels_layer is None
    layer = dock.viewer.layers["SAM Auto preview"]
    assert layer.visible
    seen = np.zeros_like(squares)
    top, left = layer.data_to_world((0, 0))
    seen[int(top) : int(top) + layer.data.shape[0], int(left) : int(left) + layer.data.shape[1]] = layer.data > 0
    np.testing.assert_array_equal(squares * seen, np.where(np.isin(squares, (40, 50)), squares, 0))
    dock.set_filter(pred_iou_thresh=0.45)
    dock.wait_idle()
    assert "1 object in view" in dock._form.count.text()
    dock.run()
    assert not layer.visible
    dock.wait_idle()
    assert len(dock.records) == 5
    assert layer not in [dock._targets._shown[i] for i in range(dock._form.labels.count())]


@pytest.mark.parametrize("image", [np.full((30, 40), 7, np.uint8), np.zeros((1, 1), np.uint16)])
def test_an_image_of_nothing(open_auto: OpenAuto, image: Any) -> None:
    dock = open_auto(image, model=load_model("cells"))
    dock.set_settings("cells", points_per_side=4)
    dock.run()
    dock.wait_idle()
    assert dock.records == []
    assert not dock.labels_layer.data.any()
    assert "No masks were found in image" in dock.status or "leaves none" in dock.status


def test_colour_and_pyramids(open_auto: OpenAuto, tiny_cell_model: Sam) -> None:
    colour = np.random.default_rng(1).integers(0, 255, (40, 44, 3)).astype(np.uint8)
    dock = open_auto([colour, colour[::2, ::2]], multiscale=True, rgb=True)
    dock.run()
    dock.wait_idle()
    records = AutomaticMaskGenerator(tiny_cell_model, dock.settings).generate(colour)
    np.testing.assert_array_equal(dock.labels_layer.data, masks_to_labels(records, colour.shape, dock.settings))


def test_labels_of_the_user_stay(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    own = np.zeros(squares.shape, np.int32)
    own[4:12, 4:12] = 9  # over the first square
    own[30:32, 45:49] = 3
    dock = open_auto(squares)
    layer = dock.viewer.add_labels(own.copy(), name="mine")
    dock.run()
    dock.wait_idle()
    np.testing.assert_array_equal(layer.data, own)  # it was not chosen
    dock.set_labels_layer("mine")
    dock.run()
    dock.wait_idle()
    np.testing.assert_array_equal(np.where(np.isin(layer.data, (3, 9)), layer.data, 0), own)
    assert sorted(np.unique(layer.data)) == [0, 3, 9, 10, 11, 12, 13, 14]
    assert layer.features["settled"].tolist() == [True, True, False, False, False, False, False]
    dock.undo()
    np.testing.assert_array_equal(layer.data, own)


def test_a_narrow_labels_layer_is_refused(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares)
    own = np.zeros(squares.shape, np.uint8)
    own[0, 0] = 252
    dock.set_labels_layer(dock.viewer.add_labels(own, name="narrow"))
    dock.run()
    with pytest.raises(InputError, match="258 does not fit the layer 'narrow' of type uint8"):
        dock.wait_idle()
    assert np.unique(own).tolist() == [0, 252]


def test_settings_suit_the_model_until_they_are_chosen(
    make_napari_viewer: Callable[..., Any], tiny_vit_model: Sam, tiny_cell_model: Sam
) -> None:
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")
    assert dock._form.settings.preset.currentText() == "cells"
    dock.set_model(tiny_vit_model)
    assert dock.settings == load_auto_settings("natural")
    assert dock._form.settings.preset.currentText() == "natural"
    dock.set_model(tiny_cell_model)
    assert dock.settings == load_auto_settings("cells")
    dock.set_settings("tissue")
    dock.set_model(tiny_vit_model)
    assert dock.settings == load_auto_settings("tissue")


def test_settings_of_form_and_script_are_the_same(open_auto: OpenAuto, squares: Image) -> None:
    dock = open_auto(squares)
    dock.set_settings("tissue", conditions=["eccentricity<0.9"], crop_overlap_ratio=0.25)
    form = dock._form.settings
    assert form.editors["min_area"].get() == 30
    assert form.editors["conditions"].widget.text() == "eccentricity<0.9"
    assert form.preset.currentText() == "changed"
    form.editors["points_per_side"].widget.setValue(7)
    assert dock.settings.points_per_side == 7
    assert dock.settings.crop_overlap_ratio == 0.25
    form.editors["conditions"].widget.setText("nonsense")
    form.editors["conditions"].widget.editingFinished.emit()
    assert "nonsense" in dock.status
    assert dock.settings.conditions == ("eccentricity<0.9",)
    form.preset.setCurrentText("cells")
    form.preset.activated.emit(1)
    assert dock.settings.points_per_side == 16
    assert form.preset.findText("changed") == -1
    with pytest.raises(InputError, match="Unknown preset"):
        dock.set_settings("stars")

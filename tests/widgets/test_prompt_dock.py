"""What a user does with the dock, on a model with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock
from prompt_actions import click, expected, press

Image = npt.NDArray[np.uint16]
OpenDock = Callable[..., PromptDock]


def test_one_click_makes_the_layers(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock._form.tools["point"].click()
    layers = dock.viewer.layers
    assert isinstance(layers["SAM points"], Points)
    assert isinstance(layers["SAM shapes"], Shapes)
    assert isinstance(dock.labels_layer, Labels)
    assert dock.labels_layer.data.shape == noise.shape
    assert layers.selection.active is layers["SAM points"]
    assert layers["SAM points"].mode == "add"
    dock._form.tools["polygon"].click()
    assert layers.selection.active is layers["SAM shapes"]
    assert layers["SAM shapes"].mode == "add_polygon"
    assert len(layers) == 4


def test_clicks_say_object_or_background(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.start()
    click(dock, 10, 12)
    click(dock, 20, 22, ("Shift",))
    click(dock, 30, 32)
    press(dock, "W")
    click(dock, 40, 42)
    press(dock, "W")
    click(dock, 45, 50)
    points = dock.viewer.layers["SAM points"]
    assert points.features["label"].tolist() == ["positive", "negative", "positive", "negative", "positive"]
    assert len(np.unique(points.face_color[[0, 2, 4]], axis=0)) == 1
    assert not np.array_equal(points.face_color[0], points.face_color[1])
    assert points.symbol[0] != points.symbol[1]
    assert points.border_width[1] < points.border_width[0]  # which would be most of a cross
    dock.wait_idle()
    (draft,) = dock._session.drafts
    assert draft.prompts.labels == (1, 0, 1, 0, 1)
    assert draft.prompts.points[1] == (20, 22)


def test_one_click_offers_three_candidates(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()
    truth = expected(noise, tiny_cell_model, points=[(20, 22)])
    assert len(dock.candidates) == 3
    for candidate, mask, score in zip(dock.candidates, truth.masks, truth.scores, strict=True):
        np.testing.assert_array_equal(candidate.mask, mask)
        assert candidate.score == pytest.approx(float(score))
    assert [button.text() for button in dock._form.candidates.buttons] == [f"score {s:.2f}" for s in truth.scores]


def test_a_key_cycles_the_candidates_and_hovering_shows_each(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()

    def shown() -> npt.NDArray[np.bool_]:
        layer = dock.viewer.layers["SAM preview"]
        full = np.zeros(noise.shape, dtype=bool)
        row, col = np.round(layer.data_to_world((0, 0))).astype(int)
        full[row : row + layer.data.shape[0], col : col + layer.data.shape[1]] = layer.data > 0
        return full

    masks = [candidate.mask for candidate in dock.candidates]
    assert not np.array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(shown(), masks[0])
    press(dock, "Q")
    assert dock.candidate_index == 1
    np.testing.assert_array_equal(shown(), masks[1])
    third = dock._form.candidates.buttons[2]
    QApplication.sendEvent(third, QEvent(QEvent.Type.Enter))
    np.testing.assert_array_equal(shown(), masks[2])
    QApplication.sendEvent(third, QEvent(QEvent.Type.Leave))
    np.testing.assert_array_equal(shown(), masks[1])
    third.click()
    assert dock.candidate_index == 2
    assert [button.isChecked() for button in dock._form.candidates.buttons] == [False, False, True]
    press(dock, "Q")
    assert dock.candidate_index == 0


def test_each_kind_of_prompt_reaches_the_model(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    dock = open_dock(noise)

    def predicted(**prompts: Any) -> None:
        dock.wait_idle()
        truth = expected(noise, tiny_cell_model, **prompts)
        np.testing.assert_array_equal(dock.candidates[0].mask, truth.masks[0])
        dock.discard()

    dock.add_box((5, 6, 30, 40))
    predicted(box=(5, 6, 30, 40))
    dock.add_scribble([(10, 10), (10, 34)])
    predicted(points=[(10, 16), (10, 28)])
    inside = np.zeros(noise.shape, dtype=bool)
    inside[10:31, 10:41] = True
    dock.add_polygon([(10, 10), (10, 40), (30, 40), (30, 10)])
    predicted(mask=inside, box=(10.5, 10.5, 30.5, 40.5))
    dock.add_mask(inside)
    predicted(mask=inside, box=(10, 10, 31, 41))
    dock.add_ellipse((10, 10, 30, 30))
    dock.wait_idle()
    assert dock._session.current.prompts.box == (10, 10, 30, 30)


def test_an_added_point_refines_and_a_moved_one_starts_afresh(
    open_dock: OpenDock, noise: Image, tiny_cell_model: Sam
) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()
    dock.next_candidate()
    dock.add_point((30, 40))
    dock.wait_idle()
    predictor = Predictor(tiny_cell_model)
    predictor.set_image(noise)
    first = predictor.predict([(20, 22)], [1])
    second = predictor.predict([(20, 22), (30, 40)], [1, 1], mask=first.logits[1])
    np.testing.assert_array_equal(dock.candidates[0].mask, second.masks[0])

    points = dock.viewer.layers["SAM points"]
    points.data = np.array([[20, 22], [31, 41]])
    dock.wait_idle()
    moved = predictor.predict([(20, 22), (31, 41)], [1, 1])
    np.testing.assert_array_equal(dock.candidates[0].mask, moved.masks[0])


def test_mistakes_are_one_sentence_in_scripts_and_in_the_status_line(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock()
    with pytest.raises(InputError, match="No image layer"):
        dock.add_point((1, 1))
    with pytest.raises(InputError, match="There is no layer 'cells'"):
        dock.set_image("cells")
    dock.set_image(dock.viewer.add_image(noise, name="image"))
    with pytest.raises(InputError, match="outside the image of 50 rows and 60 columns"):
        dock.add_point((50, 3))
    with pytest.raises(InputError, match="no area"):
        dock.add_box((10, 10, 10, 20))
    with pytest.raises(InputError, match="not an image"):
        dock.set_image(dock.viewer.add_labels(np.zeros((5, 5), int), name="labels"))
    dock._form.accept.setEnabled(True)
    dock._form.accept.click()
    assert "nothing to accept" in dock.status
    dock.set_labels_layer("labels")
    dock.add_point((20, 20))
    dock.wait_idle()
    with pytest.raises(InputError, match=r"shape \(5, 5\) and the image \(50, 60\)"):
        dock.accept()


def test_errors_of_the_engine_are_shown_and_raised(open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise InputError("This image cannot be used.")

    dock = open_dock(np.full((20, 20), np.nan, dtype=np.float32))
    monkeypatch.setattr(Sam, "encode", refuse)
    dock.add_point((3, 3))
    with pytest.raises(InputError, match="cannot be used"):
        dock.wait_idle()
    assert "cannot be used" in dock.status
    monkeypatch.undo()
    dock.viewer.layers["image"].data = np.random.default_rng(0).random((20, 20))
    dock.wait_idle()
    assert len(dock.candidates) == 3


def test_brightness_as_shown(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    dock = open_dock(noise, contrast_limits=(1000, 1500))
    dock.set_normalization("displayed")
    dock.add_point((20, 22))
    dock.wait_idle()
    predictor = Predictor(tiny_cell_model)
    predictor.set_image(noise, normalization=(1000, 1500))
    np.testing.assert_array_equal(dock.candidates[0].mask, predictor.predict([(20, 22)]).masks[0])
    assert dock._form.stretch.currentText() == "as shown in napari"


def test_brightness_follows_the_contrast_limits(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise, contrast_limits=(0, 4000))
    dock._form.stretch.setCurrentIndex(1)
    dock._form.stretch.activated.emit(1)
    dock.add_point((20, 22))
    dock.wait_idle()
    before = dock.candidates[0].score
    dock.viewer.layers["image"].contrast_limits = (1500, 1600)
    dock.wait_idle()
    assert dock.candidates[0].score != before


def test_an_image_that_is_moved_is_looked_at_where_it_is(
    open_dock: OpenDock, noise: Image, tiny_cell_model: Sam
) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()
    dock.viewer.layers["image"].translate = (10, 4)
    dock.wait_idle()
    truth = expected(noise, tiny_cell_model, points=[(10, 18)])
    np.testing.assert_array_equal(dock.candidates[0].mask, truth.masks[0])


def test_boxes_have_no_polarity_but_scribbles_do(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.start("rectangle")
    press(dock, "W")
    shapes = dock.viewer.layers["SAM shapes"]
    assert shapes.feature_defaults["label"][0] == "positive"
    dock.start("path")
    assert shapes.feature_defaults["label"][0] == "negative"
    dock.add_box((3, 3, 40, 40))
    dock.add_scribble([(5, 5), (5, 10)], positive=False)
    dock.wait_idle()
    assert dock._session.current is not None
    assert dock._session.current.prompts.labels == (0, 0)
    assert not np.array_equal(shapes.edge_color[0], shapes.edge_color[1])


def test_background_alone_asks_for_the_object(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22), positive=False)
    dock.wait_idle()
    assert "click on the object" in dock.next_step
    dock.add_point((30, 22))
    dock.wait_idle()
    assert len(dock.candidates) == 1
    assert "Accept" in dock.next_step
    assert dock.status == ""


def test_the_first_image_is_chosen_by_itself(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock()
    dock.viewer.add_labels(np.zeros((5, 5), int))
    dock.viewer.add_image(noise, name="first")
    dock.viewer.add_image(noise, name="second")
    assert dock._form.image.currentText() == "first"
    assert [dock._form.image.itemText(i) for i in range(3)] == ["choose an image", "second", "first"]
    dock.add_point((20, 22))
    dock.wait_idle()
    assert len(dock.candidates) == 3


def test_an_image_with_other_axes_gets_prompt_layers_of_its_own(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.add_box((3, 3, 20, 20))
    dock.wait_idle()
    dock.set_image(dock.viewer.add_image(np.stack([noise, noise]), name="stack"))
    dock.wait_idle()
    assert dock.candidates == ()
    dock.add_point((20, 22))
    dock.wait_idle()
    assert dock.viewer.layers["SAM points"].ndim == 3
    assert len(dock.candidates) == 3
    for _ in range(4):
        dock.undo()
    dock.wait_idle()


def test_scripts_choose_candidates_by_number(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()
    dock.choose(2)
    assert dock.candidate_index == 2
    with pytest.raises(InputError, match="no candidate 3"):
        dock.choose(3)

"""Every tool by real mouse events on napari's canvas: what is under the mouse is what is said to the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
import pytest
from qtpy.QtCore import Qt

from mouse import Mouse
from napari_sam.model.sam import Sam
from napari_sam.widgets.object_prompts import ObjectPrompts
from napari_sam.widgets.prompt_dock import PromptDock

SHIFT = Qt.KeyboardModifier.ShiftModifier
NEAR = 1.0  # pixels of an image that are some pixels of the screen each
PLACES: dict[str, dict[str, Any]] = {
    "no size": {},
    "65 nm": {"scale": (65, 65), "units": ("nm", "nm")},
    "0.2 µm": {"scale": (0.2, 0.2), "units": ("um", "um")},
    "1 mm": {"scale": (1e-3, 1e-3), "units": ("m", "m")},
    "anisotropic": {"scale": (0.5, 0.2)},
    "translated": {"scale": (0.065, 0.065), "translate": (5000, -300)},
    "rotated": {"scale": (0.2, 0.2), "rotate": 30},
    "sheared": {"scale": (65, 65), "shear": [0.3]},
    "affine": {"affine": np.array([[65.0, 5, 10], [0, 65, -9], [0, 0, 1]])},
    "stack": {"scale": (3, 0.2, 0.2), "translate": (10, 20, 30)},
    "multiscale": {"scale": (65, 65), "units": ("nm", "nm")},
}


def picture(kind: str) -> Any:
    image = np.random.default_rng(0).integers(0, 4000, (60, 80)).astype(np.uint16)
    if kind == "stack":
        return np.stack([image, image[::-1], image])
    return [image, image[::2, ::2]] if kind == "multiscale" else image


@pytest.fixture
def open_shown(
    make_napari_viewer: Callable[..., napari.Viewer], tiny_cell_model: Sam
) -> Callable[[Any, dict[str, Any]], tuple[PromptDock, Mouse]]:
    """Open the dock and an image and return the dock and a mouse."""

    def open_(image: Any, place: dict[str, Any]) -> tuple[PromptDock, Mouse]:
        viewer = make_napari_viewer()
        layer = viewer.add_image(image, name="image", **place)
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
        dock.set_model(tiny_cell_model)
        dock.viewer = viewer
        return dock, Mouse(viewer, layer)

    return open_


def said(dock: PromptDock) -> ObjectPrompts:
    """What the model is told of the one object there is, which goes then."""
    dock.wait_idle()
    assert len(dock.candidates) > 0
    (draft,) = dock._session.drafts
    dock.discard()
    return draft.prompts


@pytest.mark.parametrize("kind", list(PLACES))
def test_what_is_under_the_mouse_is_what_is_meant(open_shown: Any, kind: str) -> None:
    dock, mouse = open_shown(picture(kind), PLACES[kind])
    if kind == "stack":
        dock.viewer.dims.set_point(0, 13)
    tools = dock._form.tools

    tools["point"].click()
    mouse.click((20, 30))
    mouse.click((40, 50), SHIFT)
    assert dock.viewer.layers["SAM points"].selected_data == set()  # what is selected is drawn in another colour
    prompts = said(dock)
    np.testing.assert_allclose(prompts.points, [(20, 30), (40, 50)], atol=NEAR)
    assert prompts.labels == (1, 0)

    tools["rectangle"].click()
    mouse.drag((10, 20), (13, 25))  # small and in one corner, where a size that is off is seen most
    straight = kind not in ("rotated", "sheared", "affine")
    assert straight or said(dock).box is not None  # a box along the layer's own axes
    if straight:
        np.testing.assert_allclose(said(dock).box, (10.5, 20.5, 13.5, 25.5), atol=NEAR)

    tools["ellipse"].click()
    mouse.drag((20, 20), (40, 50))
    np.testing.assert_allclose(said(dock).box, (20.5, 20.5, 40.5, 50.5), atol=NEAR)

    tools["polygon"].click()
    corners = [(10, 10), (10, 40), (30, 40), (30, 10)]
    for corner in corners[:-1]:
        mouse.click(corner)
    mouse.double_click(corners[-1])
    (outline,) = said(dock).outlines
    np.testing.assert_allclose(outline, corners, atol=NEAR)

    tools["path"].click()
    mouse.drag((20, 20), (20, 50))
    np.testing.assert_allclose(said(dock).points, [(20, 27.5), (20, 42.5)], atol=NEAR)

    dock.add_box((20, 20, 40, 50))
    dock.wait_idle()
    dock._form.accept.click()
    labels, image = dock.labels_layer, dock.viewer.layers["image"]
    for layer in (labels, dock.viewer.layers["SAM preview"], dock.viewer.layers["SAM points"]):
        if kind != "affine":
            np.testing.assert_allclose(layer.scale, image.scale, rtol=1e-9)
        assert layer.units == image.units
    np.testing.assert_allclose(labels.data_to_world((0,) * image.ndim), image.data_to_world((0,) * image.ndim))
    np.testing.assert_allclose(labels.data_to_world((1,) * image.ndim), image.data_to_world((1,) * image.ndim))
    if kind == "stack":
        assert not labels.data[[0, 2]].any()


@pytest.mark.parametrize("length", [0.0, 1.0, 30.0])
def test_a_scribble_is_one_stroke_however_short(open_shown: Any, length: float) -> None:
    dock, mouse = open_shown(picture("no size"), {})
    dock._form.tools["path"].click()
    mouse.drag((20, 20), (20, 20 + length))
    mouse.move((50, 60))  # no longer part of it
    points = np.array(said(dock).points)
    assert points[:, 0] == pytest.approx(20, abs=NEAR)
    assert points[:, 1].mean() == pytest.approx(20 + length / 2, abs=NEAR)
    assert dock.viewer.layers["SAM shapes"].nshapes == 0
    mouse.drag((30, 20), (30, 40))
    mouse.drag((40, 20), (40, 40))
    assert dock.viewer.layers["SAM shapes"].nshapes == 2


def test_a_stroke_of_background_is_seen_as_such(open_shown: Any) -> None:
    dock, mouse = open_shown(picture("no size"), {})
    dock._form.tools["path"].click()
    dock._form.negative.click()
    mouse.drag((20, 20), (20, 50))
    dock._form.positive.click()
    mouse.drag((30, 20), (30, 50))
    shapes = dock.viewer.layers["SAM shapes"]
    assert shapes.features["label"].tolist() == ["negative", "positive"]
    assert not np.array_equal(shapes.edge_color[0], shapes.edge_color[1])
    assert said(dock).labels == (0, 0, 1, 1)


def test_the_tool_in_hand_looks_so(open_shown: Any) -> None:
    dock, _ = open_shown(picture("no size"), {})
    tools, layers = dock._form.tools, dock.viewer.layers

    def shown() -> list[str]:
        return [tool for tool, button in tools.items() if button.isChecked()]

    assert shown() == []
    for tool, button in tools.items():
        button.click()
        assert shown() == [tool]
        button.click()
        assert shown() == [tool]
    layers["SAM shapes"].mode = "add_polygon"  # in napari's own controls
    layers.selection.active = layers["SAM shapes"]
    assert shown() == ["polygon"]
    layers["SAM shapes"].mode = "pan_zoom"
    assert shown() == []
    layers.selection.active = layers["SAM points"]
    assert shown() == ["point"]
    layers.selection.active = layers["image"]
    assert shown() == []
    tools["rectangle"].click()
    layers.remove("SAM shapes")
    assert shown() == []


def test_a_tool_that_cannot_be_taken_does_not_look_taken(open_dock: Callable[..., PromptDock]) -> None:
    dock = open_dock()
    dock._form.tools["point"].click()
    assert "No image layer" in dock.status
    assert not dock._form.tools["point"].isChecked()


def test_improving_a_label_goes_on_with_clicks(open_shown: Any) -> None:
    dock, mouse = open_shown(picture("no size"), {})
    labels = dock.viewer.add_labels(np.zeros((60, 80), np.int32), name="mine")
    labels.data[10:30, 10:30] = 4
    labels.selected_label = 4
    labels.mode = "paint"
    dock.set_labels_layer(labels)
    dock._form.improve.click()
    assert dock._form.tools["point"].isChecked()
    mouse.click((35, 35))
    dock.wait_idle()
    (draft,) = dock._session.drafts
    assert draft.prompts.seed is not None
    assert draft.prompts.labels == (1,)
    assert set(np.unique(labels.data)) == {0, 4}

"""No half-finished state of any tool harms anything: it is finished or cancelled before anything else happens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import napari
import numpy as np
import pytest

from mouse import Mouse, settle
from napari_sam.errors import InputError
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock
from prompt_actions import press

TOOLS = ("rectangle", "ellipse", "polygon", "path")


@pytest.fixture(scope="module")
def image() -> Any:
    return np.random.default_rng(0).integers(0, 4000, (3, 60, 80)).astype(np.uint16)


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """Exceptions in napari's event loop, which a test must not have."""
    found: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _where: found.append(error))
    yield found
    assert found == []


@pytest.fixture
def studio(
    make_napari_viewer: Callable[..., napari.Viewer], tiny_cell_model: Sam, image: Any, uncaught: list[BaseException]
) -> tuple[PromptDock, Mouse]:
    viewer = make_napari_viewer()
    layer = viewer.add_image(image, name="image")
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.set_model(tiny_cell_model)
    dock.viewer = viewer
    viewer.dims.set_point(0, 1)
    return dock, Mouse(viewer, layer)


def begin(dock: PromptDock, mouse: Mouse, tool: str, corners: int = 3) -> None:
    """Draw half of a shape: the button stays down, or the polygon is not ended."""
    dock._form.tools[tool].click()
    places = [(10, 10), (10, 40), (30, 40), (30, 10)][:corners]
    if tool == "polygon":
        for place in places:
            mouse.click(place)
        mouse.move((25, 12))
    else:
        mouse.move(places[0])
        mouse.press(places[0])
        mouse.go(places[0], places[-1])


def go_on(dock: PromptDock, mouse: Mouse) -> None:
    """Move and let go, as a hand does that knows nothing of what happened, then draw another shape."""
    mouse.move((26, 14))
    mouse.release((27, 15))
    mouse.move((28, 16))
    layers = dock.viewer.layers
    tool = TOOLS[layers["SAM shapes"].nshapes % len(TOOLS)] if "SAM shapes" in layers else "polygon"  # each in its turn
    dock._form.tools[tool].click()
    if tool == "polygon":
        for place in ((20, 20), (20, 40), (40, 40)):
            mouse.click(place)
        mouse.double_click((40, 20))
    else:
        mouse.drag((20, 20), (40, 40))
    dock.wait_idle()
    shapes = layers["SAM shapes"]
    assert not shapes._is_creating
    assert len(shapes.features) == shapes.nshapes >= 1
    assert shapes.shape_type[-1] == tool


@pytest.mark.parametrize("tool", TOOLS)
def test_keys_in_the_middle_of_a_shape(studio: tuple[PromptDock, Mouse], tool: str) -> None:
    dock, mouse = studio
    for key in ("N", "Shift-N", "Shift-D", "Control-Z", "Control-Shift-Z", "Escape"):
        dock.add_box((5, 5, 50, 50))
        dock.wait_idle()
        begin(dock, mouse, tool)
        press(dock, key)
        settle()
        go_on(dock, mouse)


def _show_in_3d(viewer: Any) -> None:
    viewer.dims.ndisplay = 3
    settle()
    viewer.dims.ndisplay = 2


def _select_image(viewer: Any) -> None:
    viewer.layers.selection.active = viewer.layers["image"]


@pytest.mark.parametrize("tool", TOOLS)
def test_what_napari_does_in_the_middle_of_a_shape(studio: tuple[PromptDock, Mouse], tool: str) -> None:
    dock, mouse = studio
    happenings: list[Callable[[Any], None]] = [
        lambda viewer: viewer.dims.set_point(0, 2),
        _show_in_3d,
        lambda viewer: setattr(viewer.layers["SAM shapes"], "mode", "select"),
        _select_image,
        lambda viewer: viewer.layers.remove("SAM shapes"),
    ]
    for happen in happenings:
        begin(dock, mouse, tool)
        happen(dock.viewer)
        settle()
        go_on(dock, mouse)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_shape_that_is_accepted_halfway_is_finished_first(studio: tuple[PromptDock, Mouse], tool: str) -> None:
    dock, mouse = studio
    begin(dock, mouse, tool)
    with pytest.raises(InputError, match="not there yet"):
        dock.accept()
    assert dock.viewer.layers["SAM shapes"].shape_type == [tool]
    mouse.release((30, 10))
    dock.wait_idle()
    assert dock.accept() == 1
    assert dock.viewer.layers["SAM shapes"].nshapes == 0


def test_undo_and_discard_take_away_what_is_being_drawn_and_nothing_else(studio: tuple[PromptDock, Mouse]) -> None:
    dock, mouse = studio
    dock.add_point((20, 20))
    dock.wait_idle()
    for tool in TOOLS:
        for action in (dock.undo, dock.discard):
            begin(dock, mouse, tool)
            action()
            mouse.release((30, 10))
            assert dock.viewer.layers["SAM shapes"].nshapes == 0
            assert len(dock.viewer.layers["SAM points"].data) == 1
    dock.undo()
    assert len(dock.viewer.layers["SAM points"].data) == 0


def test_a_polygon_of_too_few_corners_is_no_shape(studio: tuple[PromptDock, Mouse]) -> None:
    dock, mouse = studio
    for corners in (1, 2):
        begin(dock, mouse, "polygon", corners)
        with pytest.raises(InputError, match="nothing to accept"):
            dock.accept()
        begin(dock, mouse, "polygon", corners)
        dock._form.tools["rectangle"].click()
        begin(dock, mouse, "polygon", corners)
        press(dock, "Escape")
        shapes = dock.viewer.layers["SAM shapes"]
        assert shapes.nshapes == len(shapes.features) == 0
    go_on(dock, mouse)


def test_a_polygon_stays_one_when_another_tool_is_taken(studio: tuple[PromptDock, Mouse]) -> None:
    dock, mouse = studio
    for other in ("rectangle", "point", "path"):
        begin(dock, mouse, "polygon")
        dock._form.tools[other].click()
    begin(dock, mouse, "polygon")
    dock.viewer.layers["SAM shapes"].mode = "add_rectangle"  # in napari's own controls
    shapes = dock.viewer.layers["SAM shapes"]
    assert shapes.shape_type == ["polygon"] * 4
    assert {len(vertices) for vertices in shapes.data} == {3}


@pytest.mark.parametrize("layer", ["SAM points", "SAM shapes"])
def test_keys_while_a_prompt_is_dragged(studio: tuple[PromptDock, Mouse], layer: str) -> None:
    dock, mouse = studio
    for key in ("N", "Shift-D", "Control-Z"):
        drag_and_press(dock, mouse, layer, key)


def drag_and_press(dock: PromptDock, mouse: Mouse, layer: str, key: str) -> None:
    dock.add_box((5, 5, 50, 50))
    dock.add_point((20, 20))
    dock.wait_idle()
    dock.viewer.layers.selection.active = dock.viewer.layers[layer]
    dock.viewer.layers[layer].mode = "select"
    mouse.move((20, 20))
    mouse.press((20, 20))
    mouse.go((20, 20), (25, 28))
    press(dock, key)
    mouse.go((25, 28), (30, 30))
    mouse.release((30, 30))
    go_on(dock, mouse)


def test_the_next_step_says_how_to_end_a_polygon(studio: tuple[PromptDock, Mouse]) -> None:
    dock, mouse = studio
    begin(dock, mouse, "polygon")
    dock.wait_idle()
    assert dock.next_step == "Double-click to end the polygon; Shift+D cancels it."
    press(dock, "Shift-D")
    dock.wait_idle()
    assert "Press Click" in dock.next_step

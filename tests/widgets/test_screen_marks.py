"""Marks are as large on the screen at any zoom, pixel size and image size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
import pytest
from napari.layers import Points, Shapes

from mouse import settle
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock

PLACES: list[dict[str, Any]] = [
    {},
    {"scale": (65, 65), "units": ("nm", "nm")},
    {"scale": (1e-3, 1e-3), "units": ("m", "m")},
    {"affine": np.diag([0.2, 0.2, 1])},
    {"scale": (0.2, 0.2), "rotate": 30, "translate": (500, -70)},
]
BLUE = np.array([0x1F, 0xB4, 0xFF])


def blue_extent(viewer: napari.Viewer) -> tuple[int, int]:
    """Height and width on the screen of what is drawn in the colour of positive prompts."""
    settle()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    rows, cols = np.nonzero(np.abs(picture - BLUE).max(axis=-1) < 12)
    return int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1


@pytest.mark.parametrize("side", [64, 4000])
@pytest.mark.parametrize("place", PLACES)
def test_a_point_is_as_large_at_any_zoom(
    make_napari_viewer: Callable[..., napari.Viewer], place: dict[str, Any], side: int
) -> None:
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((side, side), np.uint8), **place)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.start()
    points: Points = viewer.layers["SAM points"]
    points.add((side / 2, side / 2))
    viewer.reset_view()
    for zoom in (1, 0.3, 5):
        viewer.camera.zoom *= zoom
        viewer.camera.center = image.data_to_world((side / 2, side / 2))
        assert all(6 <= length <= 13 for length in blue_extent(viewer))


@pytest.mark.parametrize("place", PLACES)
def test_an_edge_is_as_thick_at_any_zoom(
    make_napari_viewer: Callable[..., napari.Viewer], place: dict[str, Any]
) -> None:
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((400, 400), np.uint8), **place)
    dock: PromptDock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")[1]
    dock.start("path")
    shapes: Shapes = viewer.layers["SAM shapes"]
    shapes.add(np.array([[200.0, 200.0], [200.0, 220.0]]), shape_type="path")
    shapes.selected_data = set()
    viewer.reset_view()
    for zoom in (1, 0.4, 6):
        viewer.camera.zoom *= zoom
        viewer.camera.center = image.data_to_world((200, 210))
        settle()
        on_screen = 20 * viewer.camera.zoom * np.linalg.norm(np.subtract(*map(image.data_to_world, np.eye(2)))) / 2**0.5
        height, width = blue_extent(viewer)
        thick = min(height, width) if "rotate" not in place else width - on_screen * np.cos(np.pi / 6)
        assert 0 < thick <= 4


def test_the_edge_of_a_region_of_sam_auto_is_as_thick(make_napari_viewer: Callable[..., napari.Viewer]) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((3000, 3000), np.uint8), scale=(0.065, 0.065))
    dock: AutoDock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")[1]
    dock.draw_region()
    region: Shapes = viewer.layers["SAM Auto region"]
    for zoom in (1, 0.4, 6):
        viewer.camera.zoom *= zoom
        settle()
        assert region.current_edge_width * region.scale[-1] * viewer.camera.zoom == pytest.approx(2, rel=0.05)


def test_marks_that_grow_with_the_zoom_are_no_change_of_a_prompt(
    make_napari_viewer: Callable[..., napari.Viewer],
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).integers(0, 4000, (50, 60)).astype(np.uint16))
    dock: PromptDock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")[1]
    dock.start()
    viewer.layers["SAM points"].add((20, 20))
    dock._session._update_now()
    before = viewer.layers["SAM points"].size[0]
    viewer.camera.zoom *= 3
    settle()
    assert viewer.layers["SAM points"].size[0] == pytest.approx(before / 3, rel=0.05)
    assert not dock._session._timer.isActive()
    dock.undo()
    assert len(viewer.layers["SAM points"].data) == 0

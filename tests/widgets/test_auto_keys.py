"""SAM Auto's keys act on the object under the mouse; keys belong to the dock in front, Ctrl+Z to what was done last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.bindings import AUTO_BINDINGS

Image = npt.NDArray[np.uint8]


@pytest.fixture
def dock(open_auto: Callable[..., AutoDock], planted: Any, squares: Image) -> AutoDock:
    dock = open_auto(squares)
    dock.run()
    dock.wait_idle()
    return dock


def press(dock: Any, key: str, at: tuple[float, float] | None = None) -> None:
    """Press a key with the mouse at a place of the image."""
    if at is not None:
        dock.viewer.cursor.position = at
    dock.viewer.window._qt_viewer._key_map_handler.press_key(key)
    dock.wait_idle()


def test_keys_settle_remove_and_merge_what_is_under_the_mouse(dock: AutoDock) -> None:
    first, second = dock.labels_layer.data[7, 7], dock.labels_layer.data[7, 22]  # type: ignore[union-attr]
    press(dock, "N", (7, 7))
    assert dock.status.startswith(f"Object {first} is settled")
    press(dock, "G", (7, 7))
    press(dock, "G", (7, 22))
    assert "Shift+N" in dock.next_step
    press(dock, "Shift+N")
    assert len(dock.objects) == 5
    assert dock.labels_layer.data[7, 22] == first != second  # type: ignore[union-attr]
    press(dock, "Shift+D", (27, 7))
    assert len(dock.objects) == 4
    press(dock, "Shift+D", (0, 0))
    assert len(dock.objects) == 4
    assert "no object under the mouse" in dock.status


@pytest.mark.parametrize("active", ["labels", "image"])
def test_ctrl_z_takes_back_what_was_done_last(dock: AutoDock, active: str) -> None:
    layer = dock.labels_layer
    assert layer is not None
    viewer = dock.viewer  # type: ignore[attr-defined]
    viewer.layers.selection.active = layer if active == "labels" else viewer.layers["image"]
    dock.delete(int(layer.data[7, 7]))
    press(dock, "Ctrl+Z")
    assert len(dock.objects) == 6
    press(dock, "Ctrl+Shift+Z")
    assert len(dock.objects) == 5


def test_strokes_and_steps_come_and_go_in_the_order_in_which_they_were_made(dock: AutoDock) -> None:
    layer = dock.labels_layer
    assert layer is not None
    dock.viewer.layers.selection.active = layer  # type: ignore[attr-defined]
    layer.brush_size = 2
    states = [(layer.data.copy(), set(dock.objects))]
    for act in (
        lambda: layer.paint((35, 45), 98),
        lambda: dock.delete(int(layer.data[7, 7])),
        lambda: layer.paint((35, 25), 99),
    ):
        act()
        dock.wait_idle()
        states.append((layer.data.copy(), set(dock.objects)))
    assert [len(objects) for _, objects in states] == [6, 7, 6, 7]
    for key, expected in [("Ctrl+Z", states[-2::-1]), ("Ctrl+Shift+Z", states[1:])]:
        for labels, objects in expected:
            press(dock, key)
            np.testing.assert_array_equal(layer.data, labels)
            assert set(dock.objects) == objects


def test_keys_are_shown_and_belong_to_the_dock_that_was_used_last(dock: AutoDock) -> None:
    form = dock._form
    shown = " ".join(label.text() for label in form.findChildren(type(form.count).__mro__[1]))
    for binding in AUTO_BINDINGS:
        assert f"<b>{binding.shown}</b>" in shown
    viewer = dock.viewer  # type: ignore[attr-defined]
    _, prompts = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    press(dock, "N", (7, 7))
    assert "nothing to accept" in prompts.status
    assert dock._keys is not None
    dock._keys.touch()
    press(dock, "N", (7, 7))
    assert "is settled" in dock.status


def test_low_scores_say_so_and_what_to_try(open_auto: Callable[..., AutoDock], planted: Any, squares: Image) -> None:
    dock = open_auto(np.where(squares > 0, 30, 0).astype(np.uint8))
    dock.run()
    dock.wait_idle()
    assert "scores are low" in dock.status
    assert "another model" in dock.status
    dock.set_image(dock.viewer.add_image(squares, name="known"))  # type: ignore[attr-defined]
    dock.run()
    dock.wait_idle()
    assert dock.status == "6 objects found in known."


def test_missing_pixels_are_said_once(open_auto: Callable[..., AutoDock], planted: Any, squares: Image) -> None:
    stack = np.stack([squares, squares]).astype(np.float32)
    stack[1, 0, 0] = np.nan
    dock = open_auto(stack)
    for where, times in (("stack", 1), ("plane", 0)):
        dock.viewer.dims.set_point(0, 0)  # type: ignore[attr-defined]
        dock.run(where)
        dock.wait_idle()
        assert dock.status.count("count as missing") == times

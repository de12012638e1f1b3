"""Ctrl+Z with a labels layer selected takes back what was done last, a stroke or a step of whichever dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.model.sam import Sam
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock

Image = npt.NDArray[np.uint8]


def press(viewer: Any, key: str, *docks: Any) -> None:
    viewer.window._qt_viewer._key_map_handler.press_key(key)
    for dock in docks:
        dock.wait_idle()


def accept_at(dock: PromptDock, row: int, col: int) -> int:
    """Click, and accept what is found, whatever is there already."""
    dock.set_keep_existing(False)
    dock.add_point((row, col))
    dock.wait_idle()
    return dock.accept()


def count(layer: Any, label: int) -> int:
    return int(np.count_nonzero(np.asarray(layer.data) == label))


def select(viewer: Any, layer: Any) -> None:
    viewer.layers.selection.active = layer
    layer.brush_size = 6


def test_an_accept_over_a_stroke_is_taken_back_whole_and_then_the_stroke(
    open_dock: Callable[..., PromptDock], noise: Image
) -> None:
    dock = open_dock(noise)
    dock.set_keep_existing(False)
    dock.start()
    layer: Any = dock.labels_layer
    dock.add_point((20, 22))
    dock.wait_idle()
    rows, cols = np.nonzero(dock.candidates[0].mask)
    select(dock.viewer, layer)
    layer.paint((rows[0], cols[0]), 50)
    stroke = np.array(layer.data)
    label = dock.accept()
    accepted = np.array(layer.data)
    assert (accepted != stroke)[stroke == 50].any()  # it lies over the stroke
    select(dock.viewer, layer)
    steps = [np.array(layer.data)]
    for _ in range(10):
        press(dock.viewer, "Ctrl+Z", dock)
        assert count(layer, label) in (0, count_of(accepted, label))  # all of an object or none of it
        if not np.array_equal(layer.data, steps[-1]):
            steps.append(np.array(layer.data))
    assert [step.max() for step in steps] == [label, 50, 0]
    np.testing.assert_array_equal(steps[1], stroke)
    for _ in range(10):
        press(dock.viewer, "Ctrl+Shift+Z", dock)
        assert count(layer, label) in (0, count_of(accepted, label))
    np.testing.assert_array_equal(layer.data, accepted)


def count_of(labels: Image, label: int) -> int:
    return int(np.count_nonzero(labels == label))


@pytest.fixture
def both(
    open_auto: Callable[..., AutoDock], planted: Any, squares: Image, tiny_cell_model: Sam
) -> tuple[Any, AutoDock, PromptDock]:
    """Both docks at one labels layer, with six objects."""
    auto = open_auto(squares)
    auto.run()
    auto.wait_idle()
    viewer = auto.viewer  # type: ignore[attr-defined]
    _, prompts = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    prompts.set_model(tiny_cell_model)
    prompts.set_labels_layer(auto.labels_layer)
    return viewer, auto, prompts


def test_two_docks_at_one_layer_undo_in_the_order_in_which_things_were_done(
    both: tuple[Any, AutoDock, PromptDock],
) -> None:
    viewer, auto, prompts = both
    layer: Any = auto.labels_layer
    select(viewer, layer)
    states = [np.array(layer.data)]
    for act in (
        lambda: layer.paint((35, 45), 98),
        lambda: auto.delete(int(layer.data[7, 7])),
        lambda: accept_at(prompts, 30, 20),
        lambda: layer.paint((18, 20), 99),
    ):
        act()
        auto.wait_idle()
        states.append(np.array(layer.data))
    select(viewer, layer)
    keys = {"Ctrl+Z": states[-2::-1], "Ctrl+Shift+Z": states[1:]}
    for key, expected in keys.items():
        for labels in expected:
            before = np.array(layer.data)
            for _ in range(2):  # an accept comes with a prompt, which is a step of its own
                press(viewer, key, auto, prompts)
                if not np.array_equal(layer.data, before):
                    break
            np.testing.assert_array_equal(layer.data, labels)


@pytest.mark.parametrize("first", ["auto", "prompts"])
def test_the_keys_stay_with_the_dock_that_stays_and_go_with_the_last(
    both: tuple[Any, AutoDock, PromptDock], first: str
) -> None:
    viewer, auto, prompts = both
    layer: Any = auto.labels_layer
    select(viewer, layer)
    layer.paint((30, 20), 50)
    auto.wait_idle()
    label = accept_at(prompts, 30, 20)
    auto.delete(int(layer.data[7, 7]))
    select(viewer, layer)
    pixels = count(layer, label)
    gone, stays = (auto, prompts) if first == "auto" else (prompts, auto)
    viewer.window.remove_dock_widget(gone)
    before = np.array(layer.data)
    press(viewer, "Ctrl+Z", stays)
    assert (before != layer.data).any()
    if first == "auto":  # the accept is taken back
        assert count(layer, label) == 0
        press(viewer, "Ctrl+Shift+Z", stays)
    assert count(layer, label) == pixels
    viewer.window.remove_dock_widget(stays)
    assert not layer.keymap
    select(viewer, layer)
    for _ in range(3):  # napari's own, which must not take a piece out of the object
        press(viewer, "Ctrl+Z")
        assert count(layer, label) == pixels
    layer.paint((3, 45), 90)
    press(viewer, "Ctrl+Z")
    assert count(layer, 90) == 0
    assert count(layer, label) == pixels

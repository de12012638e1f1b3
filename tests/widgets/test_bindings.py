"""The dock's keys work, are shown, and hide none of napari's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from app_model.types import KeyBinding
from napari._app_model import get_app_model
from napari.settings import get_settings
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtWidgets import QLabel

from napari_sam.widgets.bindings import BINDINGS, KeyBindings
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]

ADDERS: dict[str, Callable[[Any], Any]] = {
    "none": lambda viewer: None,
    "image": lambda viewer: viewer.add_image(np.zeros((9, 9))),
    "labels": lambda viewer: viewer.add_labels(np.zeros((9, 9), int)),
    "points": lambda viewer: viewer.add_points(np.zeros((1, 2))),
    "shapes": lambda viewer: viewer.add_shapes(),
    "surface": lambda viewer: viewer.add_surface((np.eye(3), np.array([[0, 1, 2]]))),
    "tracks": lambda viewer: viewer.add_tracks(np.array([[0, 0, 1, 1], [0, 1, 1, 2.0]])),
    "vectors": lambda viewer: viewer.add_vectors(np.zeros((1, 2, 2))),
}


def keymap(viewer: Any, layer: Any) -> dict[str, Any]:
    handler = KeymapHandler()
    handler.keymap_providers = [viewer] if layer is None else [layer, viewer]
    return {str(key): getattr(function, "__func__", function) for key, function in handler.active_keymap.items()}


def test_no_key_of_naparis_is_hidden(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()
    layers = {kind: add(viewer) for kind, add in ADDERS.items()}
    before = {kind: keymap(viewer, layer) for kind, layer in layers.items()}
    keys = KeyBindings(viewer, {binding.action: lambda: None for binding in BINDINGS})
    assert keys.bound == list(BINDINGS)
    ours = {str(KeyBinding.from_str(binding.key)) for binding in BINDINGS}
    for kind, layer in layers.items():
        assert len(before[kind]) > 10
        after = keymap(viewer, layer)
        assert {key: after[key] for key in before[kind]} == before[kind], kind
        assert ours <= set(after)
    assert "Ctrl+Z" in before["labels"]
    assert "Ctrl+Z" not in before["points"]
    keys.release()
    assert {kind: keymap(viewer, layer) for kind, layer in layers.items()} == before


def test_no_menu_or_shortcut_of_naparis_is_taken(make_napari_viewer: Callable[..., Any]) -> None:
    make_napari_viewer()
    taken = {str(bound.keybinding) for bound in get_app_model().keybindings}
    taken |= {str(key) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    assert len(taken) > 50
    assert not taken & {str(KeyBinding.from_str(binding.key)) for binding in BINDINGS}


def test_a_key_that_is_taken_stays_as_it_is(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()

    def other(_viewer: Any) -> None:
        """Belong to another plugin."""

    viewer.bind_key("Q", other)
    keys = KeyBindings(viewer, {binding.action: lambda: None for binding in BINDINGS})
    assert "Q" not in {binding.key for binding in keys.bound}
    keys.release()
    assert keymap(viewer, None)["Q"] is other


def test_every_key_does_something_and_is_shown(open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch) -> None:
    dock = open_dock(np.zeros((20, 20)))
    texts = dock._form.findChildren(QLabel)
    shown = " ".join(label.text() for label in texts)
    for binding in BINDINGS:
        assert f"<b>{binding.shown}</b>" in shown
        assert callable(getattr(dock, binding.action))


def test_undo_keys_with_the_prompts_selected(open_dock: OpenDock) -> None:
    dock = open_dock(np.random.default_rng(0).random((30, 30)))
    dock.start()
    dock.add_point((10, 10))
    dock.wait_idle()
    handler = dock.viewer.window._qt_viewer._key_map_handler
    handler.press_key("Ctrl+Z")
    assert len(dock.viewer.layers["SAM points"].data) == 0
    handler.press_key("Ctrl+Shift+Z")
    assert len(dock.viewer.layers["SAM points"].data) == 1
    dock.wait_idle()
    handler.press_key("N")
    assert dock.labels_layer is not None
    assert dock.labels_layer.data.max() == 1
    handler.press_key("N")
    assert "nothing to accept" in dock.status

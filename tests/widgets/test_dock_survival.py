"""What users do at bad moments."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import pytest
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication

from gui_helpers import wait_for, workers
from napari_sam.errors import InputError
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock

Image = npt.NDArray[np.uint16]
OpenDock = Callable[..., PromptDock]


def test_image_removed_while_encoding(open_dock: OpenDock, noise: Image, gated_model: Any) -> None:
    dock = open_dock(noise, model=gated_model)
    dock.add_point((20, 22))
    wait_for(gated_model.entered.is_set)
    dock.viewer.layers.remove("image")
    gated_model.gate.set()
    dock.wait_idle()
    assert dock.candidates == ()
    assert "removed" in dock.status
    assert dock._form.image.currentText() == "choose an image"
    with pytest.raises(InputError, match="No image layer"):
        dock.accept()
    dock.set_image(dock.viewer.add_image(noise[::-1], name="other"))
    dock.wait_idle()
    assert len(dock.candidates) == 3


def test_image_renamed_while_encoding(open_dock: OpenDock, noise: Image, gated_model: Any) -> None:
    dock = open_dock(noise, model=gated_model)
    dock.add_point((20, 22))
    wait_for(gated_model.entered.is_set)
    dock.viewer.layers["image"].name = "renamed"
    gated_model.gate.set()
    dock.wait_idle()
    assert len(dock.candidates) == 3
    assert dock._form.image.currentText() == "renamed"


@pytest.mark.parametrize("name", ["SAM points", "SAM shapes", "SAM preview"])
def test_prompt_layer_removed(open_dock: OpenDock, noise: Image, name: str) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.add_box((3, 3, 30, 30))
    dock.wait_idle()
    before = dock.candidates[0].mask
    dock.viewer.layers.remove(name)
    dock.wait_idle()
    assert len(dock.candidates) == (3 if name == "SAM shapes" else 1)
    if name != "SAM preview":
        dock.undo()
    else:
        dock.add_point((21, 22))
        dock.undo()
    dock.wait_idle()
    np.testing.assert_array_equal(dock.candidates[0].mask, before)
    assert name in dock.viewer.layers


def test_labels_layer_removed(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    for row in (10, 30):
        dock.add_point((row, 22))
        dock.wait_idle()
        assert dock.accept() == 1
        dock.viewer.layers.remove(dock.labels_layer)
        assert dock.labels_layer is None
    dock.undo()


def test_slider_moved_during_a_prediction(open_dock: OpenDock, noise: Image, gated_model: Any) -> None:
    dock = open_dock(np.stack([noise, noise[::-1]]), model=gated_model)
    dock.viewer.dims.set_point(0, 0)
    dock.add_point((20, 22))
    wait_for(gated_model.entered.is_set)
    dock.viewer.dims.set_point(0, 1)
    QApplication.processEvents()
    gated_model.gate.set()
    dock.wait_idle()
    assert dock.candidates == ()
    dock.viewer.dims.set_point(0, 0)
    dock.wait_idle()
    assert len(dock.candidates) == 3


def test_two_viewers_at_once(open_dock: OpenDock, noise: Image) -> None:
    first, second = open_dock(noise), open_dock(noise[:40])
    first.add_point((20, 22))
    second.add_point((30, 12))
    second.add_point((10, 12), positive=False)
    first.wait_idle()
    second.wait_idle()
    assert first.candidates[0].mask.shape == (50, 60)
    assert second.candidates[0].mask.shape == (40, 60)
    assert first.accept() == 1
    assert second.labels_layer is None
    assert len(second.candidates) == 1


@pytest.mark.parametrize("show", [False, True], ids=["hidden", "shown"])
def test_viewer_closed_in_the_middle(
    make_napari_viewer: Callable[..., napari.Viewer], noise: Image, gated_model: Any, show: bool
) -> None:
    before = set(workers())
    viewer = make_napari_viewer(show=show)
    viewer.add_image(noise, name="image")
    dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")[1]
    dock.set_model(gated_model)
    dock.add_point((20, 22))
    wait_for(gated_model.entered.is_set)
    alive = weakref.ref(dock)
    del dock
    viewer.close()
    gated_model.gate.set()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    wait_for(lambda: set(workers()) == before)
    gc.collect()
    wait_for(lambda: (gc.collect(), alive() is None)[1])


def test_dock_closed_and_opened_again(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    before = set(workers())
    dock = open_dock(noise)
    viewer = dock.viewer
    dock.add_point((20, 22))
    dock.wait_idle()
    viewer.window.remove_dock_widget(dock)
    wait_for(lambda: set(workers()) == before)
    assert "SAM preview" not in viewer.layers
    viewer.layers["SAM points"].add((3, 3))
    viewer.dims.set_point(0, 1)
    assert "Q" not in {str(key) for key in viewer.keymap}
    _, again = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    again.set_model(tiny_cell_model)
    again.add_point((20, 22))
    again.wait_idle()
    assert len(again.candidates) == 3
    assert "Q" in {str(key) for key in viewer.keymap}


def test_image_data_replaced(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()
    before = dock.candidates[0].score
    dock.viewer.layers["image"].data = noise[::-1].copy()
    dock.wait_idle()
    assert dock.candidates[0].score != before

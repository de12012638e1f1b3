"""Runs of SAM Auto that are cancelled, resumed, timed, closed, and never block the window."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from qtpy.QtCore import QCoreApplication, QEvent

from gui_helpers import LONGEST_PAUSE, longest_pause, values_of, wait_for, workers
from napari_sam.errors import InputError
from napari_sam.model.build import build_model
from napari_sam.widgets.auto_dock import AutoDock

OpenAuto = Callable[..., AutoDock]
Image = npt.NDArray[np.uint8]


def test_cancel_keeps_what_was_found_and_a_second_run_goes_on(
    open_auto: OpenAuto, planted: Any, squares: Image
) -> None:
    planted.held = lambda _, number: number > 4
    dock = open_auto(squares)
    dock.run()
    wait_for(lambda: dock._form.progress.value() > 400)
    assert not dock._form.run.isEnabled()
    with pytest.raises(InputError, match="A run is going on"):
        dock.run()
    wait_for(lambda: len(dock.records) > 0)  # shown while it runs
    with pytest.raises(InputError, match="still at work"):
        dock.delete(1)
    dock._form.cancel.click()
    planted.gate.set()
    dock.wait_idle()
    found = len(dock.records)
    assert 4 <= found < 6
    assert len(dock.labels_layer.features) == found
    assert "Cancelled" in dock.status
    assert dock._form.progress.isHidden()
    dock.delete(label := next(iter(dock.objects)))
    dock.set_filter(pred_iou_thresh=0.1)  # does not keep the run from going on
    dock.run()
    assert "Going on" in dock.status
    dock.wait_idle()
    assert len(planted.searches) == 1
    assert len(values_of(squares, dock.labels_layer.data)) == 6
    assert label in dock.objects  # a run brings back what was deleted before it
    dock.run()
    dock.wait_idle()
    assert len(planted.searches) == 2  # nothing was left to go on with


def test_other_settings_do_not_go_on(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    planted.held = lambda _, number: number > 2
    dock = open_auto(squares)
    dock.run()
    wait_for(lambda: len(dock.records) > 0)
    dock.cancel()
    planted.gate.set()
    dock.wait_idle()
    dock.set_settings(dock.settings, points_per_side=4)
    dock.run()
    dock.wait_idle()
    assert len(planted.searches) == 2
    assert len(dock.records) == 6


def test_a_stack_goes_on_with_the_plane_it_was_cancelled_in(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    planted.held = lambda search, number: search == 2 and number > 3
    dock = open_auto(np.stack([squares, np.where(squares > 0, squares + 1, 0).astype(np.uint8), squares]))
    dock.run("stack")
    wait_for(lambda: "Plane 2 of 3" in dock._form.progress.format())
    wait_for(lambda: dock.labels_layer.data[1].any())
    dock.cancel()
    planted.gate.set()
    dock.wait_idle()
    counts = [len(np.unique(plane)) - 1 for plane in dock.labels_layer.data]
    assert counts[0] == 6
    assert 3 <= counts[1] < 6
    assert counts[2] == 0
    dock.run("stack")
    dock.wait_idle()
    assert [len(np.unique(plane)) - 1 for plane in dock.labels_layer.data] == [6, 6, 6]
    assert len(planted.searches) == 3


def test_cancel_while_the_image_is_encoded(open_auto: OpenAuto, noise: Any, gated_model: Any) -> None:
    dock = open_auto(noise, model=gated_model)
    dock.run()
    wait_for(gated_model.entered.is_set)
    dock.cancel()
    gated_model.gate.set()
    dock.wait_idle()
    assert dock.records == []
    dock.run()
    dock.wait_idle()
    assert len(dock.records) > 0


def test_the_time_left_is_said(open_auto: OpenAuto, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sam.widgets.auto_runner.SHOW_AFTER", 0.0)
    image = np.zeros((8, 300), np.uint8)
    image[2:6, ::4] = image[2:6, 1::4] = 90
    texts: list[str] = []
    dock = open_auto(image)
    dock._session.runner.progressed.connect(lambda _done, _total, text: texts.append(text))
    dock.run()
    dock.wait_idle()
    assert any(text.endswith("s left,") for text in texts)
    assert texts[-1] == ""


def test_closing_the_dock_during_a_run(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    planted.held = lambda _, number: number > 2
    before = len(workers())
    dock = open_auto(squares)
    dock.run()
    viewer, gone = dock.viewer, weakref.ref(dock)
    wait_for(lambda: "SAM Auto: image" in viewer.layers and viewer.layers["SAM Auto: image"].data.any())
    viewer.window.remove_dock_widget(dock)
    planted.gate.set()
    del dock
    wait_for(lambda: len(workers()) <= before)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert gone() is None
    assert "SAM Auto: image" in viewer.layers
    _, again = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")
    assert again.labels_layer is None


def test_the_image_is_removed_during_a_run(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    planted.held = lambda _, number: number > 2
    dock = open_auto(squares)
    dock.run()
    wait_for(lambda: len(dock.records) > 0)
    dock.viewer.layers.remove("image")
    planted.gate.set()
    dock.wait_idle()
    assert "removed" in dock.status or "Cancelled" in dock.status


def test_the_labels_are_removed_during_a_run(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    planted.held = lambda _, number: number > 2
    dock = open_auto(squares)
    dock.run()
    wait_for(lambda: len(dock.records) > 0)
    dock.viewer.layers.remove(dock.labels_layer)
    planted.gate.set()
    dock.wait_idle()
    assert len(values_of(squares, dock.labels_layer.data)) == 6


def test_the_window_never_waits_for_the_model(open_auto: OpenAuto) -> None:
    image = np.random.default_rng(2).integers(0, 4000, (300, 300)).astype(np.uint16)
    dock = open_auto(image, model=build_model("cells"))
    dock.set_settings(dock.settings, points_per_side=6)
    dock.run()
    dock.wait_idle()
    pauses = []
    for points in (7, 8, 9):  # other work on this machine disturbs some of them
        dock.set_settings(dock.settings, points_per_side=points)
        with longest_pause() as worst:
            dock.run()
            dock.wait_idle()
        pauses.append(worst[0])
    assert min(pauses) < LONGEST_PAUSE, pauses


def test_errors_of_the_model_are_reported(open_auto: OpenAuto, noise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("napari_sam.widgets.reporter.notification_manager.dispatch", seen.append)
    dock = open_auto(noise)
    monkeypatch.setattr(dock._session.runner._engine, "_search", lambda *_: 1 / 0)
    dock.run()
    with pytest.raises(ZeroDivisionError):
        dock.wait_idle()
    assert len(seen) == 1
    assert "ZeroDivisionError" in dock.status
    dock.set_image(dock.viewer.add_image(np.full((20, 20), np.nan), name="nothing"))
    monkeypatch.undo()
    dock.run()
    dock.wait_idle()  # a picture of nothing but missing pixels is searched, and nothing is found in it
    assert dock.records == []

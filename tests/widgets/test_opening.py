"""Docks open at once: what takes seconds is imported by the threads that need it; several docks become tabs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QLabel, QMainWindow, QScrollArea, QTabBar, QToolTip

from napari_sam.widgets.form_parts import Sentence, make_combo, make_sentence

DOCKS = ("SAM Prompts", "SAM Auto", "SAM Text", "SAM Batch", "SAM Train")
WATCHED = f"""
import sys, threading
import napari, numpy

SLOW = ("torch", "open_clip", "distributed", "pandas")

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in SLOW and threading.current_thread() is threading.main_thread():
            print("the GUI thread imports", name)

sys.meta_path.insert(0, Watch())
viewer = napari.Viewer(show=False)
viewer.add_image(numpy.zeros((40, 40), "uint8"))
docks = [viewer.window.add_plugin_dock_widget("napari-sam-stack", name)[1] for name in {DOCKS}]
docks[0].wait_idle(240)
print("torch" in sys.modules)
viewer.close()
"""


def open_docks(viewer: Any, names: tuple[str, ...] = DOCKS) -> list[Any]:
    docks = [viewer.window.add_plugin_dock_widget("napari-sam-stack", name)[1] for name in names]
    QApplication.processEvents()
    QApplication.processEvents()
    return docks


def test_the_gui_thread_never_imports_what_takes_seconds() -> None:
    result = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=False)
    assert result.stdout.split("\n")[:-1] == ["True"], result.stderr


def test_docks_come_as_tabs(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer(show=True)
    first, *others = open_docks(viewer)
    frame, window = first.parent(), viewer.window._qt_window
    assert isinstance(window, QMainWindow)
    assert {dock.parent() for dock in others} <= set(window.tabifiedDockWidgets(frame))
    titles = {bar.tabText(i) for bar in window.findChildren(QTabBar) for i in range(bar.count())}
    assert titles >= set(DOCKS)
    assert first.visibleRegion().isEmpty()
    assert not others[-1].visibleRegion().isEmpty()


def test_a_dock_that_was_taken_out_stays_out(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer(show=True)
    (first,) = open_docks(viewer, DOCKS[:1])
    first.parent().setFloating(True)
    (second,) = open_docks(viewer, DOCKS[1:2])
    assert first.parent().isFloating()
    assert not viewer.window._qt_window.tabifiedDockWidgets(second.parent())


@pytest.mark.parametrize("name", DOCKS)
def test_nothing_is_cut_in_a_narrow_dock(make_napari_viewer: Callable[..., Any], name: str) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((40, 40)), name="a rather long name of an image that somebody chose to keep")
    (dock,) = open_docks(viewer, (name,))
    frame = dock.parent()
    assert isinstance(frame, QDockWidget)
    frame.setFloating(True)
    frame.resize(300, 1000)
    dock._reporter.say("Cannot read /home/somebody/a_folder/" + 30 * "very_long_name_" + ".zarr: choose another one.")
    QApplication.processEvents()
    assert frame.width() <= 300
    scroll = dock.findChild(QScrollArea)
    assert scroll.widget().width() <= scroll.viewport().width()
    assert scroll.horizontalScrollBar().maximum() == 0
    status = dock._form.status
    assert status.isVisible()
    assert status.height() >= status.heightForWidth(status.width())
    assert status.mapTo(dock, QPoint(0, status.height())).y() <= dock.height()


def test_what_is_copied_of_a_sentence_is_what_was_said(qtbot: Any) -> None:
    label = make_sentence("Written to /home/somebody/a_folder/a_very_long_name_of_a_file.zarr: open it.")
    assert isinstance(label, Sentence)
    qtbot.addWidget(label)
    label.show()
    label.setFocus()
    label.setSelection(0, len(QLabel.text(label)))
    QTest.keyClick(label, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == label.text()
    assert label.minimumSizeHint().width() < 300


def test_a_choice_that_is_too_long_for_its_box_ends_in_dots_and_is_told_whole(qtbot: Any) -> None:
    combo = make_combo("The image")
    combo.addItem("cells of the first plate, well B3, field 12")
    qtbot.addWidget(combo)
    combo.resize(120, 24)
    combo.show()
    cut = combo.grab().toImage()
    QApplication.sendEvent(combo, QHelpEvent(QEvent.Type.ToolTip, QPoint(5, 5), combo.mapToGlobal(QPoint(5, 5))))
    assert QToolTip.text() == "cells of the first plate, well B3, field 12\nThe image"
    combo.setItemText(0, "cells of the first plate, and more")
    assert combo.grab().toImage() == cut
    combo.setItemText(0, "cells")
    QApplication.sendEvent(combo, QHelpEvent(QEvent.Type.ToolTip, QPoint(5, 5), combo.mapToGlobal(QPoint(5, 5))))
    assert QToolTip.text() == "The image"

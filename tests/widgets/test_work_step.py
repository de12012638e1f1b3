"""Work is shown in a dock's bar, and in napari's activity dock as long as it goes on."""

from __future__ import annotations

import pytest
from napari.utils.progress import progress
from qtpy.QtWidgets import QApplication, QWidget

from napari_sam.widgets import work_step
from napari_sam.widgets.work_step import WorkBar, WorkStep, show_step


@pytest.fixture
def bar(qtbot, monkeypatch):
    monkeypatch.setattr(work_step, "SHOWN_AFTER", 0)
    parent = QWidget()
    qtbot.addWidget(parent)
    made = WorkBar()
    made.setParent(parent)
    yield made  # while its parent is kept
    assert parent is not None


def lines():
    return [(line.desc.rstrip(": "), line.n, line.total) for line in progress._all_instances]


def test_work_has_a_line_in_the_activity_dock_until_it_ends(qtbot, bar, capfd):
    show_step(WorkStep("Searching", 0, 0), bar, [], [])
    qtbot.waitUntil(lambda: lines() == [("Searching", 0, 0)])
    show_step(WorkStep("Searching, 3 s left,", 1, 4), bar, [], [])
    assert lines() == [("Searching, 3 s left", 250, 1000)]
    assert bar.text() == "Searching, 3 s left, 25%"
    bar.setFormat("Tiles %v of 4")  # as SAM Batch says it
    bar.setValue(2)
    assert lines() == [("Tiles 2 of 4", 500, 1000)]
    show_step(WorkStep("", 0, 0), bar, [], [])
    assert lines() == []
    assert capfd.readouterr().err == ""


def test_the_line_goes_with_its_dock(qtbot, bar):
    show_step(WorkStep("Searching", 1, 2), bar, [], [])
    qtbot.waitUntil(lambda: len(lines()) == 1)
    bar.setParent(None)
    bar.deleteLater()
    qtbot.waitUntil(lambda: lines() == [])


def test_short_work_has_none(qtbot, monkeypatch, bar):
    slow = WorkBar()
    qtbot.addWidget(slow)
    slow._wait.setInterval(60_000)
    show_step(WorkStep("Searching", 1, 2), slow, [], [])
    show_step(WorkStep("", 0, 0), slow, [], [])
    assert not slow._wait.isActive()
    assert lines() == []


@pytest.mark.parametrize("ends", [False, True])
def test_work_that_goes_on_while_its_line_is_opened_has_one_line(qtbot, monkeypatch, bar, ends):
    def opened_amid_events(**options):
        line = progress(**options)  # napari lets Qt work in there where its window is shown
        show_step(WorkStep("" if ends else "Searching", 2, 4), bar, [], [])
        QApplication.processEvents()
        return line

    monkeypatch.setattr(work_step, "progress", opened_amid_events)
    show_step(WorkStep("Searching", 1, 4), bar, [], [])
    qtbot.wait(50)
    assert lines() == ([] if ends else [("Searching", 500, 1000)])
    show_step(WorkStep("", 0, 0), bar, [], [])
    assert lines() == []

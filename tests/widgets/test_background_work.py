"""Threads that outlive the objects they answer to."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtWidgets import QApplication

from napari_sam.widgets.background_work import BackgroundWork
from napari_sam.widgets.prediction_service import PredictionService


@pytest.mark.usefixtures("qapp")
def test_work_that_goes_on_after_its_object_is_gone_answers_to_nobody() -> None:
    def work(emit: Any) -> None:
        began.set()
        go.wait(20)
        emit("found")

    began, go = threading.Event(), threading.Event()
    owner = BackgroundWork("test")
    owner.start(work)
    assert began.wait(20)
    owners = [owner]
    del owner
    check_outlived(owners, go)


@pytest.mark.usefixtures("qapp")
def test_a_prediction_that_fails_after_its_dock_is_gone_answers_to_nobody() -> None:
    def run(task: Any, emit: Any) -> None:
        began.set()
        go.wait(20)
        raise ValueError("too late")

    began, go = threading.Event(), threading.Event()
    owner = PredictionService()
    owner._engine = SimpleNamespace(run=run)
    owner.ask(("view",), [], model="cells", read=None, normalization="auto")
    assert began.wait(20)
    owners = [owner]
    del owner
    check_outlived(owners, go)


def check_outlived(owners: list[Any], go: threading.Event) -> None:
    """Forget the owner while its thread works, let the thread answer, and see that both end."""
    thread, alive = owners[0]._worker._thread, weakref.ref(owners[0])
    owners[0].close()
    owners.clear()
    gc.collect()
    go.set()
    thread.join(20)
    assert not thread.is_alive()
    for _ in range(3):
        gc.collect()
        QApplication.processEvents()
    assert alive() is None

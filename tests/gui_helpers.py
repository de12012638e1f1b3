"""What tests of the docks share: waiting for the event loop, measuring its pauses, reading labels of squares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

LONGEST_PAUSE = 0.1  # seconds; twice what is seen where nothing else runs


@contextmanager
def longest_pause() -> Iterator[list[float]]:
    """Measure how long the event loop was kept from its work, at worst."""
    worst, last = [0.0], [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        worst[0] = max(worst[0], now - last[0])
        last[0] = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(1)
    yield worst
    tick()
    timer.stop()


def workers() -> list[threading.Thread]:
    """The threads of docks that live; those that encode side by side are kept for the whole process."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("napari-sam")]
    return [thread for thread in ours if not thread.name.startswith("napari-sam encoder")]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        QApplication.processEvents()
        time.sleep(0.002)


def values_of(image: npt.NDArray[np.uint8], labels: Any) -> dict[int, int]:
    """The value of the image under each label, which must cover a whole square of it."""
    found = {}
    for label in np.unique(labels[labels > 0]).tolist():
        (value,) = np.unique(image[labels == label])
        assert np.count_nonzero(labels == label) == 36
        found[label] = int(value)
    return found

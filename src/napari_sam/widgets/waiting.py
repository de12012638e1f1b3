"""Waiting in a script while napari stays alive."""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QEventLoop

__all__ = ["wait_until"]


def wait_until(done: Callable[[], bool], timeout: float, complaint: str) -> None:
    """Process events until something is done.

    Parameters
    ----------
    done
        Tells whether it is.
    timeout
        Seconds.
    complaint
        How the error's sentence begins.

    Raises
    ------
    TimeoutError
        If it takes longer than `timeout`.
    """
    end = time.monotonic() + timeout
    _process_events()
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{complaint} after {timeout:g} seconds.")
        _process_events()
        time.sleep(0.002)
    _process_events()


def _process_events() -> None:
    QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)

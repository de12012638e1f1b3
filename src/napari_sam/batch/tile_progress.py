"""How far the tile at work is: its segmenter says so, and whoever runs it listens, and may stop it there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["listening", "report"]

Listener = Callable[[float, float], None]
_thread = threading.local()


def report(done: float, total: float) -> None:
    """Say how much of the work at hand is done; call it several times a second.

    Raises
    ------
    OperationCancelled
        If nobody wants it any more.
    """
    listener: Listener | None = getattr(_thread, "listener", None)
    if listener is not None:
        listener(done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear what is reported in this thread; an exception of the listener ends the work."""
    _thread.listener = listener
    try:
        yield
    finally:
        _thread.listener = None

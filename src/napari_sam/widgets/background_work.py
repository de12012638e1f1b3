"""Work in a thread of its own that hands over what it finds to the GUI thread; the newest work replaces older."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam.errors import OperationCancelled
from napari_sam.inference.worker import LatestWins

__all__ = ["BackgroundWork", "Emit"]

Emit = Callable[[Any], None]


class BackgroundWork(QObject):
    """Keep one thread.

    Emits `arrived(item)` for what the newest work hands over, and `ended(complete, error)` after it: complete unless
    it was cancelled or failed, the error None unless it failed.
    """

    arrived = Signal(object)
    ended = Signal(bool, object)
    _answered = Signal(int, str, object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._worker = LatestWins(f"napari-sam {name}")
        self._serial = 0
        self._stop = threading.Event()
        self.busy = False
        self._answered.connect(self._on_answer, Qt.ConnectionType.QueuedConnection)

    def start(self, work: Callable[[Emit], None]) -> None:
        """Run `work(emit)`; each `emit(item)` raises `OperationCancelled` once this is cancelled or replaced."""
        self._stop.set()
        self._serial += 1
        self.busy = True
        serial, stop = self._serial, threading.Event()
        self._stop = stop

        def answer(*what: Any) -> None:
            # keeps this object, which a bound `emit` does not; Qt may delete it nevertheless as the process ends
            with contextlib.suppress(RuntimeError):
                self._answered.emit(*what)

        def emit(item: Any) -> None:
            if item is not None:
                answer(serial, "item", item)
            if stop.is_set():
                raise OperationCancelled("The work was cancelled.")

        def failed(error: BaseException) -> None:
            answer(serial, "end", (False, None if isinstance(error, OperationCancelled) else error))

        self._worker.submit(lambda: work(emit), lambda _: answer(serial, "end", (True, None)), failed)

    def cancel(self) -> None:
        """Stop what runs at its next step; what it handed over until then still arrives."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and end the thread as soon as the work lets go."""
        self._stop.set()
        self.busy = False
        with contextlib.suppress(RuntimeError):  # Qt deleted this first, as the process ends
            self._answered.disconnect(self._on_answer)
        self._worker.stop(timeout=0)

    def _on_answer(self, serial: int, kind: str, what: Any) -> None:
        if serial != self._serial:
            return
        if kind == "item":
            self.arrived.emit(what)
        else:
            self.busy = False
            self.ended.emit(*what)

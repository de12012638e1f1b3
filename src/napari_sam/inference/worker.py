"""One thread for all model work, with a mailbox of one: the newest request replaces the one that waits."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_sam.errors import OperationCancelled

__all__ = ["LatestWins", "wait_for_workers"]

_stopped: weakref.WeakSet[LatestWins] = weakref.WeakSet()  # threads that may still be at their last step


@dataclass(frozen=True)
class _Request:
    work: Callable[[], Any]
    on_done: Callable[[Any], None]
    on_error: Callable[[BaseException], None]


class LatestWins:
    """Run requests one at a time on a thread of its own.

    A request that waits is dropped when a newer one comes; one that runs goes on unless `cancel` is called, which makes
    its next `check` raise `OperationCancelled`. Callbacks run on the worker's thread.
    """

    def __init__(self, name: str = "napari-sam worker") -> None:
        self._changed = threading.Condition()
        self._waiting: _Request | None = None
        self._running = False
        self._stopped = False
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Run `work()` next; then `on_done(result)` or `on_error(exception)`."""
        with self._changed:
            if self._stopped:
                raise RuntimeError("the worker was stopped")
            self._waiting = _Request(work, on_done, on_error)
            self._changed.notify_all()

    def check(self, *_: Any) -> None:
        """Raise `OperationCancelled` if the running request was cancelled; serves as a progress callback.

        Raises
        ------
        OperationCancelled
            After `cancel` or `stop`.
        """
        if self._cancel.is_set():
            raise OperationCancelled("The work was cancelled.")

    def cancel(self) -> None:
        """Drop the waiting request and ask the running one to stop at its next check."""
        with self._changed:
            self._waiting = None
            if self._running:
                self._cancel.set()
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        with self._changed:
            return not self._running and self._waiting is None

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs and nothing waits; False if that took longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running and self._waiting is None, timeout)

    def stop(self, timeout: float | None = None) -> bool:
        """End the thread after the running request's next check; True once it has ended."""
        _stopped.add(self)
        with self._changed:
            self._stopped = True
            self._waiting = None
            self._cancel.set()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._waiting is not None)
                if self._stopped:
                    return
                request, self._waiting = self._waiting, None
                self._running = True
                self._cancel.clear()
            assert request is not None  # noqa: S101 - for the type checker
            try:
                self._serve(request)
            except Exception:  # of a callback: reported like that of any thread, but the thread lives on
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))
            finally:
                with self._changed:
                    self._running = False
                    self._changed.notify_all()

    @staticmethod
    def _serve(request: _Request) -> None:
        try:
            result = request.work()
        except BaseException as error:
            request.on_error(error)
        else:
            request.on_done(result)


def wait_for_workers(timeout: float) -> bool:
    """Wait until the threads of all workers that were stopped have ended; False if `timeout` seconds were not enough.

    A thread in the middle of PyTorch's code when the process ends would take the process down with it.
    """
    end = time.monotonic() + timeout
    ended = [worker.stop(max(0.0, end - time.monotonic())) for worker in list(_stopped)]
    return all(ended)

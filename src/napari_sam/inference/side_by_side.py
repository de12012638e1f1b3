"""Several pieces of work at once on a CPU, each in one thread that waits for no other.

The libraries' own way is to share out each small product over all cores, and to wait for the slowest after every one of
them: two cores gain less than twice, and next to nothing where another program has one of them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

__all__ = ["run_side_by_side", "threads_for"]

In = TypeVar("In")
Out = TypeVar("Out")
CHECK_EVERY = 0.1  # seconds
_STARTING = threading.Lock()


def threads_for(device: torch.device) -> int:
    """Return how many pieces of work go on at once on a device: 1 unless it is a CPU with several cores for us."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def run_side_by_side(
    work: Callable[[In], Out], items: Iterable[In], progress: Callable[[int, int], None] | None = None
) -> list[Out]:
    """Return `work(item)` of each item; the work must not wait for other such work.

    Parameters
    ----------
    work
        Called in other threads, in inference mode, each of which uses one core.
    items
        What for.
    progress
        Called in this thread with items done and in all, ten times a second; what it raises ends the call, and work
        that has not begun is left out.
    """

    def inferred(item: In) -> Out:
        with torch.inference_mode():
            return work(item)

    threads = _threads(torch.get_num_threads())
    waiting = [threads.submit(inferred, item) for item in items]
    pending = set(waiting)
    try:
        while pending:
            if progress is not None:
                progress(len(waiting) - len(pending), len(waiting))
            pending = wait(pending, CHECK_EVERY).not_done
        if progress is not None:
            progress(len(waiting), len(waiting))
        return [one.result() for one in waiting]
    finally:
        for one in pending:
            one.cancel()


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    ready = threading.Barrier(count + 1)

    def use_one_core() -> None:
        torch.get_num_threads()  # a thread's first question sets its number to the process's: ask before changing it
        torch.set_num_threads(1)
        ready.wait()

    with _STARTING:
        pool = ThreadPoolExecutor(count, "napari-sam encoder", use_one_core)
        for _ in range(count):
            pool.submit(int)  # each starts a thread, as none is idle before all are there
        ready.wait()
        torch.set_num_threads(count)  # for threads that start later: each setting is the process's as well
    return pool

"""Where units of a job run: in this process, in local processes, or on any cluster of dask.distributed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psutil

from napari_sam.batch.cluster import open_client, start_cluster, stop_workers
from napari_sam.batch.tile_progress import listening
from napari_sam.errors import InputError, OperationCancelled

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = [
    "Call",
    "Executor",
    "LocalExecutor",
    "Outcome",
    "fitting_threads",
    "fitting_workers",
    "open_executor",
    "pulsing",
]

T = TypeVar("T")
Call = tuple[str, tuple[Any, ...]]  # name of a unit, arguments of the function
WORKER_BYTES = 2 * 2**30  # what a worker needs with the bundled model and tiles of 2048 pixels
OUTSTANDING = 2  # futures a worker
THREADS = 8  # more would wait for each other in Python
PULSE = 0.1  # seconds


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Hold what became of one unit: what the function returned, or what it raised."""

    name: str
    value: Any = None
    error: Exception | None = None


class Executor(Protocol):
    """Run one function for many units, in any order, never more of them at once than workers can soon begin."""

    dashboard: str
    late: list[Outcome]  # units that came to their end while they were being stopped
    under_way: float  # how much of the units at work is done, in units, while they are watched; 0 where that is unknown

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each unit as soon as it is there; close it to cancel the rest."""

    def watch(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome | None, None, None]:
        """Run units that take long: None comes several times a second between outcomes; closing stops those at work."""


class LocalExecutor:
    """Run units in this process, one after the other; if watched, some at once, each in a thread."""

    dashboard = ""

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self.late: list[Outcome] = []
        self.under_way = 0.0

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each unit, in order."""
        for name, arguments in calls:
            yield _outcome(function, name, arguments)

    def watch(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome | None, None, None]:
        """Run units in threads; see `Executor`."""
        stop = Event()
        shares: dict[str, float] = {}
        ended: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        waiting = iter(calls)

        def work(name: str, arguments: tuple[Any, ...]) -> None:
            def listen(done: float, total: float) -> None:
                if stop.is_set():
                    raise OperationCancelled("The job was stopped.")
                shares[name] = done / max(total, 1)

            try:
                with listening(listen):
                    ended.put(_outcome(function, name, arguments))
            except BaseException as error:  # ends the job, as it does without threads
                ended.put(error)

        pool = ThreadPoolExecutor(self._at_once, "napari-sam unit")
        running = 0
        try:
            while True:
                for call in islice(waiting, self._at_once - running):
                    pool.submit(work, *call)
                    running += 1
                if not running:
                    break
                try:
                    outcome = ended.get(timeout=PULSE)
                except queue.Empty:
                    self.under_way = sum(list(shares.values()))
                    yield None
                    continue
                if isinstance(outcome, BaseException):
                    raise outcome
                running -= 1
                shares.pop(outcome.name, None)
                self.under_way = sum(list(shares.values()))
                yield outcome
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            while not ended.empty():
                if isinstance(late := ended.get(), Outcome):
                    self.late.append(late)
            self.under_way = 0.0


def _outcome(function: Callable[..., Any], name: str, arguments: tuple[Any, ...]) -> Outcome:
    try:
        return Outcome(name=name, value=function(*arguments))
    except Exception as error:  # whatever a unit dies of, the others are done and it is named, as on a cluster
        return Outcome(name=name, error=error)


def pulsing(function: Callable[..., T], *arguments: Any) -> Generator[float, None, T]:
    """Call a function in a thread and return its value; yield several times a second how much it reports as done.

    Raises
    ------
    Exception
        What the function raised.
    """
    executor = LocalExecutor()
    with contextlib.closing(executor.watch(function, [("", arguments)])) as outcomes:
        for outcome in outcomes:
            if outcome is None:
                yield executor.under_way
            elif outcome.error is not None:
                raise outcome.error
            else:
                value: T = outcome.value
    return value


class DaskExecutor:
    """Run units on the workers of a dask.distributed client; it outlives killed workers."""

    def __init__(self, client: Any, own_cluster: Any = None) -> None:
        self._client, self._own = client, own_cluster
        self.late: list[Outcome] = []  # cancelled, all of them
        self.under_way = 0.0
        # without bokeh the address answers, but shows nothing
        self.dashboard = str(client.dashboard_link or "") if importlib.util.find_spec("bokeh") else ""

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each unit, the first to end first.

        Raises
        ------
        InputError
            If the scheduler is gone.
        """
        return (outcome for outcome in self._run(function, calls, watched=False) if outcome is not None)

    def watch(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome | None, None, None]:
        """Do the same, see `Executor`; units at work on workers that are not ours go on to their end."""
        return self._run(function, calls, watched=True)

    def _run(
        self, function: Callable[..., Any], calls: Iterable[Call], *, watched: bool
    ) -> Generator[Outcome | None, None, None]:
        from concurrent.futures import CancelledError

        from distributed import as_completed

        waiting = iter(calls)
        running: dict[Any, Call] = {}
        ended = as_completed()

        def submit(call: Call) -> None:
            future = self._client.submit(function, *call[1], pure=False)
            running[future] = call
            ended.add(future)

        def submit_more() -> None:
            for call in islice(waiting, max(0, OUTSTANDING * self._workers() - len(running))):
                submit(call)

        try:
            submit_more()
            while running:
                if watched and not ended.has_ready():
                    yield None
                    time.sleep(PULSE)
                    continue
                future = next(ended)
                call = running.pop(future)
                try:
                    error = future.exception()
                    value = None if error else future.result()
                except CancelledError as lost:
                    if self._client.status != "running":
                        raise InputError("The Dask scheduler is gone: run the same again, nothing is lost.") from lost
                    submit(call)  # a worker died with the result before it was fetched
                    continue
                del future  # lets the scheduler forget it
                yield Outcome(name=call[0], value=value, error=error)
                submit_more()
        finally:
            self._client.cancel(list(running))
            if watched and running and self._own is not None:
                stop_workers(self._own)  # a job may be killed at any time; new ones are started if need be

    def _workers(self) -> int:
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))  # grows and shrinks on a cluster


@contextlib.contextmanager
def open_executor(
    workers: int = 1,
    scheduler: str | None = None,
    security: str | Path | Security | None = None,
    *,
    at_once: int = 1,
) -> Iterator[Executor]:
    """Open the place where units run, and close it again.

    Parameters
    ----------
    workers
        Processes on this machine; 1 is this process itself, 0 as many as processors and memory allow. They listen on
        127.0.0.1 only and speak with nobody who lacks the certificate of this very call.
    scheduler
        Address of a dask.distributed scheduler instead, as "tls://10.0.0.1:8786"; its workers must see the image, the
        output and the job folder under the same names.
    security
        How to prove to that scheduler who we are; see `batch.cluster.read_security`.
    at_once
        Units that this process itself runs at once if they are watched, where it is the only worker.

    Raises
    ------
    InputError
        If dask.distributed is missing, there is no scheduler at the address or it refuses us, the security file cannot
        be used, or the number is negative.
    """
    if workers < 0:
        raise InputError(f"There are {workers} workers: give 0 (as many as fit) or more.")
    if security is not None and scheduler is None:
        raise InputError("A security file is given without a scheduler: give its address too, or leave the file out.")
    if scheduler is None and (workers or fitting_workers()) == 1:
        yield LocalExecutor(at_once)
        return
    if importlib.util.find_spec("distributed") is None:
        raise InputError("More than one worker needs dask.distributed: pip install distributed, or take one worker.")
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            count = workers or fitting_workers()
            cluster: Any = stack.enter_context(start_cluster(count, psutil.virtual_memory().total // count))
            yield DaskExecutor(stack.enter_context(open_client(cluster)), cluster)
        else:
            yield DaskExecutor(stack.enter_context(open_client(scheduler, security)))


def fitting_workers() -> int:
    """Return how many workers of one thread processors and free memory allow, at least 1."""
    return max(1, min(_processors(), psutil.virtual_memory().available // WORKER_BYTES))


def fitting_threads(threads: int) -> int:
    """Return how many tiles this process may look at at once, each with so many threads; at least 1."""
    return max(1, min(THREADS, _processors() // threads, psutil.virtual_memory().available // WORKER_BYTES))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Where units of a job run: in this process, in local processes, or on any cluster of dask.distributed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psutil

from napari_sam.batch.cluster import open_client, start_cluster
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = ["Call", "Executor", "LocalExecutor", "Outcome", "fitting_workers", "open_executor"]

Call = tuple[str, tuple[Any, ...]]  # name of a unit, arguments of the function
WORKER_BYTES = 2 * 2**30  # what a worker needs with the bundled model and tiles of 2048 pixels
OUTSTANDING = 2  # futures a worker


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Hold what became of one unit: what the function returned, or what it raised."""

    name: str
    value: Any = None
    error: Exception | None = None


class Executor(Protocol):
    """Run one function for many units, in any order, never more of them at once than workers can soon begin."""

    dashboard: str

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each unit as soon as it is there; close it to cancel the rest."""


class LocalExecutor:
    """Run units one after the other in this process."""

    dashboard = ""

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each unit, in order."""
        for name, arguments in calls:
            try:
                yield Outcome(name=name, value=function(*arguments))
            except Exception as error:  # whatever a unit dies of, the others are done and it is named, as on a cluster
                yield Outcome(name=name, error=error)


class DaskExecutor:
    """Run units on the workers of a dask.distributed client; it outlives killed workers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # without bokeh the address answers, but shows nothing
        self.dashboard = str(client.dashboard_link or "") if importlib.util.find_spec("bokeh") else ""

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each unit, the first to end first.

        Raises
        ------
        InputError
            If the scheduler is gone.
        """
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

    def _workers(self) -> int:
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))  # grows and shrinks on a cluster


@contextlib.contextmanager
def open_executor(
    workers: int = 1, scheduler: str | None = None, security: str | Path | Security | None = None
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
        yield LocalExecutor()
        return
    if importlib.util.find_spec("distributed") is None:
        raise InputError("More than one worker needs dask.distributed: pip install distributed, or take one worker.")
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            count = workers or fitting_workers()
            cluster: Any = stack.enter_context(start_cluster(count, psutil.virtual_memory().total // count))
            yield DaskExecutor(stack.enter_context(open_client(cluster)))
        else:
            yield DaskExecutor(stack.enter_context(open_client(scheduler, security)))


def fitting_workers() -> int:
    """Return how many workers of one thread processors and free memory allow, at least 1."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(processors, psutil.virtual_memory().available // WORKER_BYTES))

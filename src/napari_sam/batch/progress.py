"""What a job reports while it runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["PHASES", "BatchProgress", "FailedUnit", "getting_ready"]

T = TypeVar("T")

PHASES = {  # for people
    "ready": "Getting ready",
    "prompts": "Reading prompts",
    "tiles": "Segmenting tiles",
    "edges": "Comparing tiles",
    "objects": "Settling objects",
    "overlaps": "Comparing planes",
    "links": "Linking planes",
    "edits": "Looking for edits by hand",
    "labels": "Writing labels",
    "pyramid": "Coarser levels",
}


@dataclass(frozen=True, kw_only=True)
class FailedUnit:
    """Name a unit that failed as often as it was tried, or an object that could not be segmented, and say why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """Hold how far a job is.

    Parameters
    ----------
    phase
        What is being done: "ready" (loading the model, looking at the image's brightness and the size of its
        objects), "prompts", "tiles", "edges", "objects", "overlaps", "links", "edits" (looking for what
        people drew), "labels", "pyramid", and "finished" or "failed" at the end of an image.
    done, total
        Units of the phase; those of earlier runs are among the done.
    part
        How much of the units at work is done, in units.
    made
        In the phase "tiles": (number of the plane, file with what was found) of the tiles done since the last event,
        in the first one of those of earlier runs.
    rate
        Units a second in this run, 0 before the first.
    seconds_left
        Of this phase; None before the first unit.
    failed
        What failed so far.
    item, items_done, items_total
        Location of the image inside a plate ("" for a single image), images finished, and images in all.
    output
        Location of the labels.
    objects
        Labels made, known at "finished".
    dashboard
        Address of Dask's dashboard, "" without one.
    """

    phase: str
    done: int
    total: int
    part: float = 0.0
    made: tuple[tuple[int, Path], ...] = ()
    rate: float = 0.0
    seconds_left: float | None = None
    failed: tuple[FailedUnit, ...] = ()
    item: str = ""
    items_done: int = 0
    items_total: int = 1
    output: str = ""
    objects: int = 0
    dashboard: str = ""

    @property
    def share(self) -> float:
        """How much of the phase is done, 0 to 1."""
        return min(1.0, (self.done + self.part) / self.total) if self.total else 1.0


def getting_ready(work: Generator[float, None, T], begin: float, end: float) -> Generator[BatchProgress, None, T]:
    """Show work, which yields its share that is done, as the part from `begin` to `end` of the phase "ready".

    Returns what the work returns.
    """
    with closing(work):
        while True:
            try:
                share = begin + (end - begin) * min(next(work), 1.0)
            except StopIteration as last:
                return last.value
            yield BatchProgress(phase="ready", done=int(100 * share), total=100)

"""What a job reports while it runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BatchProgress", "FailedUnit"]


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
        What is being done: "prompts", "tiles", "edges", "objects", "overlaps", "links", "edits" (looking
        for what people drew), "labels", "pyramid", and "finished" or "failed" at the end of an image.
    done, total
        Units of the phase; those of earlier runs are among the done.
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
    rate: float = 0.0
    seconds_left: float | None = None
    failed: tuple[FailedUnit, ...] = ()
    item: str = ""
    items_done: int = 0
    items_total: int = 1
    output: str = ""
    objects: int = 0
    dashboard: str = ""

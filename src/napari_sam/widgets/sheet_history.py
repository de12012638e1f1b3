"""Undo and redo of what SAM Auto did to its objects; what was painted by hand is no step, and floats above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.widgets.findings import Findings
from napari_sam.widgets.history import now
from napari_sam.widgets.plane import Plane

__all__ = ["Drawing", "SheetHistory", "SheetStep"]


@dataclass(frozen=True)
class Drawing:
    """Hold the pixels that were painted by hand in a plane: where, (h, w) bool which, and the labels that they got."""

    plane: Plane
    rows: slice
    cols: slice
    changed: npt.NDArray[np.bool_]
    labels: npt.NDArray[Any]

    @classmethod
    def of(cls, plane: Plane, changed: npt.NDArray[np.bool_], labels: npt.NDArray[Any]) -> Drawing:
        """Keep what is needed of (H, W) bool and (H, W) labels of a plane."""
        in_rows, in_cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        rows, cols = slice(in_rows[0], in_rows[-1] + 1), slice(in_cols[0], in_cols[-1] + 1)
        tight = changed[rows, cols].copy()
        return cls(plane, rows, cols, tight, labels[rows, cols][tight])

    def lay_on(self, labels: npt.NDArray[Any]) -> None:
        """Paint it into the (H, W) labels of its plane."""
        labels[self.rows, self.cols][self.changed] = self.labels


@dataclass(frozen=True)
class SheetStep:
    """One thing that happened: what was known of the planes concerned before and after, and in which run."""

    before: Mapping[Plane, Findings]
    after: Mapping[Plane, Findings]
    run: int = 0


@dataclass
class _Entry:
    """A step with when it was done and what was painted between it and the next one."""

    step: SheetStep | None
    at: int
    drawn: list[Drawing] = field(default_factory=list)


class SheetHistory:
    """Hold the steps that can be undone and done again.

    A drawing belongs to where it was painted: after the steps that were done by then. When one of those is undone, it
    goes on top of what is there then, and again when that is done again.
    """

    def __init__(self) -> None:
        self._done: list[_Entry] = [_Entry(None, 0)]
        self._undone: list[tuple[SheetStep, int, int]] = []  # how many drawings were below each, and when it was undone

    @property
    def can_undo(self) -> bool:
        """Tell whether there is something to undo."""
        return len(self._done) > 1

    @property
    def can_redo(self) -> bool:
        """Tell whether there is something to do again."""
        return bool(self._undone)

    @property
    def done_at(self) -> int:
        """When the last step was done, or done again, by `now`; 0 if there is none."""
        return self._done[-1].at

    @property
    def undone_at(self) -> int:
        """When the next step was undone, by `now`; 0 if there is none."""
        return self._undone[-1][2] if self._undone else 0

    @property
    def last(self) -> SheetStep | None:
        """The step that undo would take back."""
        return self._done[-1].step

    @property
    def next(self) -> SheetStep | None:
        """The step that redo would do again."""
        return self._undone[-1][0] if self._undone else None

    def record(self, step: SheetStep) -> None:
        """Add a step, to the last one if it is of the same run; what was undone before cannot be done again."""
        self._undone.clear()
        last = self.last
        if step.run and last is not None and last.run == step.run:
            self._done[-1].step = SheetStep({**step.before, **last.before}, {**last.after, **step.after}, step.run)
            self._done[-1].at = now()
        else:
            self._done.append(_Entry(step, now()))

    def draw(self, drawing: Drawing) -> None:
        """Add what was painted by hand."""
        self._done[-1].drawn.append(drawing)

    def undo(self) -> tuple[SheetStep, Sequence[Drawing]] | None:
        """Return the last step, to be undone by the caller, and what was painted since; None if there is none."""
        if not self.can_undo:
            return None
        entry, below = self._done.pop(), self._done[-1]
        assert entry.step is not None  # noqa: S101 - only the first has none
        self._undone.append((entry.step, len(below.drawn), now()))
        below.drawn += entry.drawn
        return entry.step, tuple(entry.drawn)

    def redo(self) -> tuple[SheetStep, Sequence[Drawing]] | None:
        """Return the step that was undone last, to be done again, and what was painted after it; None if none."""
        if not self._undone:
            return None
        step, count, _ = self._undone.pop()
        below = self._done[-1]
        entry = _Entry(step, now(), below.drawn[count:])
        del below.drawn[count:]
        self._done.append(entry)
        return step, tuple(entry.drawn)

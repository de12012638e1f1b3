"""Runs automatic masks in the background: what is left of a cancelled run, what was found, how long it will take."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.auto_engine import AutoEngine, AutoTask, Found, Part, PartDone, PartFailed, PartStarted
from napari_sam.widgets.background_work import BackgroundWork
from napari_sam.widgets.work_step import WorkStep

if TYPE_CHECKING:
    from napari_sam.config.auto import AutoSettings
    from napari_sam.ops.mask_record import MaskRecord

__all__ = ["AutoRunner"]

SHOW_AFTER = 2.0  # seconds of work after which the rest can be estimated


class AutoRunner(QObject):
    """Keep one worker thread.

    Emits `found(part, list of all candidates so far, whether the part is complete)`, `skipped(part, error)` for one of
    several parts that cannot be searched, `progressed(done, total, text)`, the text empty when nothing runs, and
    `ended(complete, error)`.
    """

    found = Signal(object, object, bool)
    skipped = Signal(object, object)
    progressed = Signal(int, int, str)
    ended = Signal(bool, object)

    def __init__(self) -> None:
        super().__init__()
        self._engine = AutoEngine()
        self._work = BackgroundWork("automatic masks")
        self._work.arrived.connect(self._on_arrived)
        self._work.ended.connect(self._on_ended)
        self._task: AutoTask | None = None
        self._rest: AutoTask | None = None  # of a task that was cancelled
        self._records: dict[Any, list[MaskRecord]] = {}
        self._finished = 0
        self._share = 0.0  # of the part that is searched now
        self._start: tuple[float, float] | None = None  # time, and the share of all that was done then

    @property
    def busy(self) -> bool:
        """Tell whether anything runs."""
        return self._work.busy

    def searches(self, plane: object) -> bool:
        """Tell whether a plane is among those that the running task has not finished."""
        return self._task is not None and any(part.plane == plane for part in self._task.parts[self._finished :])

    @property
    def rest(self) -> AutoSettings | None:
        """How a run that was cancelled searched, None if nothing is left to go on with."""
        return self._rest.settings if self._rest is not None else None

    def start(self, task: AutoTask) -> bool:
        """Search; goes on where the same task was cancelled, and tells whether it did."""
        rest, self._rest = self._rest, None
        resumed = rest is not None and rest.how == task.how and _ends_with(task.parts, rest.parts)
        self._task = replace(task, parts=task.parts[-len(rest.parts) :]) if resumed and rest is not None else task
        if not resumed:
            self._records.clear()
        self._finished, self._share, self._start = 0, 0.0, None
        running, engine = self._task, self._engine
        self._work.start(lambda emit: engine.run(running, emit))
        self.progressed.emit(0, 0, "Starting")
        return resumed

    def cancel(self) -> None:
        """Stop within one step of the model; what was found until then stays."""
        self._work.cancel()

    def close(self) -> None:
        """Stop, and end the thread as soon as the model lets go."""
        self._work.close()

    def _on_arrived(self, answer: Any) -> None:
        if isinstance(answer, WorkStep):
            if self._done == 0:
                self.progressed.emit(answer.done, answer.total, answer.text)
        elif isinstance(answer, PartStarted):
            if answer.fresh or answer.part.key not in self._records:
                self._records[answer.part.key] = []
        elif isinstance(answer, Found):
            self._take(answer)
        elif isinstance(answer, PartDone):
            self._finished += 1
            self._share = 0.0
            self.found.emit(answer.part, self._records.pop(answer.part.key), True)
        elif isinstance(answer, PartFailed):
            self._finished += 1
            self._share = 0.0
            self._records.pop(answer.part.key, None)
            self.skipped.emit(answer.part, answer.error)

    def _take(self, answer: Found) -> None:
        records = self._records[answer.part.key]
        records.extend(answer.records)
        self._share = answer.done / answer.total if answer.total else 0.0
        if self._start is None:  # the first step is long gone in time: the model was loaded, the image encoded
            self._start = time.monotonic(), self._done
        self.progressed.emit(round(1000 * self._done), 1000, self._text())
        self.found.emit(answer.part, records, False)

    @property
    def _done(self) -> float:
        count = len(self._task.parts) if self._task is not None else 1
        return min(1.0, (self._finished + self._share) / count)

    def _text(self) -> str:
        parts = len(self._task.parts) if self._task is not None else 1
        text = f"Plane {self._finished + 1} of {parts}," if parts > 1 else ""
        begun, share = self._start or (time.monotonic(), 0.0)
        elapsed, gained = time.monotonic() - begun, self._done - share
        if elapsed < SHOW_AFTER or gained <= 0:
            return text or "Searching,"
        return f"{text} {_duration(elapsed / gained * (1 - self._done))} left,".strip()

    def _on_ended(self, complete: bool, error: BaseException | None) -> None:
        task, self._task = self._task, None
        if task is not None and not complete and error is None and self._finished < len(task.parts):
            self._rest = replace(task, parts=task.parts[self._finished :])
        self.progressed.emit(0, 0, "")
        self.ended.emit(complete, error)


def _ends_with(parts: tuple[Part, ...], last: tuple[Part, ...]) -> bool:
    return [part.key for part in parts[-len(last) :]] == [part.key for part in last]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

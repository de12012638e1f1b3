"""Asks the worker thread for predictions and keeps the answers, in the GUI thread."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Sequence
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam.errors import OperationCancelled
from napari_sam.inference.worker import LatestWins
from napari_sam.widgets.candidates import Candidates
from napari_sam.widgets.drafts import Draft
from napari_sam.widgets.engine import Answer, Engine, Finished, Predicted, Progress, Task

__all__ = ["PredictionService"]


class PredictionService(QObject):
    """Keep one worker thread busy with the newest question.

    Emits `arrived(Predicted)` for each prediction, `progressed(done, total, text)`, the text empty when nothing runs,
    and `ended(exception)` after the newest task, with None unless it failed.
    """

    arrived = Signal(object)
    progressed = Signal(int, int, str)
    ended = Signal(object)
    _answered = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[int, Candidates] = {}
        self._serial = itertools.count(1)
        self._engine = Engine()
        self._worker: LatestWins = LatestWins()
        self._task: Task | None = None
        self._seen_view: tuple[Any, ...] | None = None
        self._answered.connect(self._on_answer, Qt.ConnectionType.QueuedConnection)

    @property
    def busy(self) -> bool:
        """Tell whether an answer is still to come."""
        return self._task is not None

    def ask(self, view: tuple[Any, ...], drafts: Sequence[Draft], **how: Any) -> None:
        """Ask for the predictions of drafts that are not there yet, or only to take in the image.

        Parameters
        ----------
        view
            What tells this plane, seen in this way by this model, from any other.
        drafts
            The unfinished objects on it.
        how
            `model`, `read` and `normalization` of the task.
        """
        missing = tuple(draft for draft in drafts if draft.number not in self.results)
        running = self._task
        if running is not None and running.image == view and _numbers(running.drafts) == _numbers(missing):
            return
        if running is not None:
            (running.superseded if running.image == view else running.stop).set()
        if running is None and not missing and view == self._seen_view:
            return
        needed = {parent.number for draft in missing for parent in draft.lineage[:-1]}
        known = {number: self.results[number] for number in needed & self.results.keys()}
        self._task = Task(serial=next(self._serial), image=view, drafts=missing, known=known, **how)
        self._submit(self._task)

    def keep(self, numbers: Collection[int]) -> None:
        """Forget all predictions but those of the drafts with these numbers."""
        for number in self.results.keys() - set(numbers):
            del self.results[number]

    def cancel(self) -> None:
        """Stop what runs within one step of the model."""
        if self._task is not None:
            self._task.stop.set()

    def close(self) -> None:
        """Stop, and end the thread as soon as the model lets go."""
        self.cancel()
        self._task = None
        self._answered.disconnect(self._on_answer)
        self._worker.stop(timeout=0)

    def _submit(self, task: Task) -> None:
        engine = self._engine

        def emit(answer: Answer) -> None:
            # keeps this object, which a bound `emit` does not; Qt may delete it nevertheless as the process ends
            with contextlib.suppress(RuntimeError):
                self._answered.emit(answer)

        def failed(error: BaseException) -> None:
            emit(Finished(task.serial, error=None if isinstance(error, OperationCancelled) else error))

        self._worker.submit(
            lambda: engine.run(task, emit),
            lambda _: emit(Finished(task.serial, complete=not task.superseded.is_set())),
            failed,
        )

    def _on_answer(self, answer: Answer) -> None:
        task = self._task
        if task is None:
            return
        if isinstance(answer, Predicted) and answer.view == task.image:
            self.results[answer.draft.number] = answer.candidates
            self.arrived.emit(answer)
        elif isinstance(answer, Progress) and answer.view == task.image:  # of an older task, too
            self.progressed.emit(answer.done, answer.total, answer.text)
        elif isinstance(answer, Finished) and answer.serial == task.serial:
            self._task = None
            self._seen_view = task.image if answer.complete else None
            self.progressed.emit(0, 0, "")
            self.ended.emit(answer.error)


def _numbers(drafts: Sequence[Draft]) -> list[int]:
    return [draft.number for draft in drafts]

"""Runs fine-tuning in the background: how far it got, how long it will take, what it found."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.background_work import BackgroundWork
from napari_sam.widgets.train_engine import Estimate, Pictures, Saved, Started, TrainTask, estimate, run_task
from napari_sam.widgets.work_step import WorkStep

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam
    from napari_sam.training.finetune import FinetuneProgress
    from napari_sam.training.finetune_settings import FinetuneSettings

__all__ = ["TrainRunner"]


class TrainRunner(QObject):
    """Keep one worker thread.

    Emits `progressed(done, total, text)`, the text empty when nothing runs; `learnt(step, loss)`; `scored(step, score,
    first score)`; `drawn(pictures)`; `started(what)`; `saved(what)`; `ended(error or None)`; and, while nothing runs,
    `estimated(estimate or error)`.
    """

    progressed = Signal(int, int, str)
    learnt = Signal(int, float)
    scored = Signal(int, object, object)
    drawn = Signal(object)
    started = Signal(object)
    saved = Signal(object)
    ended = Signal(object)
    estimated = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._work = BackgroundWork("fine-tuning")
        self._work.arrived.connect(self._on_arrived)
        self._work.ended.connect(self._on_ended)
        self._step = 0
        self._error: BaseException | None = None
        self.running = self.closed = False

    @property
    def busy(self) -> bool:
        """Tell whether a run goes on or an estimate is to come."""
        return self.running or self._work.busy

    def take_error(self) -> BaseException | None:
        """Return what the last run failed with, once."""
        error, self._error = self._error, None
        return error

    def start(self, task: TrainTask) -> None:
        """Fine-tune."""
        self.running, self._step, self._error = True, 0, None
        self._work.start(partial(run_task, task))
        self.progressed.emit(0, 0, "Starting")

    def estimate(self, model: str | Sam, settings: FinetuneSettings) -> None:
        """Estimate the memory of a run; does nothing while one goes on."""
        if not self.running:
            self._work.start(partial(estimate, model, settings))

    def cancel(self) -> None:
        """Stop within one step; the best weights so far are saved if there was a step of learning."""
        self._work.cancel()

    def close(self) -> None:
        """Stop in the same way, and end the thread as soon as the model lets go."""
        self.running, self.closed = False, True
        self._work.close()

    def _on_arrived(self, item: Any) -> None:
        if isinstance(item, WorkStep):
            self.progressed.emit(item.done, item.total, item.text)
        elif isinstance(item, Estimate):
            self.estimated.emit(item)
        elif isinstance(item, Started):
            self.started.emit(item)
        elif isinstance(item, Pictures):
            self.drawn.emit(item)
        elif isinstance(item, Saved):
            self.saved.emit(item)
        else:
            self._report(item)

    def _report(self, progress: FinetuneProgress) -> None:
        if progress.stage == "training" and progress.loss is not None:
            self._step = progress.step
            self.learnt.emit(progress.step, progress.loss)
        if progress.score is not None:
            # the score of a step comes before the step's own report
            self.scored.emit(self._step + (progress.loss is not None), progress.score, progress.before)
        self.progressed.emit(*_bar(progress))

    def _on_ended(self, _complete: bool, error: BaseException | None) -> None:
        if not self.running:
            if error is not None:
                self.estimated.emit(error)
            return
        self.running, self._error = False, error
        self.progressed.emit(0, 0, "")
        self.ended.emit(error)


def _bar(progress: FinetuneProgress) -> tuple[int, int, str]:
    """Return done, total and text of the progress bar; of learning, the share of the time."""
    left = f", {_duration(progress.eta)} left," if progress.eta else ""
    if progress.stage == "training":
        whole = progress.learnt_for + (progress.eta or 0.0)
        return round(1000 * progress.learnt_for / whole) if whole else 0, 1000, f"Step {progress.step}{left}"
    text = "Looking at the images" if progress.stage == "encoding" else "Scoring"
    return progress.step, progress.total, text + left


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

"""Runs a batch job, and looks at its input, off the GUI's thread."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from qtpy.QtCore import QObject, Signal

from napari_sam.config.batch import BatchSettings
from napari_sam.io.label_store import LabelStore, open_labels
from napari_sam.widgets.background_work import BackgroundWork, Emit
from napari_sam.widgets.batch_look import Found, look_at, plan_job
from napari_sam.widgets.batch_preview import TilePreview

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_sam.batch.progress import BatchProgress, FailedUnit
    from napari_sam.batch.segmenters import Segmenter
    from napari_sam.batch.trial import Trial

__all__ = ["BatchResult", "BatchRunner", "BatchTask"]

PAUSE = 0.1  # seconds between two reports of the same phase


@dataclass(frozen=True, kw_only=True)
class BatchTask:
    """Hold what a job is started with; see `segment_zarr`.

    `instead` is the output where `output` is None and the image cannot hold labels.
    """

    location: str
    output: str | None
    settings: BatchSettings
    workers: int = 1
    scheduler: str | None = None
    scheduler_security: str | None = None
    restart: bool = False
    replace_edits: bool = False
    segmenter: Segmenter | None = None
    instead: str | None = None


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """Hold what came of a job.

    Parameters
    ----------
    outputs
        Locations of the labels that are complete.
    objects
        Labels in them.
    failed
        What failed, with the reason.
    stopped
        Whether it was cancelled.
    """

    outputs: tuple[str, ...] = ()
    objects: int = 0
    failed: tuple[FailedUnit, ...] = ()
    stopped: bool = False

    @property
    def text(self) -> str:
        """All of it in a sentence."""
        if self.stopped:
            return (
                "Stopped. What was done is kept: Go on continues from there. Open result shows the tiles that are done."
            )
        where = f" in {self.outputs[0]}" if self.outputs else ""
        more = f" and {len(self.outputs) - 1} more" if len(self.outputs) > 1 else ""
        failed = f" {len(self.failed)} failed, see the list; Go on tries them again." if self.failed else ""
        return f"Done: {self.objects} object{'' if self.objects == 1 else 's'}{where}{more}.{failed}"


class BatchRunner(QObject):
    """Keep a thread for jobs, one for looking at inputs, and one for painting what an earlier job has found.

    Emits `found(what lies there)`, then `planned(plan)`, or `lost(error)` instead; of a job `progressed(progress)`
    and, when tiles were added to it, `previewed(preview)`; of an earlier job `painted(preview)`, or `unpainted(error)`
    where that failed; of a part that is tried `tried(trial or None, error or None)`; and at its end
    `ended(result, error or None)`.
    """

    found = Signal(object)
    planned = Signal(object)
    lost = Signal(object)
    progressed = Signal(object)
    previewed = Signal(object)
    painted = Signal(object)
    unpainted = Signal(object)
    ended = Signal(object, object)
    tried = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._jobs, self._looks = BackgroundWork("batch"), BackgroundWork("batch input")
        self._jobs.arrived.connect(self._on_progress)
        self._jobs.ended.connect(self._on_ended)
        self._looks.arrived.connect(self._on_look)
        self._looks.ended.connect(self._on_looked)
        self._paints = BackgroundWork("batch result")
        self._paints.arrived.connect(self.painted)
        self._paints.ended.connect(self._on_painted)
        self._finished: dict[str, BatchProgress] = {}
        self._failed: tuple[FailedUnit, ...] = ()
        self._error: BaseException | None = None  # what the job failed with
        self._trial: Trial | None = None
        self._trying = False
        self._lost: BaseException | None = None  # what is wrong with the input
        self.closed = False

    @property
    def running(self) -> bool:
        """Tell whether a job is going on."""
        return self._jobs.busy

    @property
    def busy(self) -> bool:
        """Tell whether a job is going on, an input is being looked at or tiles are being painted."""
        return self._jobs.busy or self._looks.busy or self._paints.busy

    def take_error(self) -> BaseException | None:
        """Return what the job failed with, once, or what is wrong with the input."""
        error, self._error = self._error or self._lost, None
        return error

    def look(self, location: str, output: str | None, settings: BatchSettings | None) -> None:
        """Look at an input, and plan a job unless the settings are incomplete; the newest look replaces older ones."""
        self._lost = None
        self._looks.start(partial(_look, location, output, settings))

    def start(self, task: BatchTask) -> None:
        """Run a job."""
        self._paints.cancel()
        self._finished, self._failed, self._error = {}, (), None
        self._jobs.start(partial(_run, task))

    def paint(self, preview: TilePreview, made: tuple[tuple[int, Path], ...]) -> None:
        """Paint tiles of an earlier job; see `TilePreview.add`."""
        self._paints.start(partial(_paint, preview, made))

    def try_part(self, task: BatchTask, plane: int, region: tuple[int, int, int, int]) -> None:
        """Segment a part of a plane as the job would; at the end comes `tried` instead of `ended`."""
        self._error, self._trial, self._trying = None, None, True
        self._jobs.start(partial(_try, task, plane, region))

    def cancel(self) -> None:
        """Stop where the work is; workers of another machine end the units that they are at."""
        self._jobs.cancel()

    def close(self) -> None:
        """Stop in the same way, and end the threads as soon as the units at work let go."""
        if not self.closed:
            self.closed = True
            self._jobs.close()
            self._looks.close()
            self._paints.close()

    def _on_look(self, item: Any) -> None:
        (self.found if isinstance(item, Found) else self.planned).emit(item)

    def _on_looked(self, _complete: bool, error: BaseException | None) -> None:
        if error is not None:
            self._lost = error
            self.lost.emit(error)

    def _on_painted(self, _complete: bool, error: BaseException | None) -> None:
        if error is not None:
            self.unpainted.emit(error)

    def _on_progress(self, progress: BatchProgress | TilePreview | list[Trial]) -> None:
        if isinstance(progress, list):
            (self._trial,) = progress
            return
        if isinstance(progress, TilePreview):
            self.previewed.emit(progress)
            return
        self._failed = progress.failed
        if progress.phase == "finished":
            self._finished[progress.item] = progress
        self.progressed.emit(progress)

    def _on_ended(self, complete: bool, error: BaseException | None) -> None:
        if self._trying:
            self._trying, self._error = False, error
            self.tried.emit(self._trial, error)
            return
        ends = self._finished.values()
        result = BatchResult(
            outputs=tuple(end.output for end in ends),
            objects=sum(end.objects for end in ends),
            failed=self._failed,
            stopped=not complete and error is None,
        )
        self._error = error
        self.ended.emit(result, error)


def _look(location: str, output: str | None, settings: BatchSettings | None, emit: Emit) -> None:
    found = look_at(location, settings)
    emit(found)
    if settings is not None:
        emit(plan_job(found, output, settings))


def _run(task: BatchTask, emit: Emit) -> None:
    from napari_sam.batch.segment_zarr import segment_zarr

    output = task.output
    if output is None and task.instead and not look_at(task.location).holds_labels:
        output = task.instead
    events = segment_zarr(
        task.location,
        output,
        settings=task.settings,
        workers=task.workers,
        scheduler=task.scheduler,
        scheduler_security=task.scheduler_security,
        restart=task.restart,
        replace_edits=task.replace_edits,
        segmenter=task.segmenter,
    )
    told, shown = 0.0, ("", "", 0)
    preview, item = None, ""
    with contextlib.closing(cast("Generator[BatchProgress]", events)):  # ends workers when it is cancelled
        for event in events:
            if event.made:
                if preview is None or item != event.item:
                    preview, item = TilePreview(_labels_at(event.output)), event.item
                preview.add(event.made)
                emit(preview)
            now, what = time.monotonic(), (event.item, event.phase, len(event.failed))
            last = event.done == event.total
            if what != shown or last or now - told >= PAUSE:
                told, shown = now, what
                emit(event)
            else:
                emit(None)  # stops here, too, when cancelled


def _paint(preview: TilePreview, made: tuple[tuple[int, Path], ...], emit: Emit) -> None:
    told = time.monotonic()
    for tile in made:
        preview.add([tile])
        if time.monotonic() - told >= PAUSE:
            told = time.monotonic()
            emit(preview)
        else:
            emit(None)  # stops here, too, when replaced
    emit(preview)


def _try(task: BatchTask, plane: int, region: tuple[int, int, int, int], emit: Emit) -> None:
    from napari_sam.batch.trial import segment_part

    def whole() -> Generator[BatchProgress, None, None]:
        emit([(yield from segment_part(task.location, task.settings, plane, region, task.segmenter))])

    with contextlib.closing(whole()) as events:
        for event in events:
            emit(event)


def _labels_at(path: str) -> LabelStore:
    location, _, name = path.rpartition("/labels/")
    return open_labels(location, name, "r")

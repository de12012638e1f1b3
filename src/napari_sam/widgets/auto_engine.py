"""What the worker thread does for automatic masks: load the model, search plane after plane; knows no napari, no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from napari_sam.errors import InputError, OperationCancelled
from napari_sam.widgets.findings import Region
from napari_sam.widgets.loaded_model import LoadedModel
from napari_sam.widgets.plane import Plane
from napari_sam.widgets.stack_look import settings_of, stretch_of
from napari_sam.widgets.work_step import WorkStep

if TYPE_CHECKING:
    from napari_sam.config.auto import AutoSettings
    from napari_sam.inference.embedding_cache import EmbeddingCache
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator, AutoProgress
    from napari_sam.model.sam import Sam
    from napari_sam.ops.mask_record import MaskRecord

__all__ = ["AutoEngine", "AutoTask", "Found", "Part", "PartDone", "PartFailed", "PartStarted"]

ALL_PLANES = "Looking at the brightness of all planes"


@dataclass(frozen=True)
class Part:
    """Hold one plane to search.

    Parameters
    ----------
    plane
        Which.
    region
        The only part of it to look at, None: all.
    read
        Reads the plane: (H, W) or (H, W, C).
    stretch
        How its values become brightness, where channels differ in it; None: as in the task.
    """

    plane: Plane
    region: Region | None
    read: Callable[[], npt.NDArray[Any]]
    stretch: Any = None

    @property
    def key(self) -> tuple[Plane, Region | None]:
        """What tells it from other parts of the image."""
        return self.plane, self.region


@dataclass(frozen=True)
class AutoTask:
    """Hold what is asked of the worker.

    Parameters
    ----------
    view
        Number of the image as it is seen now.
    model
        Name of a model, or the model.
    settings
        Of the search.
    normalization
        As `Predictor.set_image` takes it.
    parts
        What to search, one after the other.
    """

    view: int
    model: str | Sam
    settings: AutoSettings
    normalization: Any
    parts: tuple[Part, ...]

    @property
    def how(self) -> tuple[Any, ...]:
        """What decides which masks are found in a part."""
        model = self.model if isinstance(self.model, str) else id(self.model)
        return self.view, model, self.settings, self.normalization


@dataclass(frozen=True)
class PartStarted:
    """Say that a part is searched now, afresh or going on from where it was cancelled."""

    part: Part
    fresh: bool


@dataclass(frozen=True)
class Found:
    """Hand over candidates and say how much of the part is done."""

    part: Part
    records: tuple[MaskRecord, ...]
    done: int
    total: int


@dataclass(frozen=True)
class PartDone:
    """Say that a part is complete."""

    part: Part


@dataclass(frozen=True)
class PartFailed:
    """Say that one of several parts cannot be searched, and why."""

    part: Part
    error: Exception


class AutoEngine:
    """Hold the model and a search that was cancelled halfway; used by one thread only."""

    def __init__(self) -> None:
        self._model = LoadedModel()
        self._cache: EmbeddingCache | None = None  # what a preview or a cancelled run encoded
        self._paused: tuple[Any, Iterator[AutoProgress]] | None = None

    def run(self, task: AutoTask, emit: Callable[[Any], None]) -> None:
        """Do a task and hand over what is found; of several parts, one that cannot be searched is left out.

        Raises
        ------
        InputError
            If the only part cannot be searched.
        OperationCancelled
            From `emit`, if the task was stopped; the same search goes on from there when it is asked for next.
        """
        generator = self.generator(task, emit)
        for part in task.parts:
            stream = self._resumed(task, part)
            emit(PartStarted(part, stream is None))
            try:
                self._do(task, part, stream or self._search(task, part, generator, emit), emit)
            except InputError as error:
                if len(task.parts) == 1:
                    raise
                emit(PartFailed(part, error))

    def _do(self, task: AutoTask, part: Part, stream: Iterator[AutoProgress], emit: Callable[[Any], None]) -> None:
        for progress in stream:
            try:
                emit(Found(part, tuple(progress.found), progress.done, progress.total))
            except OperationCancelled:
                self._paused = (task.how, part.key), stream
                raise
        emit(PartDone(part))

    def generator(self, task: AutoTask, emit: Callable[[Any], None]) -> AutomaticMaskGenerator:
        """Return what searches for a task: its model, loaded if it is not at hand, and the embeddings of late."""
        from napari_sam.inference.embedding_cache import EmbeddingCache
        from napari_sam.inference.mask_generator import AutomaticMaskGenerator

        model = self._model.get(task.model, lambda text: _reporter(text, emit))
        if self._cache is None:
            self._cache = EmbeddingCache()
        settings = settings_of(task.normalization, model, task.settings, _reporter(ALL_PLANES, emit))
        return AutomaticMaskGenerator(model, settings, cache=self._cache)

    def _resumed(self, task: AutoTask, part: Part) -> Iterator[AutoProgress] | None:
        paused, self._paused = self._paused, None
        return paused[1] if paused is not None and paused[0] == (task.how, part.key) else None

    def _search(
        self, task: AutoTask, part: Part, generator: AutomaticMaskGenerator, emit: Callable[[Any], None]
    ) -> Iterator[AutoProgress]:
        stretch = task.normalization if part.stretch is None else part.stretch
        return generator.stream(
            _pixels(part),
            normalization=stretch_of(stretch, _reporter(ALL_PLANES, emit)),
            region=part.region,
            progress=_reporter("Looking at the image", emit),
        )


def _pixels(part: Part) -> npt.NDArray[Any]:
    """Read a part; what any kind of array raises becomes one sentence."""
    try:
        return part.read()
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"Its pixels cannot be read ({error}).") from error


def _reporter(text: str, emit: Callable[[Any], None]) -> Callable[[int, int], None]:
    return lambda done, total: emit(WorkStep(text, done, total))

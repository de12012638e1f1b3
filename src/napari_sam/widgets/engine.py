"""What the worker thread does: load the model, take in a plane, predict objects; knows neither napari nor Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sam.errors import InputError, OperationCancelled
from napari_sam.io.journal import pack_array
from napari_sam.pipeline.large_planes import LARGE_PLANE, digest_image, is_large
from napari_sam.types import Prompts
from napari_sam.widgets.candidates import Candidates
from napari_sam.widgets.drafts import Draft
from napari_sam.widgets.loaded_model import LoadedModel
from napari_sam.widgets.stack_look import stretch_of

if TYPE_CHECKING:
    from napari_sam.inference.normalization import Normalization
    from napari_sam.inference.predictor import Predictor
    from napari_sam.model.sam import Sam
    from napari_sam.types import Window
    from napari_sam.widgets.object_prompts import ObjectPrompts

__all__ = ["Engine", "Finished", "ImageInfo", "Predicted", "Progress", "Task"]


@dataclass(frozen=True)
class Task:
    """Hold what is asked of the worker.

    Parameters
    ----------
    serial
        Counts up; answers carry it.
    model
        Name of a model, or the model.
    image
        What tells one plane of one image, taken in one way, from any other.
    read
        Reads the plane: (H, W) or (H, W, C); of a large one, what reads its parts.
    normalization
        As `Predictor.set_image` takes it.
    drafts
        The objects to predict.
    known
        Earlier predictions by the number of their draft; those of parents are fed back.
    stop
        Set to end the task within one step of the model.
    superseded
        Set when a newer task on the same plane waits: finish encoding, predict no more.
    """

    serial: int
    model: str | Sam
    image: tuple[Any, ...]
    read: Callable[[], Any]
    normalization: Any = "auto"
    drafts: tuple[Draft, ...] = ()
    known: Mapping[int, Candidates] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    superseded: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class ImageInfo:
    """What the journal records of a plane: (H, W), the stretch that was used, and a hash of the pixels."""

    shape: tuple[int, int]
    normalization: Normalization
    digest: str
    model: str
    fingerprint: str


@dataclass(frozen=True)
class Progress:
    """Say how far a task on a plane got; `total` is 0 where that is unknown."""

    view: tuple[Any, ...]
    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Predicted:
    """Hand over the prediction of one draft, asked for or needed on the way to one; its mask prompt packed."""

    serial: int
    view: tuple[Any, ...]
    draft: Draft
    candidates: Candidates
    image: ImageInfo
    mask: dict[str, Any] | None = None


@dataclass(frozen=True)
class Finished:
    """Say that a task is over: complete, or failed with an error, or cancelled."""

    serial: int
    complete: bool = False
    error: BaseException | None = None


Answer = Progress | Predicted | Finished


class Engine:
    """Hold model and predictor between tasks; used by one thread only."""

    def __init__(self) -> None:
        self._model = LoadedModel()
        self._predictor: Predictor | None = None
        self._image_key: tuple[Any, ...] | None = None
        self._info: ImageInfo | None = None
        self._warm = False  # whether the predictor has predicted anything

    def run(self, task: Task, answer: Callable[[Answer], None]) -> None:
        """Do a task and answer with progress and predictions.

        Raises
        ------
        OperationCancelled
            If the task was stopped.
        """
        predictor = self._ready_predictor(task, answer)
        info = self._ready_image(predictor, task, answer)
        for draft in task.drafts:
            if task.superseded.is_set():
                return
            self._predict(predictor, draft, info, task, answer)

    def _ready_predictor(self, task: Task, answer: Callable[[Answer], None]) -> Predictor:
        model = self._model.get(task.model, lambda text: _reporter(task, text, answer))
        if self._predictor is None or self._predictor.model is not model:
            from napari_sam.inference.predictor import Predictor

            self._predictor, self._image_key, self._warm = Predictor(model), None, False
        return self._predictor

    def _ready_image(self, predictor: Predictor, task: Task, answer: Callable[[Answer], None]) -> ImageInfo:
        if self._info is None or task.image != self._image_key:
            self._image_key = None
            report = _reporter(task, "Looking at the image", answer)
            report(0, 0)
            pixels = task.read()
            stretch = stretch_of(task.normalization, _reporter(task, "Looking at the brightness of all planes", answer))
            predictor.set_image(pixels, normalization=stretch, progress=report)
            self._info = _describe(pixels, predictor)
            self._image_key = task.image
            if is_large(predictor.image_shape) and not self._warm:
                self._warm = True
                _warm_up(predictor, report)
        return self._info

    def _predict(
        self, predictor: Predictor, draft: Draft, info: ImageInfo, task: Task, answer: Callable[[Answer], None]
    ) -> None:
        """Predict a draft, and before it those of its lineage whose masks are needed and not known."""
        report = _reporter(task, "Looking closer", answer)
        lineage = draft.lineage
        known = [i for i, step in enumerate(lineage[:-1]) if step.number in task.known]
        start = known[-1] + 1 if known else 0
        last = task.known[lineage[start - 1].number] if known else None
        for step in lineage[start:]:
            window, packed = None, None
            if last is None:
                prompts, window = _render(step.prompts, predictor)
                packed = pack_array(prompts.mask) if prompts.mask is not None else None
            else:
                prompts = Prompts(
                    points=step.prompts.points,
                    labels=step.prompts.labels,
                    box=step.prompts.box,
                    mask=last.logits[min(step.parent_choice, len(last.logits) - 1)],
                )
                window = last.window
            last = Candidates.of(predictor.predict_prompts(prompts, mask_window=window, progress=report))
            answer(Predicted(task.serial, task.image, step, last, info, packed))


def _warm_up(predictor: Predictor, report: Callable[[int, int], None]) -> None:
    """Predict somewhere, since a model's first prediction takes a second longer than others."""
    height, width = predictor.image_shape
    with suppress(InputError):  # pixels that cannot be used, but nobody asked for them
        predictor.predict([(height // 2, width // 2)], progress=report)


def _render(said: ObjectPrompts, predictor: Predictor) -> tuple[Prompts, Window | None]:
    """Turn what was said into prompts; in a large plane, outlines and seeds become logits of one window."""
    shape = predictor.image_shape
    if not (is_large(shape) and (said.outlines or said.seed)):
        return said.render(shape), None
    from napari_sam.inference.lattice import fit_to_input
    from napari_sam.inference.preprocess import mask_to_logits
    from napari_sam.inference.windows import place_window

    model = predictor.model
    window, _ = place_window(shape, model.img_size, said.extent(shape), box=True)
    window = fit_to_input(model.spec, window)
    if window.height * window.width > LARGE_PLANE:
        raise InputError("The outline spans too large a part of the image: draw a smaller one.")
    mask = said.moved(-window.row, -window.col).render((window.height, window.width)).mask
    assert mask is not None  # noqa: S101
    logits = mask_to_logits(mask, window, model.img_size, model.mask_size)[0, 0].numpy()
    return Prompts(points=said.points, labels=said.labels, box=said.box, mask=logits), window


def _describe(pixels: Any, predictor: Predictor) -> ImageInfo:
    model = predictor.model
    return ImageInfo(
        predictor.image_shape, predictor.normalization, digest_image(pixels), model.name, model.fingerprint
    )


def _reporter(task: Task, text: str, answer: Callable[[Answer], None]) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if task.stop.is_set():
            raise OperationCancelled(f"{text}: cancelled.")
        answer(Progress(task.image, done, total, text))

    return report

"""What the worker thread does for texts: find all masks once, choose among them by texts; knows no napari, no Qt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.model.first_import import import_for
from napari_sam.model.torch_imports import load_torch_libraries
from napari_sam.model.weights_files import weights_mark
from napari_sam.widgets.auto_engine import AutoEngine, AutoTask, Found, PartStarted
from napari_sam.widgets.stack_look import stretch_of
from napari_sam.widgets.work_step import WorkStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.config.text import TextSettings
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.inference.text_ranking import TextRanker
    from napari_sam.model.clip import Clip
    from napari_sam.ops.mask_record import MaskRecord
    from napari_sam.pipeline.text_segment import TextResult
    from napari_sam.widgets.text_answers import TextAnswers

__all__ = ["Ranked", "TextEngine", "TextTask", "score_map"]

KEPT_SEARCHES = 4  # planes whose masks and pixels are kept
Emit = Callable[[Any], None]


@dataclass(frozen=True)
class TextTask:
    """Hold what is asked of the worker.

    Parameters
    ----------
    search
        How to find the masks of one plane.
    clip
        Name of a CLIP, or the CLIP.
    settings
        Of the ranking.
    texts
        One for each class.
    mapped
        Number of the text whose score map is wanted, None: of none.
    route
        "rank": the CLIP looks at each mask; "prompt": the model is asked with the texts.
    fresh
        Whether the plane's pixels are compared with those that were searched before.
    """

    search: AutoTask
    clip: str | Clip
    settings: TextSettings
    texts: tuple[str, ...]
    mapped: int | None = None
    route: str = "rank"
    fresh: bool = True


@dataclass(frozen=True)
class Ranked:
    """Hand over the answer to a task; `scores` is the (H, W) uint8 score map in percent, if it was wanted."""

    task: TextTask
    result: TextResult
    scores: npt.NDArray[np.uint8] | None


@dataclass
class _Search:
    """The masks of one plane, and the pixels that they were found in; `masks` is None until the search is over."""

    image: npt.NDArray[Any]
    found: list[MaskRecord] = field(default_factory=list)
    masks: list[MaskRecord] | None = None
    answers: TextAnswers | None = None  # of the model to texts, once the search is over
    pixels: Any = None  # (H, W, 3) uint8, normalised


class TextEngine:
    """Hold the models, and the masks of the last planes; used by one thread only."""

    def __init__(self) -> None:
        self._finder = AutoEngine()
        self._searches: OrderedDict[Any, _Search] = OrderedDict()
        self._ranker: TextRanker | None = None
        self._clip: Any = None  # as it was asked for, a name with what it stood for

    def run(self, task: TextTask, emit: Emit) -> None:
        """Find the masks, unless they are known, and choose among them.

        Raises
        ------
        InputError
            If anything that is asked for cannot be used, such as the route "prompt" of a model that takes no texts.
        OperationCancelled
            From `emit`, if the task was stopped; masks that were found or looked at until then are kept.
        """
        ranker = self._load(task, emit)
        ranker.settings = task.settings  # what it remembers of masks knows which settings it depends on
        if task.route == "prompt":
            generator = self._asked(task.search, ranker, emit)  # refused before the search, not after it
            search = self._masks(task, emit)
            assert search.answers is not None  # noqa: S101 - the search is over
            result = search.answers.ask(generator, ranker, task.texts, _reporter("Asking the model", emit))
        else:
            search = self._masks(task, emit)
            result = _rank(task, ranker, search, emit)
        mapped = task.mapped if task.mapped is not None and task.mapped < len(task.texts) else None
        scores = None if mapped is None else score_map(result.candidates, result.scores[:, mapped], search.image.shape)
        emit(Ranked(task, result, scores))

    def _load(self, task: TextTask, emit: Emit) -> TextRanker:
        """Return the ranker of the CLIP, which is loaded if it is not at hand."""
        clip = task.clip
        if isinstance(clip, str) and self._ranker is None:
            load_torch_libraries()
            import_for("masks", _reporter("Loading PyTorch", emit))
            import_for("texts", _reporter("Loading what reads texts", emit))
        from napari_sam.inference.text_ranking import TextRanker
        from napari_sam.model.clip import load_clip

        key = (clip, weights_mark(clip, "clip")) if isinstance(clip, str) else clip
        if self._ranker is None or key != self._clip:
            if isinstance(clip, str):
                emit(WorkStep(f"Loading the CLIP {clip}", 0, 0))
                clip = load_clip(clip, progress=_reporter(f"Downloading {clip}", emit))
            self._ranker, self._clip = TextRanker(clip, task.settings), key
        return self._ranker

    def _asked(self, task: AutoTask, ranker: TextRanker, emit: Emit) -> AutomaticMaskGenerator:
        """Return what searches, with a model that takes texts of this CLIP."""
        from napari_sam.inference.text_prompts import require_text_head

        generator = self._finder.generator(task, emit)
        require_text_head(generator.model).check_clip(ranker.clip.fingerprint, ranker.clip.name)
        return generator

    def _masks(self, task: TextTask, emit: Emit) -> _Search:
        """Return the masks of the task's plane; a search that was cancelled goes on."""
        from napari_sam.inference.normalization import apply_normalization
        from napari_sam.inference.picture import open_picture
        from napari_sam.ops.selection import select_records
        from napari_sam.widgets.text_answers import TextAnswers

        (part,) = task.search.parts
        key = task.search.how, part.key
        search = self._searches.get(key)
        if search is None or task.fresh:
            image = part.read()
            if search is None or not np.array_equal(search.image, image):
                search = self._searches[key] = _Search(image)
        self._searches.move_to_end(key)
        while len(self._searches) > KEPT_SEARCHES:
            self._searches.popitem(last=False)
        if search.masks is None:
            self._find(task.search, search, emit)
            picture = open_picture(search.image, stretch_of(task.search.normalization), None)
            search.pixels = apply_normalization(picture.image, picture.normalization)
            search.masks = select_records(search.found, task.search.settings)
            search.answers = TextAnswers(picture, search.masks, part.region)
        return search

    def _find(self, task: AutoTask, search: _Search, emit: Emit) -> None:
        def take(answer: Any) -> None:
            if isinstance(answer, PartStarted) and answer.fresh:
                search.found.clear()
            elif isinstance(answer, Found):
                search.found.extend(answer.records)
                answer = WorkStep("Finding masks", answer.done, answer.total)
            emit(answer if isinstance(answer, WorkStep) else None)

        self._finder.run(task, take)


def _rank(task: TextTask, ranker: TextRanker, search: _Search, emit: Emit) -> TextResult:
    from napari_sam.pipeline.text_segment import label_texts

    return label_texts(
        ranker,
        search.masks or [],
        search.pixels,
        task.texts,
        auto=task.search.settings,
        image=search.image,
        progress=lambda done, total: emit(WorkStep("Looking at the masks", done, total) if total else None),
    )


def score_map(
    records: Sequence[MaskRecord], scores: npt.NDArray[np.float32], shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Return for each pixel the percent of the best score among the masks that cover it.

    Parameters
    ----------
    records
        n masks.
    scores
        (n,) from 0 to 1.
    shape
        (H, W) of the image, with or without channels.

    Returns
    -------
    array
        (H, W) uint8, 1 to 100, 0 where no mask is.
    """
    painted = np.zeros(shape[:2], np.uint8)
    percent = np.clip(np.rint(100 * scores), 1, 100).astype(np.uint8)
    for i in np.argsort(percent, kind="stable").tolist():
        row0, col0, row1, col1 = records[i].box
        painted[row0:row1, col0:col1][records[i].patch] = percent[i]
    return painted


def _reporter(text: str, emit: Emit) -> Callable[[int, int], None]:
    return lambda done, total: emit(WorkStep(text, done, total))

"""What the worker thread does to fine-tune: read, check, learn, draw, save; knows no napari, no Qt."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError, OperationCancelled
from napari_sam.model.first_import import import_for
from napari_sam.model.torch_imports import import_dynamo, load_torch_libraries
from napari_sam.widgets.train_data import PairPlanes, read_store, split_store
from napari_sam.widgets.work_step import WorkStep

if TYPE_CHECKING:
    from napari_sam.data.sample import Sample
    from napari_sam.data.sample_store import SampleStore
    from napari_sam.model.sam import Sam
    from napari_sam.training.finetune import FinetuneProgress
    from napari_sam.training.finetune_result import FinetuneRecord
    from napari_sam.training.finetune_settings import FinetuneSettings

__all__ = ["Estimate", "Pictures", "Saved", "Started", "TrainTask", "estimate", "run_task"]

PICTURES = 3
LONG_SIDE = 256  # pixels of a picture
Emit = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class TrainTask:
    """Hold what is asked of the worker.

    Parameters
    ----------
    model
        Name of the model to start from, or the model, which itself stays as it is.
    pairs, folders
        What to learn from.
    data
        Their names, for the card.
    held_out
        Share of the images to score on.
    settings
        Of the run.
    name
        Of the result.
    """

    model: str | Sam
    pairs: tuple[PairPlanes, ...]
    folders: tuple[Path, ...]
    data: tuple[str, ...]
    held_out: float
    settings: FinetuneSettings
    name: str

    @property
    def base(self) -> str:
        """Name of the model to start from."""
        return self.model if isinstance(self.model, str) else self.model.name


@dataclass(frozen=True)
class Started:
    """Say that learning begins: on so many images with so many objects, so many images held out."""

    images: int
    objects: int
    held_out: int


@dataclass(frozen=True)
class Pictures:
    """Hand over what the best weights so far make of held-out images: for each its name, a PNG, and the mean IoU."""

    found: tuple[tuple[str, bytes, float], ...]


@dataclass(frozen=True)
class Saved:
    """Say what is in the model list now, where its card is, and whether the user stopped the run."""

    name: str
    card: Path
    record: FinetuneRecord
    stopped: bool


@dataclass(frozen=True)
class Estimate:
    """Say how many bytes a run takes, the model's weights included, how many are free, and whether that will do."""

    needed: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether it does, as `check_memory` decides."""
        from napari_sam.training.memory_estimate import SPARE

        return self.needed <= SPARE * self.free


def estimate(model: str | Sam, settings: FinetuneSettings, emit: Emit) -> None:
    """Hand over the estimate for a model that need not be there yet."""
    import_dynamo()
    load_torch_libraries()
    import torch

    from napari_sam.model.build import SPECS, build_from_spec
    from napari_sam.model.load import choose_device
    from napari_sam.model.registry import find_model
    from napari_sam.training import memory_estimate

    spec = SPECS[find_model(model).architecture] if isinstance(model, str) else model.spec
    device = choose_device() if isinstance(model, str) else model.device
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        twin = build_from_spec(spec)
    weights = sum(4 * p.numel() for p in twin.parameters())
    emit(Estimate(weights + memory_estimate.estimate_memory(twin, settings), memory_estimate.free_memory(device)))


def run_task(task: TrainTask, emit: Emit) -> None:
    """Fine-tune a copy of a model and put it into the user's list.

    Parameters
    ----------
    task
        What to do.
    emit
        Takes `WorkStep`, `Started`, `FinetuneProgress`, `Pictures` and `Saved`; raises `OperationCancelled` to stop,
        which keeps the best weights so far if there was a step of learning.

    Raises
    ------
    InputError
        If data, model or memory do not do.
    OperationCancelled
        If the user stopped before anything was learnt.
    """
    load_torch_libraries()
    for purpose, text in (("masks", "Loading PyTorch"), ("training", "Loading what learns")):
        import_for(purpose, _reporter(text, emit))
    from napari_sam.training.finetune import finetune
    from napari_sam.training.finetune_result import FinetuneRecord, card_file, save_finetuned
    from napari_sam.training.memory_estimate import check_memory

    emit(WorkStep("Reading the labels", 0, 0))
    store = read_store(task.pairs, task.folders, _reporter("Reading the labels", emit))
    learn, held_out = split_store(store, task.held_out, task.settings.seed)
    model = _own_copy(task.model, emit)
    emit(WorkStep("Looking whether it fits into memory", 0, 0))
    check_memory(model, task.settings)
    emit(Started(len(learn), sum(facts.objects for facts in learn.facts), len(held_out)))
    emit(WorkStep("Scoring", 0, len(held_out)))
    with closing(finetune(model, learn, task.settings, held_out=held_out)) as run:  # type: ignore[type-var]
        last, stopped = _follow(run, model, held_out, task.settings, emit)
    record = FinetuneRecord.of(
        learn,
        held_out,
        base=task.base,
        data=task.data,
        settings=task.settings,
        before=last.before,
        after=last.best,
        seconds=last.seconds,
    )
    row = save_finetuned(model, task.name, record)
    emit(Saved(row.name, card_file(row), record, stopped))


def _own_copy(model: str | Sam, emit: Emit) -> Sam:
    """Return a model that no other dock uses, since it will change."""
    from napari_sam.model.load import load_model

    if not isinstance(model, str):
        return copy.deepcopy(model)
    emit(WorkStep(f"Loading the model {model}", 0, 0))
    return load_model(model, progress=_reporter(f"Downloading {model}", emit))


def _follow(
    run: Iterator[FinetuneProgress], model: Sam, held_out: SampleStore, settings: FinetuneSettings, emit: Emit
) -> tuple[FinetuneProgress, bool]:
    """Run to the end or until the user stops it; return the last report and whether it was stopped."""
    last: FinetuneProgress | None = None
    try:
        for last in run:
            emit(last)
            if last.score is not None and last.score is last.best:
                emit(_draw(model, held_out, settings))
    except OperationCancelled:
        if last is None or last.loss is None:
            raise
        return last, True
    if last is None:
        raise InputError("Nothing was learnt: give it at least one step.")
    return last, False


def _draw(model: Sam, samples: Sequence[Sample], settings: FinetuneSettings) -> Pictures:
    """Show what one click in the middle of each object finds in the first few images."""
    from napari_sam.inference.predictor import Predictor
    from napari_sam.ops.points import inner_point
    from napari_sam.types import Prompts

    predictor = Predictor(model)
    pictures = []
    for number in range(min(PICTURES, len(samples))):
        sample = samples[number]
        predictor.set_image(sample.image, normalization="none")
        found = np.zeros(sample.labels.shape, np.int32)
        ious = []
        ids = np.unique(sample.labels[sample.labels > 0])
        for label in np.random.default_rng(settings.seed).permutation(ids)[: settings.score_objects]:
            truth = sample.labels == label
            prediction = predictor.predict_prompts(Prompts(points=(inner_point(truth),), labels=(1,)), True)
            patch, window = prediction.patches[0], prediction.window.slices
            found[window][patch] = label
            both = np.count_nonzero(patch & truth[window])
            ious.append(both / (np.count_nonzero(patch) + np.count_nonzero(truth) - both))
        picture = _outlined(sample.image, sample.labels, found)
        pictures.append((_name(samples, number), picture, float(np.mean(ious))))
    return Pictures(tuple(pictures))


def _outlined(image: npt.NDArray[np.uint8], truth: npt.NDArray[np.int32], found: npt.NDArray[np.int32]) -> bytes:
    """Return a PNG of an image (H, W, 3), small, with outlines two pixels wide of two (H, W) label images."""
    from PIL import Image
    from skimage.segmentation import find_boundaries

    from napari_sam.evaluation.pictures import BOTH_COLOUR, FOUND_COLOUR, TRUTH_COLOUR

    factor = LONG_SIDE / max(truth.shape)
    size = max(1, round(truth.shape[1] * factor)), max(1, round(truth.shape[0] * factor))
    pixels = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))
    there, seen = (
        find_boundaries(np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)))
        for labels in (truth, found)
    )
    pixels[there], pixels[seen], pixels[there & seen] = TRUTH_COLOUR, FOUND_COLOUR, BOTH_COLOUR
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def _name(samples: Any, number: int) -> str:
    return Path(samples.images[number].name).name


def _reporter(text: str, emit: Emit) -> Callable[[int, int], None]:
    return lambda done, total: emit(WorkStep(text, done, total))

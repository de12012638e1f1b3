"""What finds the objects of one tile: everything there is, or what prompts ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_sam.batch.prompt_units import has_texts
from napari_sam.batch.tile_progress import report
from napari_sam.batch.tiles import Tile
from napari_sam.batch.worker_memory import keep_freed_memory
from napari_sam.config.auto import AutoSettings
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.text_prompts import require_text_head
from napari_sam.io.large_image import LazyPlane
from napari_sam.model.load import load_model
from napari_sam.model.sam import Sam
from napari_sam.model.weights_files import weights_mark
from napari_sam.ops.label_image import label_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import select_records
from napari_sam.types import Prompts

if TYPE_CHECKING:
    from napari_sam.batch.text_segmenter import ClipChoice  # which builds on this module

__all__ = [
    "AutoSegmenter",
    "Found",
    "ModelChoice",
    "PromptSegmenter",
    "Segmenter",
    "Table",
    "choose_model",
    "device_of_worker",
    "moved",
    "open_segmenter",
]

Table = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Hold the objects of a tile.

    Parameters
    ----------
    records
        In pixels of the plane, none empty. Without `ids` they lie inside the tile's box and share no pixels; with them
        they may reach beyond.
    ids
        (n,) labels that the objects keep, None if they are numbered in the end.
    ranks
        (n,) places of the objects, with `ids`: the lowest gets the pixels that several share.
    texts
        (n,) numbers of the texts that name the objects, None if nothing was named.
    problems
        What could not be segmented, by id.
    """

    records: list[MaskRecord]
    ids: npt.NDArray[np.int64] | None = None
    ranks: npt.NDArray[np.int64] | None = None
    texts: npt.NDArray[np.int32] | None = None
    problems: dict[int, str] = field(default_factory=dict)


class Segmenter(Protocol):
    """Find the objects of a tile: the same ones in any process, whatever was segmented before."""

    @property
    def fingerprint(self) -> str:
        """What decides the result besides the settings, the weights' hash say."""

    def segment(self, plane: LazyPlane, tile: Tile, prompts: Table | None) -> Found:
        """Segment one tile.

        Parameters
        ----------
        plane
            The plane, of which `tile.box` is to be segmented.
        tile
            The region.
        prompts
            All prompts of the plane (see `batch.prompt_units`) in the mode "prompts", else None.
        """


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Hold which model to load, and the hashes that its weights, and those for texts, must have."""

    name: str
    checkpoint: str
    device: str
    precision: str
    fingerprint: str
    text_fingerprint: str = ""

    def load(self) -> Sam:
        """Return the model, loaded once a process.

        Raises
        ------
        InputError
            If its weights are others than those with which the job began.
        """
        mark = weights_mark(self.name, checkpoint=self.checkpoint)
        model = _load(self.name, self.checkpoint, device_of_worker(self.device), self.precision, mark)
        if (model.fingerprint, model.text_fingerprint) != (self.fingerprint, self.text_fingerprint):
            raise InputError(
                f"The weights of the model {self.name} are others here than where the job began: install the same "
                "version of the package, and the same weights, for all workers."
            )
        return model


@dataclass(frozen=True, kw_only=True)
class AutoSegmenter:
    """Find everything in a tile, as `auto` does in an image of that size."""

    model: ModelChoice
    normalization: Normalization
    settings: AutoSettings

    @property
    def fingerprint(self) -> str:
        """Hash of the weights."""
        return self.model.fingerprint

    def segment(self, plane: LazyPlane, tile: Tile, prompts: Table | None = None) -> Found:
        """Segment one tile; see `Segmenter`."""
        row0, col0, row1, col1 = tile.box
        pixels = plane[row0:row1, col0:col1]
        # a new cache for each tile: what was seen before must not decide which windows are encoded together
        generator = AutomaticMaskGenerator(self.model.load(), self.settings)
        events = generator.stream(pixels, normalization=self.normalization, progress=lambda *_: report(*done))
        done, candidates = (0, 1), list[MaskRecord]()
        for event in events:
            done = event.done, event.total
            candidates += event.found
            report(*done)
        found = select_records(candidates, self.settings)
        shape = int(pixels.shape[0]), int(pixels.shape[1])
        _, records = label_records(found, shape, self.settings, image=pixels)
        size = int(plane.shape[0]), int(plane.shape[1])
        return Found(records=[moved(record, (row0, col0), size) for record in records])


@dataclass(frozen=True, kw_only=True)
class PromptSegmenter:
    """Find the objects that the prompts of a plane ask for; each belongs to the tile in whose core its middle lies.

    Prompts with texts need `clip`, the CLIP that the model's text head was trained with.
    """

    model: ModelChoice
    normalization: Normalization
    clip: ClipChoice | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the weights; where there are texts, also of those for texts and of the CLIP."""
        of_texts = () if self.clip is None else (self.model.text_fingerprint, self.clip.fingerprint)
        return "-".join((self.model.fingerprint, *of_texts))

    def segment(self, plane: LazyPlane, tile: Tile, prompts: Table | None) -> Found:
        """Segment one tile; see `Segmenter`."""
        chosen = _prompts_of(tile, prompts or {}, (int(plane.shape[0]), int(plane.shape[1])))
        records, ids, ranks, problems = [], [], [], {}
        seen = _Seen(id(plane.array), tuple(plane.index.items()), plane.channels, plane)
        for done, (rank, number, what) in enumerate(chosen):
            report(done, len(chosen))
            predictor = _predictor(self.model, self.clip, self.normalization, seen)
            try:
                prediction = predictor.predict_prompts(what)
            except InputError as error:
                problems[number] = str(error)
                continue
            window = prediction.window
            record = MaskRecord.from_patch(
                prediction.patches[0],
                (window.row, window.col),
                image_shape=prediction.image_shape,
                predicted_iou=float(prediction.scores[0]),
            )
            if not record.area:
                problems[number] = "The model sees no object there: add points."
                continue
            records.append(record)
            ids.append(number)
            ranks.append(rank)
        return Found(records=records, ids=np.array(ids, np.int64), ranks=np.array(ranks, np.int64), problems=problems)


def choose_model(settings: BatchSettings) -> ModelChoice:
    """Load the model once to settle its precision and the hash of its weights.

    Raises
    ------
    NapariSamError
        If it cannot be loaded.
    """
    mark = weights_mark(settings.model, checkpoint=settings.checkpoint)
    model = _load(settings.model, settings.checkpoint, device_of_worker(settings.device), settings.precision, mark)
    return ModelChoice(
        name=settings.model,
        checkpoint=settings.checkpoint,
        device=settings.device,
        precision=model.precision,
        fingerprint=model.fingerprint,
        text_fingerprint=model.text_fingerprint,
    )


def open_segmenter(
    settings: BatchSettings, model: ModelChoice, normalization: Normalization, object_size: float = 0.0
) -> Segmenter:
    """Return the segmenter of the mode; `object_size`, unless 0, stands in for one that the settings leave open.

    Raises
    ------
    NapariSamError
        If texts are to be read, and their CLIP cannot be loaded or, as prompts, does not fit the model.
    """
    from napari_sam.batch.text_segmenter import TextSegmenter, choose_clip  # which build on this module

    if settings.mode == "prompts":
        if not has_texts(settings):
            return PromptSegmenter(model=model, normalization=normalization)
        head = require_text_head(model.load())
        clip = choose_clip(settings)
        head.check_clip(clip.fingerprint, clip.name)
        return PromptSegmenter(model=model, normalization=normalization, clip=clip)
    auto = settings.auto.changed(object_size=settings.auto.object_size or object_size)
    if settings.mode == "text":
        return TextSegmenter(
            model=model,
            clip=choose_clip(settings),
            texts=settings.text,
            normalization=normalization,
            settings=auto,
            ranking=settings.ranking,
        )
    return AutoSegmenter(model=model, normalization=normalization, settings=auto)


def _prompts_of(tile: Tile, table: Table, shape: tuple[int, int]) -> list[tuple[int, int, Prompts]]:
    """Return (rank, id, prompts) of the objects whose middle lies in the core of a tile."""
    if not len(table.get("id", ())):
        return []
    ids, first, place = np.unique(table["id"], return_index=True, return_inverse=True)
    low = np.full((len(ids), 2), np.inf)
    high = np.full((len(ids), 2), -np.inf)
    np.minimum.at(low, place, table["place"][:, :2])
    np.maximum.at(high, place, np.where(table["box"][:, None], table["place"][:, 2:], table["place"][:, :2]))
    middle = np.clip(np.floor((low + high) / 2), 0, np.array(shape) - 1)  # prompts outside are refused one by one
    row0, col0, row1, col1 = tile.core
    inside = (middle >= (row0, col0)).all(axis=1) & (middle < (row1, col1)).all(axis=1)
    order = np.argsort(place, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(place))[:-1])
    mine = sorted((int(first[k]), int(k)) for k in np.flatnonzero(inside))
    return [(rank, int(ids[k]), _one_object(table, rows_of[k])) for rank, k in mine]


def _one_object(table: Table, rows: npt.NDArray[np.intp]) -> Prompts:
    points = [row for row in rows if not table["box"][row]]
    boxes = [row for row in rows if table["box"][row]]
    row0, col0, row1, col1 = (table["place"][boxes].T if boxes else np.zeros((4, 1))).tolist()
    return Prompts(
        points=tuple((float(table["place"][row, 0]), float(table["place"][row, 1])) for row in points),
        labels=tuple(int(table["label"][row]) for row in points),
        box=(min(row0), min(col0), max(row1), max(col1)) if boxes else None,
        text=str(table["texts"][table["text"][rows[0]]]) if "texts" in table else "",
    )


def moved(record: MaskRecord, by: tuple[int, int], shape: tuple[int, int]) -> MaskRecord:
    """Return a record of a tile's pixels as one of the plane of `shape`."""
    rows, cols = by

    def box(old: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        return old[0] + rows, old[1] + cols, old[2] + rows, old[3] + cols

    point = record.point[0] + rows, record.point[1] + cols
    return replace(record, box=box(record.box), crop_box=box(record.crop_box), point=point, image_shape=shape)


@lru_cache(maxsize=1)
def _load(name: str, checkpoint: str, device: str, precision: str, _mark: str) -> Sam:
    keep_freed_memory()
    return load_model(name, checkpoint=checkpoint or None, device=device, precision=precision)


@dataclass(frozen=True)
class _Seen:
    """Tell planes apart by where they come from; the array is alive as long as this is kept."""

    array: int
    index: tuple[tuple[str, int], ...]
    channels: tuple[int, ...] | None
    plane: LazyPlane = field(compare=False)


@lru_cache(maxsize=1)
def _predictor(model: ModelChoice, clip: ClipChoice | None, normalization: Normalization, seen: _Seen) -> Predictor:
    """Return the predictor of a plane; the tiles of one plane share it, and what it has encoded."""
    predictor = Predictor(model.load()) if clip is None else Predictor(model.load(), clip=clip.load())
    predictor.set_image(seen.plane, normalization=normalization)
    return predictor


def device_of_worker(device: str) -> str:
    """Return the device of a worker: with several GPUs each worker takes its own."""
    import torch

    if device not in ("auto", "cuda") or torch.cuda.device_count() < 2:
        return device
    try:
        from distributed import get_worker

        name = str(get_worker().name)
    except (ImportError, ValueError):  # no worker of Dask
        return device
    digits = "".join(filter(str.isdigit, name.rsplit("-", 1)[-1]))
    return f"cuda:{int(digits or 0) % torch.cuda.device_count()}"

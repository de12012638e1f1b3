"""What finds the objects of one tile that texts name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from napari_sam.batch.segmenters import Found, ModelChoice, Table, device_of_worker, moved
from napari_sam.batch.tile_progress import report
from napari_sam.batch.tiles import Tile
from napari_sam.config.auto import AutoSettings
from napari_sam.config.batch import BatchSettings
from napari_sam.config.text import TextSettings
from napari_sam.errors import InputError
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.io.large_image import LazyPlane
from napari_sam.model.clip import Clip, load_clip
from napari_sam.model.weights_files import weights_mark
from napari_sam.ops.label_records import labels_to_records
from napari_sam.pipeline.text_segment import text_segment

__all__ = ["ClipChoice", "TextSegmenter", "choose_clip"]


@dataclass(frozen=True, kw_only=True)
class ClipChoice:
    """Hold which CLIP to load, and the hash that its weights must have."""

    name: str
    checkpoint: str
    device: str
    precision: str
    fingerprint: str

    def load(self) -> Clip:
        """Return the CLIP, loaded once a process.

        Raises
        ------
        InputError
            If its weights are others than those with which the job began.
        """
        mark = weights_mark(self.name, "clip", self.checkpoint)
        clip = _load(self.name, self.checkpoint, device_of_worker(self.device), self.precision, mark)
        if clip.fingerprint != self.fingerprint:
            raise InputError(
                f"The weights of the CLIP {self.name} are others here than where the job began: install the same "
                "version of the package, and the same weights, for all workers."
            )
        return clip


@dataclass(frozen=True, kw_only=True)
class TextSegmenter:
    """Find what texts name in a tile, as `segment_text` does in an image of that size.

    What is small or large is told by the other objects of the tile.
    """

    model: ModelChoice
    clip: ClipChoice
    texts: tuple[str, ...]
    normalization: Normalization
    settings: AutoSettings
    ranking: TextSettings

    @property
    def fingerprint(self) -> str:
        """Hashes of both models' weights."""
        return f"{self.model.fingerprint}-{self.clip.fingerprint}"

    def segment(self, plane: LazyPlane, tile: Tile, prompts: Table | None = None) -> Found:
        """Segment one tile; see `Segmenter`."""
        row0, col0, row1, col1 = tile.box
        # everything anew for each tile: what was seen before must not decide anything
        generator = AutomaticMaskGenerator(self.model.load(), self.settings)
        ranker = TextRanker(self.clip.load(), self.ranking)
        pixels = plane[row0:row1, col0:col1]
        result = text_segment(generator, ranker, pixels, self.texts, normalization=self.normalization, progress=report)
        labels, columns = result.combined()
        size = int(plane.shape[0]), int(plane.shape[1])
        records = [
            moved(replace(record, predicted_iou=score), (row0, col0), size)
            for record, score in zip(labels_to_records(labels), columns["score"].tolist(), strict=True)
        ]
        numbers = [self.texts.index(text) for text in columns["text"]]
        return Found(records=records, texts=np.array(numbers, np.int32))


def choose_clip(settings: BatchSettings) -> ClipChoice:
    """Load the CLIP once to settle its precision and the hash of its weights; warn of words that it does not know.

    Raises
    ------
    NapariSamError
        If it cannot be loaded.
    """
    device = device_of_worker(settings.device)
    mark = weights_mark(settings.clip, "clip", settings.clip_checkpoint)
    clip = _load(settings.clip, settings.clip_checkpoint, device, settings.precision, mark)
    hints = TextRanker(clip, settings.ranking).hints(settings.text) if settings.text else ()
    for hint in filter(None, hints):
        warnings.warn(hint, UserWarning, stacklevel=2)
    return ClipChoice(
        name=settings.clip,
        checkpoint=settings.clip_checkpoint,
        device=settings.device,
        precision=clip.precision,
        fingerprint=clip.fingerprint,
    )


@lru_cache(maxsize=1)
def _load(name: str, checkpoint: str, device: str, precision: str, _mark: str) -> Clip:
    return load_clip(name, checkpoint=checkpoint or None, device=device, precision=precision)

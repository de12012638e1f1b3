"""A part of a plane, segmented as a job would do it, to see what comes of the settings before the long run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.batch.executor import LocalExecutor, pulsing
from napari_sam.batch.job_spec import fixed_threads
from napari_sam.batch.progress import BatchProgress, getting_ready
from napari_sam.batch.prompt_units import prompts_of_plane
from napari_sam.batch.segmenters import Found, Segmenter, choose_model, open_segmenter
from napari_sam.batch.size_survey import survey_object_size
from napari_sam.batch.tiles import Tile, plan_tiles
from napari_sam.config.batch import BatchSettings
from napari_sam.inference.brightness import stack_normalization
from napari_sam.io.large_image import open_large_image

__all__ = ["Trial", "segment_part"]

Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Hold what came of a part: (h, w) int32 labels of `region`, (row0, col0, row1, col1) in plane number `plane`."""

    labels: npt.NDArray[np.int32]
    region: Box
    plane: int

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(np.unique(self.labels[self.labels > 0]))


def segment_part(
    source: str, settings: BatchSettings, plane: int, region: Box, segmenter: Segmenter | None = None
) -> Generator[BatchProgress, None, Trial]:
    """Segment a part of an image as if it were a tile of a job; nothing is written.

    Brightness and the usual size of the objects are those of the whole image, as in the job.

    Parameters
    ----------
    source
        Location of the image.
    settings
        Of the job.
    plane
        Number of the plane, as in `LargeImage.planes`.
    region
        (row0, col0, row1, col1) in pixels of the level that the settings choose.
    segmenter
        Stands in for the model.

    Yields
    ------
    BatchProgress
        Of the phases "ready" and "tiles", several times a second.

    Raises
    ------
    NapariSamError
        If the image, the model or a setting cannot be used.
    """
    image = open_large_image(source, level=settings.level, pixel_size=settings.pixel_size or None)
    channels = image.channels(settings.channels) if settings.channels else None
    planes = [image.plane(index, channels) for index in image.planes()]
    if segmenter is None:
        weights = yield from getting_ready(pulsing(choose_model, settings), 0, 0.3)
        stretch = yield from getting_ready(pulsing(stack_normalization, planes, settings.stretch), 0.3, 0.5)
        tiles, size = plan_tiles(image.shape, settings.tile, settings.overlap), 0.0
        if settings.mode != "prompts" and not settings.auto.object_size and len(planes) * len(tiles) > 1:
            looking = survey_object_size(weights, settings.auto, stretch, planes, tiles, threads=settings.threads)
            size = yield from getting_ready(looking, 0.5, 1)
        segmenter = open_segmenter(settings, weights, stretch, size)
    table = prompts_of_plane(settings, image, plane) if settings.mode == "prompts" else None
    tile = Tile(plane=tuple(image.planes()[plane].values()), number=0, row=0, col=0, box=region, core=region)
    executor = LocalExecutor()
    calls = [("", (settings.threads, segmenter, planes[plane], tile, table))]
    with closing(executor.watch(_segment, calls)) as outcomes:
        for outcome in outcomes:
            if outcome is None:
                yield BatchProgress(phase="tiles", done=0, total=1, part=executor.under_way)
            elif outcome.error is not None:
                raise outcome.error
            else:
                found = outcome.value
    return Trial(labels=_painted(found, region), region=region, plane=plane)


def _segment(threads: int, segmenter: Segmenter, *what: Any) -> Found:
    with fixed_threads(threads):
        return segmenter.segment(*what)


def _painted(found: Found, region: Box) -> npt.NDArray[np.int32]:
    row0, col0, row1, col1 = region
    labels = np.zeros((row1 - row0, col1 - col0), np.int32)
    ids = np.arange(1, len(found.records) + 1) if found.ids is None else found.ids
    order = np.arange(len(ids)) if found.ranks is None else np.argsort(-found.ranks, kind="stable")
    for k in order.tolist():  # those in front last
        record = found.records[k]
        top, left, bottom, right = record.box
        first, last = (max(top, row0), max(left, col0)), (min(bottom, row1), min(right, col1))
        if first[0] < last[0] and first[1] < last[1]:
            part = record.patch[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
            labels[first[0] - row0 : last[0] - row0, first[1] - col0 : last[1] - col0][part] = ids[k]
    return labels

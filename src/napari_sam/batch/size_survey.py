"""How large the objects of a large image usually are, asked in several places at once, and how far that is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.batch.executor import LocalExecutor
from napari_sam.batch.job_spec import fixed_threads
from napari_sam.batch.segmenters import ModelChoice
from napari_sam.batch.tile_progress import report
from napari_sam.batch.tiles import Tile
from napari_sam.config.auto import AutoSettings
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization
from napari_sam.io.large_image import LazyPlane
from napari_sam.pipeline.object_scale import PLACES, enough_seen, median_size, places_to_look_at

__all__ = ["survey_object_size"]


def survey_object_size(
    model: ModelChoice,
    settings: AutoSettings,
    normalization: Normalization,
    planes: Sequence[LazyPlane],
    tiles: Sequence[Tile],
    *,
    threads: int = 1,
    at_once: int = 1,
) -> Generator[float, None, float]:
    """Return what `usual_object_size` does, 0 if no objects are to be seen.

    Yields several times a second how much of that is done, 0 to 1.

    Parameters
    ----------
    model
        The one that segments; one without an object head sees none.
    settings
        Of automatic segmentation.
    normalization
        Of the image.
    planes
        All of the image.
    tiles
        Of each plane.
    threads, at_once
        With which each place is looked at, and how many of them at once.
    """
    if settings.points != "objects" or model.load().object_head is None:
        return 0.0
    executor, total = LocalExecutor(at_once), min(PLACES, len(planes) * len(tiles))
    places = places_to_look_at(planes, [tile.box for tile in tiles], normalization)
    calls = ((str(place), (model, settings, normalization, pixels, threads)) for place, pixels in enumerate(places))
    early: dict[str, npt.NDArray[np.float64]] = {}  # places that were done before an earlier one
    found: list[npt.NDArray[np.float64]] = []
    with closing(executor.watch(_diameters, calls)) as outcomes:
        for outcome in outcomes:
            if outcome is not None and outcome.error is not None:
                raise outcome.error
            if outcome is not None:
                early[outcome.name] = outcome.value
            while (place := str(len(found))) in early:  # in order, so that the answer depends on no thread
                found.append(early.pop(place))
                if enough_seen(found):
                    return median_size(found)
            yield (len(found) + len(early) + executor.under_way) / total
    return median_size(found)


def _diameters(
    model: ModelChoice, settings: AutoSettings, normalization: Normalization, pixels: npt.NDArray[Any], threads: int
) -> npt.NDArray[np.float64]:
    with fixed_threads(threads):
        generator = AutomaticMaskGenerator(model.load(), settings)
        return generator.object_diameters(pixels, normalization=normalization, progress=report)

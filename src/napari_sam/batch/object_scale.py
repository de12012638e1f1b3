"""How large the objects of an image usually are: asked in a few places, so that no tile takes another scale."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.batch.executor import LocalExecutor
from napari_sam.batch.job_spec import fixed_threads
from napari_sam.batch.segmenters import ModelChoice
from napari_sam.batch.tile_progress import report
from napari_sam.batch.tiles import Tile
from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization, apply_normalization
from napari_sam.io.large_image import LazyPlane

__all__ = ["usual_object_size"]

PLACES = 5  # that the model looks at
TRIES = 8  # places of which the one with the most to see is taken
SIDE = 768  # pixels that are looked at in each
BLOCK = 64  # pixels in which contrast is measured


def usual_object_size(
    model: ModelChoice,
    settings: AutoSettings,
    normalization: Normalization,
    planes: Sequence[LazyPlane],
    tiles: Sequence[Tile],
    *,
    threads: int = 1,
    at_once: int = 1,
) -> Generator[float, None, float]:
    """Return the median diameter in pixels of the objects in a few tiles of an image, 0 if none are to be seen.

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
    places = _choose(planes, tiles, normalization)
    calls = ((str(place), (model, settings, normalization, pixels, threads)) for place, pixels in enumerate(places))
    found: list[npt.NDArray[np.float64]] = []
    with closing(executor.watch(_diameters, calls)) as outcomes:
        for outcome in outcomes:
            if outcome is not None and outcome.error is not None:
                raise outcome.error
            found += [] if outcome is None else [outcome.value]
            yield (len(found) + executor.under_way) / total
    sizes = np.concatenate([np.empty(0), *found])  # places with many objects count more
    return float(np.median(sizes)) if len(sizes) else 0.0


def _diameters(
    model: ModelChoice, settings: AutoSettings, normalization: Normalization, pixels: npt.NDArray[Any], threads: int
) -> npt.NDArray[np.float64]:
    with fixed_threads(threads):
        generator = AutomaticMaskGenerator(model.load(), settings)
        return generator.object_diameters(pixels, normalization=normalization, progress=report)


def _choose(
    planes: Sequence[LazyPlane], tiles: Sequence[Tile], normalization: Normalization
) -> Iterator[npt.NDArray[Any]]:
    """Yield the middle of the tile with most contrast, among some tiles of each of a few stretches of the image."""
    count = len(planes) * len(tiles)
    for start, stop in pairwise(np.linspace(0, count, min(PLACES, count) + 1).astype(int).tolist()):
        most, best = 0.0, None
        for number in np.unique(np.linspace(start, stop - 1, TRIES).round().astype(int)).tolist():
            plane, tile = divmod(number, len(tiles))
            try:
                pixels = _middle(planes[plane], tiles[tile])
                contrast = _contrast(apply_normalization(pixels, normalization, None))
            except InputError:  # cannot be read: its tile is named when its turn comes
                continue
            if contrast > most:
                most, best = contrast, pixels
        if best is not None:
            yield best


def _middle(plane: LazyPlane, tile: Tile) -> npt.NDArray[Any]:
    """Read the middle of a tile."""
    (top, bottom), (left, right) = (
        (max(low, (low + high - SIDE) // 2), min(high, (low + high + SIDE) // 2))
        for low, high in (tile.box[::2], tile.box[1::2])
    )
    return plane[top:bottom, left:right]


def _contrast(rgb: npt.NDArray[np.uint8]) -> float:
    """Return the mean of the standard deviations in blocks: many small edges count, a large one hardly does."""
    grey = rgb.mean(axis=2, dtype=np.float32)
    rows, cols = range(0, grey.shape[0], BLOCK), range(0, grey.shape[1], BLOCK)
    return float(np.mean([grey[row : row + BLOCK, col : col + BLOCK].std() for row in rows for col in cols]))

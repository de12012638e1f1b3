"""How large the objects of an image usually are: asked in a few places, so that no tile takes another scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization, apply_normalization
from napari_sam.model.sam import Sam

__all__ = ["PLACES", "enough_seen", "median_size", "places_to_look_at", "usual_object_size"]

Box = tuple[int, int, int, int]
PLACES = 5  # that the model looks at, at most
FEWEST, ENOUGH = 2, 40  # it stops after so many places that show so many objects
TRIES = 8  # places of which the one with the most to see is taken
SIDE = 768  # pixels that are looked at in each
BLOCK = 64  # pixels in which contrast is measured


def usual_object_size(
    load: Callable[[], Sam],
    settings: AutoSettings,
    normalization: Normalization,
    planes: Sequence[Any],
    boxes: Sequence[Box],
) -> float:
    """Return the median diameter in pixels of the objects in a few places of an image, 0 if none are to be seen.

    Parameters
    ----------
    load
        Returns the model that segments; one without an object head sees none. Only called if it is needed.
    settings
        Of automatic segmentation.
    normalization
        Of the image.
    planes
        All of the image, array-likes of one shape, (H, W) or (H, W, C).
    boxes
        (row0, col0, row1, col1) of the tiles of each plane, ends exclusive.
    """
    if settings.points != "objects":
        return 0.0
    model = load()
    if model.object_head is None:
        return 0.0
    generator = AutomaticMaskGenerator(model, settings)
    found: list[npt.NDArray[np.float64]] = []
    for pixels in places_to_look_at(planes, boxes, normalization):
        found.append(generator.object_diameters(pixels, normalization=normalization))
        if enough_seen(found):
            break
    return median_size(found)


def enough_seen(found: Sequence[npt.NDArray[np.float64]]) -> bool:
    """Tell whether the diameters found in some places settle the median."""
    return len(found) >= FEWEST and sum(map(len, found)) >= ENOUGH


def median_size(found: Sequence[npt.NDArray[np.float64]]) -> float:
    """Return the median of the diameters found in some places, 0 if there are none; those with many count more."""
    sizes = np.concatenate([np.empty(0), *found])
    return float(np.median(sizes)) if len(sizes) else 0.0


def places_to_look_at(
    planes: Sequence[Any], boxes: Sequence[Box], normalization: Normalization
) -> Iterator[npt.NDArray[Any]]:
    """Yield the middle of the tile with most contrast, among some tiles of each of a few stretches of the image.

    At most `PLACES` of them, those far from each other and from the ends first; the parameters are those of
    `usual_object_size`.
    """
    count = len(planes) * len(boxes)
    stretches = list(pairwise(np.linspace(0, count, min(PLACES, count) + 1).astype(int).tolist()))
    for start, stop in stretches[1::2] + stretches[::2]:
        most, best = 0.0, None
        for number in np.unique(np.linspace(start, stop - 1, TRIES).round().astype(int)).tolist():
            plane, tile = divmod(number, len(boxes))
            try:
                pixels = _middle(planes[plane], boxes[tile])
                contrast = _contrast(apply_normalization(pixels, normalization, None))
            except InputError:  # cannot be read: its tile is named when its turn comes
                continue
            if contrast > most:
                most, best = contrast, pixels
        if best is not None:
            yield best


def _middle(plane: Any, box: Box) -> npt.NDArray[Any]:
    """Read the middle of a tile."""
    (top, bottom), (left, right) = (
        (max(low, (low + high - SIDE) // 2), min(high, (low + high + SIDE) // 2)) for low, high in (box[::2], box[1::2])
    )
    return np.asarray(plane[top:bottom, left:right])


def _contrast(rgb: npt.NDArray[np.uint8]) -> float:
    """Return the mean of the standard deviations in blocks: many small edges count, a large one hardly does."""
    grey = rgb.mean(axis=2, dtype=np.float32)
    rows, cols = range(0, grey.shape[0], BLOCK), range(0, grey.shape[1], BLOCK)
    return float(np.mean([grey[row : row + BLOCK, col : col + BLOCK].std() for row in rows for col in cols]))

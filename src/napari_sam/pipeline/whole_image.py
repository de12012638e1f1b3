"""What is settled once for all planes and tiles of an image: what is black and white, and the scale of objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.brightness import stack_normalization
from napari_sam.inference.normalization import Normalization
from napari_sam.model.sam import Sam
from napari_sam.pipeline.object_scale import usual_object_size

__all__ = ["WholeImage", "settle_image"]

TILE = 2048  # of larger planes several places are asked, too


@dataclass(frozen=True)
class WholeImage:
    """Hold what every plane is looked at with.

    Parameters
    ----------
    normalization
        Of all planes.
    settings
        As given, with the usual size of the image's objects where it was left open and there is more than one place.
    """

    normalization: Normalization
    settings: AutoSettings


def settle_image(
    load: Callable[[], Sam],
    settings: AutoSettings,
    planes: Sequence[Any],
    normalization: str | tuple[float, float] | Normalization = "auto",
    channels: tuple[int, ...] | None = None,
) -> WholeImage:
    """Settle brightness and object size by pixels from all over an image, so that no plane goes by its own.

    Parameters
    ----------
    load
        Returns the model that segments; called only if the size of objects is looked for.
    settings
        Of automatic segmentation.
    planes
        All planes of the image, whichever will be segmented: array-likes of one shape, (H, W) or (H, W, C), of which
        only samples are read.
    normalization, channels
        As for `resolve_normalization`.

    Raises
    ------
    InputError
        If nothing can be read, or the normalisation cannot be used.
    """
    settled = stack_normalization(planes, normalization, channels)
    shape = int(planes[0].shape[0]), int(planes[0].shape[1])
    boxes = [
        (row, col, min(row + TILE, shape[0]), min(col + TILE, shape[1]))
        for row, col in product(range(0, shape[0], TILE), range(0, shape[1], TILE))
    ]
    if settings.object_size or len(planes) * len(boxes) == 1:
        return WholeImage(settled, settings)
    seen = settled if channels is None else Normalization(low=settled.low, high=settled.high, channels=channels)
    size = usual_object_size(load, settings, seen, planes, boxes)
    return WholeImage(settled, settings.changed(object_size=size))

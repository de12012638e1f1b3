"""What every protocol hands on: one record for each object or image, and the images that were judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_sam.io.dataset import Dataset, DatasetItem

__all__ = ["MODEL", "ImageResult", "Score", "choose_items"]

MODEL = "model"  # the method that is no baseline


@dataclass(frozen=True, kw_only=True)
class Score:
    """Hold what was measured on one object, or on one whole image.

    Parameters
    ----------
    image, group
        Which image it is, and the group it counts to ("" without one).
    origin
        What the image was cut from: planes of one stack, or pieces of one mosaic, share it and are one unit of
        intervals; "" is the image alone.
    method
        "model", or the name of a baseline.
    about
        Numbers that describe it: `label` and `area` of an object; `objects` and `found` of an image.
    values
        The measures, which reports average; the same names in the same order for all records of a method.
    predicted
        The model's own estimate of the IoU that `values` names first, where there is one.
    """

    image: str
    group: str
    origin: str = ""
    method: str = MODEL
    about: Mapping[str, int]
    values: Mapping[str, float]
    predicted: float | None = None


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """Hold the outcome of one image.

    Parameters
    ----------
    done, total
        Images judged so far, this one included, and in all.
    item
        The image.
    scores
        Of all its objects and methods.
    labels
        (H, W) int32: what the first method found, for pictures.
    """

    done: int
    total: int
    item: DatasetItem
    scores: list[Score]
    labels: npt.NDArray[np.int32] = field(repr=False, compare=False)


def choose_items(dataset: Dataset, limit: int | None) -> tuple[DatasetItem, ...]:
    """Return all items, or `limit` of them spread evenly over the data set."""
    items = dataset.items
    if limit is None or limit >= len(items):
        return items
    return tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))

"""A synthetic scene while it is drawn and when it is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.data.sample import Sample

__all__ = ["LEAST_AREA", "Drawing", "Scene", "finish"]

LEAST_AREA = 12  # pixels: smaller objects become background


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Hold a picture, its objects, and the parts of these that one could mean as well.

    Parameters
    ----------
    sample
        Image (H, W, 3) uint8 and objects (H, W) int32, numbered 1 to n.
    parts
        (H, W) int32, numbered 1 to m, 0 elsewhere: nuclei in cells, organelles in the cells of electron microscopy.
        Every part lies within one object; many kinds of scenes have none.
    """

    sample: Sample
    parts: npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Hold what a recipe draws: labels and parts with any numbers, and (H, W) light or (H, W, 3) colours, float32.

    Light has any range: exposure stretches it. Colours are from 0 to 1 and stay.
    """

    labels: npt.NDArray[np.int32]
    picture: npt.NDArray[np.float32]
    parts: npt.NDArray[np.int32] | None = None


def finish(drawing: Drawing) -> Scene:
    """Leave out tiny objects and parts, number the rest without gaps, and turn the colours into 8 bits."""
    labels = _renumber(drawing.labels)
    parts = np.zeros_like(labels) if drawing.parts is None else _renumber(np.where(labels > 0, drawing.parts, 0))
    image = (np.clip(drawing.picture, 0, 1) * 255).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    return Scene(sample=Sample(image=image, labels=labels), parts=parts)


def _renumber(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    keep = areas >= LEAST_AREA
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]

"""A label that is there already as what an object starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import InputError
from napari_sam.pipeline.large_planes import LARGE_PLANE, is_large
from napari_sam.widgets.object_prompts import MaskSeed
from napari_sam.widgets.plane import LabelPlane, Plane
from napari_sam.widgets.view_region import visible_region

if TYPE_CHECKING:
    from napari.layers import Image, Labels

__all__ = ["label_seed"]


def label_seed(layer: Labels, image: Image, plane: Plane, label: int | None = None) -> MaskSeed:
    """Return a label of a plane, None: the layer's selected one; in a large plane what the canvas shows of it.

    Raises
    ------
    InputError
        If it is not there.
    """
    number = int(layer.selected_label) if label is None else label
    (row0, col0, row1, col1), where = (0, 0, *plane.shape), "this plane"
    if is_large(plane.shape):
        (row0, col0, row1, col1), where = visible_region(image, plane), "what the canvas shows"
        if (row1 - row0) * (col1 - col0) > LARGE_PLANE:
            raise InputError("The canvas shows too much of the image to look for a label in it: zoom in.")
    mask = LabelPlane(layer, plane)[row0:row1, col0:col1] == number
    if number == 0 or not mask.any():
        raise InputError(
            f"The label {number} is not in {where} of {layer.name!r}: select one that is, with the picker say."
        )
    return MaskSeed.of(mask, number, (row0, col0))

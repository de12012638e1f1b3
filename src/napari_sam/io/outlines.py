"""Records from outlines of unknown origin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.mask_fields import Scores
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Polygon, polygons_to_patch

__all__ = ["outline_to_record"]


def outline_to_record(polygons: Sequence[Polygon], shape: tuple[int, int], scores: Scores) -> MaskRecord:
    """Return the record of the pixels whose centres lie in the polygons, cut off at the image's border.

    Raises
    ------
    InputError
        If a corner is not finite or lies more than a pixel outside the image.
    """
    for polygon in polygons:
        for ring in polygon.outer, *polygon.holes:
            # written so that NaN fails too
            if not ((ring >= -1) & (ring <= np.add(shape, 1))).all():
                raise InputError(f"an outline leaves the image of {shape[0]} x {shape[1]} pixels")
    patch, origin = polygons_to_patch(polygons, shape)
    return MaskRecord.from_patch(patch, origin, image_shape=shape, **scores)

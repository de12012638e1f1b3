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
        If a corner is not finite, or no pixel of the image lies inside.
    """
    rings = [ring for polygon in polygons for ring in (polygon.outer, *polygon.holes)]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise InputError("a corner of its outline is no finite number")
    patch, origin = polygons_to_patch(polygons, shape)
    if not patch.any():
        outside = any((ring < 0).any() or (ring > shape).any() for ring in rings)
        where = f"leaves the image of {shape[0]} x {shape[1]} pixels" if outside else "holds no pixel's centre"
        raise InputError(f"its outline {where}")
    return MaskRecord.from_patch(patch, origin, image_shape=shape, **scores)

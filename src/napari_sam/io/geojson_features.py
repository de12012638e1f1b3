"""Features of GeoJSON files, whoever wrote them: one reader for masks and for prompts.

Coordinates are (x, y), as the standard says. Corners of polygons lie between the pixels, as QuPath and our own exports
have them: the first pixel is the square from 0, 0 to 1, 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.mask_fields import check_size, xy_scores
from napari_sam.io.outlines import outline_to_record
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Polygon, Ring

__all__ = ["Feature", "feature_polygons", "feature_record", "read_features"]

SHAPES = ("Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Feature:
    """Hold one feature.

    Parameters
    ----------
    name
        What messages call it: its place in the file, from 0.
    properties
        What the file says of it.
    geometry
        Its geometry, None where it has no place.
    """

    name: str
    properties: Mapping[str, Any]
    geometry: Mapping[str, Any] | None

    @property
    def parts(self) -> list[Mapping[str, Any]]:
        """Its geometry, or those of the collection that it is."""
        if self.geometry is None:
            return []
        collected = self.geometry["type"] == "GeometryCollection"
        return list(self.geometry["geometries"]) if collected else [self.geometry]


def read_features(content: Any, shape: tuple[int, int] | None = None) -> list[Feature]:
    """Return the features of a FeatureCollection, a list of features, one feature, or a geometry alone.

    Raises
    ------
    InputError
        If the content tells that it belongs to an image of another size than `shape` (H, W).
    ValueError, KeyError, TypeError
        If it is none of these.
    """
    if isinstance(content, Mapping):
        size = content.get("image")
        if shape is not None and isinstance(size, Mapping) and {"height", "width"} <= set(size):
            check_size((size["height"], size["width"]), shape)
        if "features" in content:
            content = content["features"]
        else:
            content = [content] if content["type"] == "Feature" else [{"properties": {}, "geometry": content}]
    if not isinstance(content, list) or not all(isinstance(row, Mapping) for row in content):
        raise TypeError("no list of features")
    return [
        Feature(f"Feature {place}", properties if isinstance(properties, Mapping) else {}, row.get("geometry"))
        for place, row in enumerate(content)
        for properties in [row.get("properties")]
    ]


def feature_record(feature: Feature, shape: tuple[int, int]) -> MaskRecord:
    """Return the mask of a feature: all its polygons together, without their holes, cut off at the image's border.

    Raises
    ------
    InputError
        If it has none, or is a line or a point.
    ValueError, KeyError, TypeError, IndexError
        If it is damaged.
    """
    if not feature.parts:
        raise InputError("it has no geometry")
    other = next((part["type"] for part in feature.parts if part["type"] not in SHAPES), None)
    if other is not None:
        raise InputError(f"it is a {other}, and only Polygon and MultiPolygon are masks")
    return outline_to_record(feature_polygons(feature), shape, xy_scores(feature.properties))


def feature_polygons(feature: Feature) -> list[Polygon]:
    """Return the polygons of a feature, with their holes; other geometries are passed over."""
    polygons = []
    for part in feature.parts:
        if part["type"] in SHAPES:
            several = part["coordinates"] if part["type"] == "MultiPolygon" else [part["coordinates"]]
            polygons += [Polygon(_ring(outer), tuple(_ring(hole) for hole in holes)) for outer, *holes in several]
    return polygons


def _ring(corners: Sequence[Sequence[float]]) -> Ring:
    return np.array([corner[:2] for corner in corners], np.float64)[:, ::-1]

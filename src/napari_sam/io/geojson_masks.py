"""Masks as GeoJSON (RFC 7946) in the form of QuPath's objects; coordinates (x, y) of pixel corners."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.mask_fields import MaskRows, check_size, feature_values, mask_labels, xy_fields, xy_scores
from napari_sam.io.outlines import outline_to_record
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Polygon, Ring, mask_polygons

__all__ = ["decode_geojson", "encode_geojson"]


def encode_geojson(
    records: Sequence[MaskRecord], shape: tuple[int, int], features: MaskRows, image_name: str = ""
) -> bytes:
    """Return the file's content: a feature for each mask, which QuPath shows as a detection with measurements.

    The image's size stands in the member `image`, which other programs ignore.
    """
    labels = mask_labels(features, len(records))
    content = {
        "type": "FeatureCollection",
        "image": {"file_name": image_name, "height": int(shape[0]), "width": int(shape[1])},
        "features": [
            _feature(record, label, feature_values(features, index, ("area", "predicted_iou", "stability_score")))
            for index, (record, label) in enumerate(zip(records, labels, strict=True))
        ],
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def decode_geojson(data: bytes, shape: tuple[int, int]) -> list[MaskRecord]:
    """Return the masks of a FeatureCollection, or of the list of features that QuPath writes too.

    Raises
    ------
    InputError
        If the image is of another size, or a shape is no polygon or lies outside.
    ValueError, KeyError, TypeError, IndexError
        If it is no GeoJSON.
    """
    content = json.loads(data)
    if isinstance(content, list):
        content = {"features": content}
    elif content["type"] == "Feature":
        content = {"features": [content]}
    if "image" in content:
        check_size((content["image"]["height"], content["image"]["width"]), shape)
    return [_record(feature, shape) for feature in content["features"]]


def _feature(record: MaskRecord, label: int, extra: Mapping[str, Any]) -> dict[str, Any]:
    polygons = mask_polygons(record.patch, (record.box[0], record.box[1]))
    coordinates = [[_closed(ring) for ring in (polygon.outer, *polygon.holes)] for polygon in polygons]
    single = len(coordinates) == 1
    geometry = {
        "type": "Polygon" if single else "MultiPolygon",
        "coordinates": coordinates[0] if single else coordinates,
    }
    measurements = {
        "area": int(record.area),
        "predicted_iou": float(record.predicted_iou),
        "stability_score": float(record.stability_score),
        **{name: value for name, value in extra.items() if isinstance(value, int | float)},  # QuPath takes numbers only
    }
    properties = {
        "objectType": "detection",
        "name": f"mask {label}",
        "object_id": label,  # the key of this project's prompt tables
        "classification": {"name": "object", "color": [255, 200, 0]},
        "measurements": measurements,
        **xy_fields(record),
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: Ring) -> list[list[int]]:
    """Return (x, y) corners with the first repeated; right of the way in rows and columns is left of it in (x, y)."""
    corners: list[list[int]] = ring[:, ::-1].astype(int).tolist()
    return [*corners, corners[0]]


def _record(feature: Mapping[str, Any], shape: tuple[int, int]) -> MaskRecord:
    geometry = feature["geometry"]
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise InputError(f"a feature is a {geometry['type']}, and only Polygon and MultiPolygon are masks")
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    polygons = [Polygon(_ring(outer), tuple(_ring(hole) for hole in holes)) for outer, *holes in parts]
    return outline_to_record(polygons, shape, xy_scores(feature.get("properties") or {}))


def _ring(corners: Sequence[Sequence[float]]) -> Ring:
    return np.array([corner[:2] for corner in corners], np.float64)[:, ::-1]

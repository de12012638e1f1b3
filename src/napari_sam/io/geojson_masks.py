"""Masks as GeoJSON (RFC 7946) in the form of QuPath's objects; coordinates (x, y) of pixel corners."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from napari_sam.io.geojson_features import feature_record, read_features
from napari_sam.io.mask_entries import MaskEntries, gather
from napari_sam.io.mask_fields import MaskRows, feature_values, mask_labels, xy_fields
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Ring, mask_polygons

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


def decode_geojson(data: bytes, shape: tuple[int, int]) -> MaskEntries:
    """Return the masks of whatever `read_features` reads.

    Raises
    ------
    InputError
        If the image is of another size, or no feature is a mask in it.
    ValueError, KeyError, TypeError, IndexError, RecursionError
        If it is no GeoJSON.
    """
    features = read_features(json.loads(data), shape)
    return gather(
        ((feature.name, feature) for feature in features),
        lambda feature: feature_record(feature, shape),
        lambda feature: feature.properties.get("object_id"),
    )


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

"""Masks as COCO JSON: run lengths that pycocotools reads, with the keys of Segment Anything's data set SA-1B.

As COCO says, boxes are [x, y, width, height] and points [x, y].
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.mask_fields import MaskRows, check_size, feature_values, mask_labels, xy_box, xy_fields, xy_scores
from napari_sam.io.outlines import outline_to_record
from napari_sam.io.rle_masks import rle_to_record
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Polygon

__all__ = ["decode_coco", "encode_coco"]


def encode_coco(
    records: Sequence[MaskRecord], shape: tuple[int, int], features: MaskRows, image_name: str = ""
) -> bytes:
    """Return the file's content; an annotation's `id` is its label, `score` the predicted IoU."""
    annotations = [
        _annotation(record, label) | {"attributes": feature_values(features, index, ("area", *xy_fields(record)))}
        for index, (record, label) in enumerate(zip(records, mask_labels(features, len(records)), strict=True))
    ]
    height, width = shape
    content = {
        "info": {"description": "Masks written by napari-sam-stack"},
        "licenses": [],
        "images": [{"id": 1, "file_name": image_name, "height": int(height), "width": int(width)}],
        "categories": [{"id": 1, "name": "object", "supercategory": ""}],
        "annotations": annotations,
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def decode_coco(data: bytes, shape: tuple[int, int]) -> list[MaskRecord]:
    """Return the masks of one image: of a data set, a list of results or a file of SA-1B; run lengths or polygons.

    Raises
    ------
    InputError
        If there are several images, or one of another size.
    ValueError, KeyError, TypeError, IndexError
        If it is no COCO JSON.
    """
    content = json.loads(data)
    if isinstance(content, list):
        content = {"annotations": content}
    if content.get("type") in ("FeatureCollection", "Feature"):
        raise InputError("it is GeoJSON, whose file name must end with .geojson")
    images = content.get("images", [content["image"]] if "image" in content else [])
    annotations = content["annotations"]
    if max(len(images), len({annotation.get("image_id") for annotation in annotations})) > 1:
        raise InputError("they belong to several images, and files of one image are read")
    for image in images:
        check_size((image["height"], image["width"]), shape)
    return [_record(annotation, shape) for annotation in annotations]


def _annotation(record: MaskRecord, label: int) -> dict[str, Any]:
    return {
        "id": label,
        "image_id": 1,
        "category_id": 1,
        "segmentation": record.rle,
        "area": int(record.area),
        "bbox": xy_box(record.box),
        "iscrowd": 0,
        "score": float(record.predicted_iou),
        **xy_fields(record),
    }


def _record(annotation: Mapping[str, Any], shape: tuple[int, int]) -> MaskRecord:
    segmentation, scores = annotation["segmentation"], xy_scores(annotation)
    if isinstance(segmentation, Mapping):
        return rle_to_record(segmentation, shape, scores)
    parts = [np.array(flat, np.float64).reshape(-1, 2)[:, ::-1] for flat in segmentation]  # x, y, x, y ...
    return outline_to_record([Polygon(ring) for ring in parts], shape, scores)

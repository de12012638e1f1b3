"""Masks as COCO JSON: run lengths that pycocotools reads, with the keys of Segment Anything's data set SA-1B.

As COCO says, boxes are [x, y, width, height] and points [x, y].
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.mask_entries import MaskEntries, gather
from napari_sam.io.mask_fields import (
    MaskRows,
    Scores,
    check_size,
    feature_values,
    mask_labels,
    xy_box,
    xy_fields,
    xy_scores,
)
from napari_sam.io.outlines import outline_to_record
from napari_sam.io.rle_masks import rle_to_record
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.polygons import Polygon

__all__ = ["annotation_record", "coco_annotations", "decode_coco", "encode_coco", "is_coco"]


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


def decode_coco(data: bytes, shape: tuple[int, int]) -> MaskEntries:
    """Return the masks of one image: of a data set, a list of results or a file of SA-1B; run lengths or polygons.

    Raises
    ------
    InputError
        If there are several images, or one of another size, or no entry can be used.
    ValueError, KeyError, TypeError, IndexError, RecursionError
        If it is no COCO JSON.
    """
    content = json.loads(data)
    if isinstance(content, list):
        content = {"annotations": content}
    if content.get("type") in ("FeatureCollection", "Feature"):
        raise InputError("it is GeoJSON, whose file name must end with .geojson")
    images = content.get("images", [content["image"]] if "image" in content else [])
    annotations = content["annotations"]
    named = {annotation.get("image_id") for annotation in annotations if isinstance(annotation, Mapping)}
    if max(len(images), len(named)) > 1:
        raise InputError("they belong to several images, and files of one image are read")
    for image in images:
        check_size((image["height"], image["width"]), shape)
    return gather(
        coco_annotations(annotations),
        lambda annotation: annotation_record(annotation, shape, xy_scores(annotation)),
        lambda annotation: annotation.get("id"),
    )


def is_coco(content: Any) -> bool:
    """Tell whether JSON looks like masks of COCO rather than GeoJSON."""
    if isinstance(content, Mapping):
        return "annotations" in content
    return isinstance(content, list) and any(isinstance(row, Mapping) and "segmentation" in row for row in content)


def coco_annotations(annotations: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return annotations with what messages call them: by their id, or by their place."""
    return [
        (f"annotation {row['id']}" if isinstance(row, Mapping) and "id" in row else f"annotation number {place}", row)
        for place, row in enumerate(annotations, start=1)
    ]


def annotation_record(annotation: Mapping[str, Any], shape: tuple[int, int], scores: Scores) -> MaskRecord:
    """Return the mask of an annotation.

    Raises
    ------
    InputError
        If it has none, or none that lies in the image.
    ValueError, KeyError, TypeError, IndexError
        If it is damaged.
    """
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise InputError("it has no segmentation")
    if isinstance(segmentation, Mapping):
        return rle_to_record(segmentation, shape, scores)
    if not isinstance(segmentation[0], list):  # one polygon, without the list of polygons
        segmentation = [segmentation]
    parts = [np.array(flat, np.float64).reshape(-1, 2)[:, ::-1] for flat in segmentation]  # x, y, x, y ...
    return outline_to_record([Polygon(ring) for ring in parts], shape, scores)


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

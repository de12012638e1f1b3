"""Masks as a CSV table: box, scores and features of each, its pixels as COCO's run lengths in the column `rle`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from napari_sam.errors import InputError
from napari_sam.io.mask_fields import MaskRows, feature_values, flat_fields, flat_scores, mask_labels
from napari_sam.io.rle_masks import rle_to_record
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["decode_csv", "encode_csv"]

COLUMNS = (
    "label", "row0", "col0", "row1", "col1", "area", "predicted_iou", "stability_score", "point_row", "point_col",
    "crop_row0", "crop_col0", "crop_row1", "crop_col1",
)  # fmt: skip


def encode_csv(
    records: Sequence[MaskRecord], shape: tuple[int, int], features: MaskRows, image_name: str = ""
) -> bytes:
    """Return the file's content: a line for each mask; `rle` holds JSON that pycocotools decodes as it is.

    The table has no place for the name of the image; it is not written.
    """
    labels = mask_labels(features, len(records))
    extra = [name for name in features if name not in (*COLUMNS, "rle")]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, (*COLUMNS, *extra, "rle"), lineterminator="\n")
    writer.writeheader()
    for index, (record, label) in enumerate(zip(records, labels, strict=True)):
        box = dict(zip(("row0", "col0", "row1", "col1"), record.box, strict=True))
        writer.writerow(
            {
                **feature_values(features, index, (*COLUMNS, "rle")),
                **box,
                **flat_fields(record),
                "label": label,
                "area": record.area,
                "rle": json.dumps(record.rle, separators=(",", ":")),
            }
        )
    return stream.getvalue().encode()


def decode_csv(data: bytes, shape: tuple[int, int]) -> list[MaskRecord]:
    """Return the masks of a table; of its columns, only `rle` has to be there.

    Raises
    ------
    InputError
        If the image is of another size, or there is no column `rle`.
    csv.Error, ValueError, KeyError, TypeError
        If it is no such table.
    """
    with _any_field_size():
        lines = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        if "rle" not in (lines.fieldnames or ()):
            raise InputError("the table has no column rle, which holds the pixels")
        return [rle_to_record(json.loads(line["rle"]), shape, flat_scores(line)) for line in lines]


@contextmanager
def _any_field_size() -> Iterator[None]:
    """Let the run lengths of a ragged mask be longer than the 131072 characters that csv reads of its own accord."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)

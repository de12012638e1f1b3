"""Masks as a CSV table: box, scores and features of each, its pixels as COCO's run lengths in the column `rle`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from napari_sam.errors import InputError
from napari_sam.io.csv_rows import read_csv_rows
from napari_sam.io.mask_entries import MaskEntries, gather
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


def decode_csv(data: bytes, shape: tuple[int, int]) -> MaskEntries:
    """Return the masks of a table; of its columns, only `rle` has to be there.

    Raises
    ------
    InputError
        If the image is of another size, there is no column `rle`, or no line can be used.
    csv.Error, ValueError
        If it is no such table.
    """
    columns, rows = read_csv_rows(data)
    if "rle" not in columns:
        raise InputError("the table has no column rle, which holds the pixels")
    return gather(
        ((f"line {row.line}", row.cells) for row in rows),
        lambda cells: rle_to_record(json.loads(cells["rle"]), shape, flat_scores(cells)),
        lambda cells: cells.get("label"),
    )

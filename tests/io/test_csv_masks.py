"""Tables of masks, as pandas and pycocotools read them."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco

from napari_sam.errors import InputError
from napari_sam.io.csv_masks import decode_csv, encode_csv
from napari_sam.ops.mask_record import MaskRecord


def test_pandas_reads_the_columns_and_pycocotools_the_pixels():
    masks = np.random.default_rng(0).random((3, 20, 30)) < 0.3
    records = [MaskRecord.from_patch(mask, image_shape=(20, 30), predicted_iou=0.1, point=(2.5, 7)) for mask in masks]
    features = {
        "label": np.array([2, 4, 8]),
        "area": np.zeros(3),
        "solidity": np.array([0.5, np.nan, 1]),
        "k": list("abc"),
    }
    table = pd.read_csv(io.BytesIO(encode_csv(records, (20, 30), features)))
    assert table.label.tolist() == [2, 4, 8]
    assert table.area.tolist() == masks.sum(axis=(1, 2)).tolist()  # the record's own, not the feature's
    assert table.solidity.isna().tolist() == [False, True, False]
    assert table.k.tolist() == ["a", "b", "c"]
    assert table[["row0", "col0", "row1", "col1"]].to_numpy().tolist() == [list(record.box) for record in records]
    assert table[["point_row", "point_col"]].iloc[0].tolist() == [2.5, 7]
    for text, mask in zip(table.rle, masks, strict=True):
        np.testing.assert_array_equal(coco.decode(json.loads(text)), mask)


def test_a_ragged_mask_is_longer_than_csv_likes():
    mask = np.random.default_rng(0).random((600, 600)) < 0.5
    record = MaskRecord.from_patch(mask, image_shape=mask.shape)
    before = csv.field_size_limit()
    data = encode_csv([record], mask.shape, {})
    assert len(data) > before
    assert decode_csv(data, mask.shape).records == [record]
    assert csv.field_size_limit() == before


def test_a_table_that_a_spreadsheet_saved_is_read():
    data = 'rle,note\r\n"{""size"":[2,2],""counts"":[1,1,2]}",x\r\n'.encode("utf-8-sig")
    (record,) = decode_csv(data, (2, 2)).records
    assert record.box == (1, 0, 2, 1)
    assert record.predicted_iou == 1


def test_a_table_without_pixels_is_refused():
    with pytest.raises(InputError, match="rle"):
        decode_csv(b"label,area\n1,5\n", (2, 2))

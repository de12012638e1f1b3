"""COCO files, as pycocotools reads them, and COCO files of others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco
from pycocotools.coco import COCO

from napari_sam.errors import InputError
from napari_sam.io.coco_masks import decode_coco, encode_coco
from napari_sam.ops.mask_record import MaskRecord


def load(data: bytes) -> COCO:
    reader = COCO()
    reader.dataset = json.loads(data)
    reader.createIndex()
    return reader


@settings(max_examples=60, deadline=None)
@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=15)).filter(np.any))
def test_pycocotools_sees_the_same_pixels_area_and_box(mask):
    record = MaskRecord.from_patch(mask, image_shape=mask.shape, predicted_iou=0.75)
    reader = load(encode_coco([record], mask.shape, {}))
    (annotation,) = reader.loadAnns(reader.getAnnIds(imgIds=1, catIds=1, iscrowd=0))
    np.testing.assert_array_equal(reader.annToMask(annotation), mask)
    rows, cols = np.nonzero(mask)
    assert annotation["bbox"] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
    assert annotation["area"] == mask.sum()
    assert annotation["score"] == 0.75


def test_a_file_on_disk_serves_as_truth_and_as_result(tmp_path):
    masks = [np.zeros((9, 13), bool) for _ in range(2)]
    masks[0][2:5, 3:9], masks[1][4:, 10:] = True, True
    records = [MaskRecord.from_patch(mask, image_shape=(9, 13), point=(4, 7), crop_box=(1, 2, 8, 12)) for mask in masks]
    features = {"label": np.array([4, 9]), "solidity": np.array([1, np.inf])}
    (tmp_path / "m.json").write_bytes(encode_coco(records, (9, 13), features, "a.png"))
    reader = COCO(str(tmp_path / "m.json"))
    assert reader.getAnnIds() == [4, 9]
    assert reader.loadImgs(1)[0] == {"id": 1, "file_name": "a.png", "height": 9, "width": 13}
    assert reader.anns[4]["point_coords"] == [[7, 4]]
    assert reader.anns[4]["crop_box"] == [2, 1, 10, 7]
    assert reader.anns[9]["attributes"] == {"solidity": None}
    results = reader.loadRes(list(reader.anns.values()))
    for annotation, mask in zip(results.anns.values(), masks, strict=True):
        np.testing.assert_array_equal(results.annToMask(annotation), mask)


def test_files_of_others_are_read():
    square = {"image_id": 5, "segmentation": [[3, 2, 9, 2, 9, 5, 3, 5], [0, 0, 1, 0, 1, 1, 0, 1]], "score": 0.25}
    loose = {"image_id": 5, "segmentation": {"size": [9, 13], "counts": [9, 2, 106]}}
    results = decode_coco(json.dumps([square, loose]).encode(), (9, 13)).records
    assert [record.area for record in results] == [18 + 1, 2]
    assert results[0].predicted_iou == 0.25
    assert results[1].box == (0, 1, 2, 2)
    sa1b = {"image": {"image_id": 5, "height": 9, "width": 13}, "annotations": [loose]}
    assert decode_coco(json.dumps(sa1b).encode(), (9, 13)).records == results[1:]


def test_files_that_do_not_fit_are_refused():
    def annotation(image, segmentation):
        return {"image_id": image, "segmentation": segmentation}

    square = [[3, 2, 9, 2, 9, 5, 3, 5]]
    with pytest.raises(InputError, match="several images"):
        decode_coco(json.dumps([annotation(1, square), annotation(2, square)]).encode(), (9, 13))
    with pytest.raises(InputError, match="leaves the image of 1 x 2"):
        decode_coco(json.dumps([annotation(1, square)]).encode(), (1, 2))
    with pytest.raises(InputError, match=r"\.geojson"):
        decode_coco(b'{"type": "FeatureCollection", "features": []}', (4, 4))


def test_one_odd_annotation_never_loses_the_file():
    good = {"id": 4, "image_id": 1, "segmentation": [[3, 2, 9, 2, 9, 5, 3, 5]]}
    over = {"id": 5, "image_id": 1, "segmentation": [[9, 5, 17, 5, 17, 13, 9, 13]]}  # 4 beyond the border: cut off
    odd = [
        {"id": 6, "image_id": 1, "segmentation": None},
        {"id": 7, "image_id": 1},
        {"id": "cell 8", "image_id": 1, "segmentation": []},
        {"id": 9, "image_id": 1, "segmentation": [[30, 30, 40, 30, 40, 40]]},
        {"id": 10, "image_id": 1, "segmentation": [["a", 2, 9, 2, 9, 5]]},
        {"id": 11, "image_id": 1, "segmentation": {"size": [3, 3], "counts": [9]}},
        {"id": 12, "image_id": 1, "segmentation": [[1, 1, 5, 5]]},  # a line
        None,
    ]
    found = decode_coco(json.dumps([good, *odd, over]).encode(), (9, 13))
    theirs = coco.decode(coco.frPyObjects(over["segmentation"], 9, 13))[..., 0]
    assert [record.area for record in found.records] == [18, int(theirs.sum())]
    assert found.labels == [4, 5]
    assert [problem.split(":")[0] for problem in found.problems] == [
        "annotation 6", "annotation 7", "annotation cell 8", "annotation 9", "annotation 10 is damaged (ValueError",
        "annotation 11", "annotation 12", "annotation number 9 is damaged (AttributeError",
    ]  # fmt: skip

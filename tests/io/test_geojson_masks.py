"""GeoJSON files, as shapely and geopandas read them, and those of QuPath."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from napari_sam.errors import InputError
from napari_sam.io.geojson_masks import decode_geojson, encode_geojson
from napari_sam.io.prompt_table import read_prompt_table
from napari_sam.ops.mask_record import MaskRecord


@settings(max_examples=100, deadline=None)
@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=15)).filter(np.any))
def test_shapely_sees_valid_shapes_of_the_same_pixels(mask):
    record = MaskRecord.from_patch(mask, image_shape=mask.shape)
    (feature,) = json.loads(encode_geojson([record], mask.shape, {}))["features"]
    shape = shapely.from_geojson(json.dumps(feature["geometry"]))
    assert shape.is_valid
    assert shape.area == mask.sum()
    rows, cols = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    np.testing.assert_array_equal(shapely.contains_xy(shape, cols, rows), mask)
    for part in shapely.get_parts(shape):  # the right-hand rule of RFC 7946, section 3.1.6
        assert part.exterior.is_ccw
        assert not any(hole.is_ccw for hole in part.interiors)


def test_geopandas_reads_shapes_and_properties(tmp_path):
    masks = [np.zeros((9, 13), bool) for _ in range(2)]
    masks[0][2:6, 3:9] = masks[1][6:, 10:] = masks[1][0, 0] = True
    masks[0][3, 4] = False
    records = [MaskRecord.from_patch(mask, image_shape=(9, 13), predicted_iou=0.5) for mask in masks]
    path = tmp_path / "m.geojson"
    features = {"label": np.array([4, 9]), "solidity": np.array([np.nan, 0.5]), "kind": np.array(["a", "b"])}
    path.write_bytes(encode_geojson(records, (9, 13), features, "a.png"))
    frame = geopandas.read_file(path).set_crs(None, allow_override=True)  # pixels, no degrees
    assert frame.geometry.area.tolist() == [23, 10]
    assert frame.geometry.geom_type.tolist() == ["Polygon", "MultiPolygon"]
    assert frame.name.tolist() == ["mask 4", "mask 9"]
    assert frame.objectType.tolist() == ["detection", "detection"]
    assert frame.predicted_iou.tolist() == [0.5, 0.5]
    measured = [feature["properties"]["measurements"] for feature in json.loads(path.read_bytes())["features"]]
    assert "solidity" not in measured[0]  # QuPath takes numbers only
    assert measured[1] == {"area": 10, "predicted_iou": 0.5, "stability_score": 1.0, "solidity": 0.5}


def test_one_part_is_a_prompt_of_the_same_object(tmp_path):
    record = MaskRecord.from_patch(np.ones((3, 4), bool), (2, 5), image_shape=(9, 13))
    path = tmp_path / "m.geojson"
    path.write_bytes(encode_geojson([record], (9, 13), {"label": np.array([6])}))
    (row,) = read_prompt_table(path, (9, 13)).rows
    assert (row.object_id, row.kind, row.record) == (6, "polygon", record)


def test_what_qupath_writes_is_read():
    # a list of features, corners between the pixels, a third coordinate, no image size, a hair over the border
    ring = [[-0.4, 0, 0], [4.3, 0, 0], [4.3, 3.2, 0], [-0.4, 3.2, 0], [-0.4, 0, 0]]
    feature = {"type": "Feature", "id": "x", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": None}
    (record,) = decode_geojson(json.dumps([feature]).encode(), (9, 13)).records
    assert record.box == (0, 0, 3, 4)
    assert decode_geojson(json.dumps(feature).encode(), (9, 13)).records == [record]


@pytest.mark.parametrize(
    ("geometry", "says"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "Point"),
        ({"type": "Polygon", "coordinates": [[[30, 0], [40, 0], [40, 2]]]}, "leaves the image"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 0], [4, 2]]]}, "no finite number"),
    ],
)
def test_shapes_that_are_no_masks_are_refused(geometry, says):
    content = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": geometry, "properties": {}}]}
    with pytest.raises(InputError, match=says):
        decode_geojson(json.dumps(content).encode(), (9, 13))

"""Zips of ImageJ ROIs, as roifile reads them, and ROIs of others."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from roifile import ROI_TYPE, ImagejRoi, roiread, roiwrite

from napari_sam.errors import InputError
from napari_sam.io.roi_masks import decode_rois, encode_rois
from napari_sam.ops.mask_record import MaskRecord


def write(tmp_path, records, shape, features=None):
    path = tmp_path / "m.zip"
    path.write_bytes(encode_rois(records, shape, features or {}))
    return path


@settings(max_examples=80, deadline=None)
@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(np.any))
def test_roifile_sees_outlines_of_the_same_pixels(mask):
    record = MaskRecord.from_patch(mask, image_shape=mask.shape)
    with zipfile.ZipFile(io.BytesIO(encode_rois([record], mask.shape, {}))) as archive:
        roi = ImagejRoi.frombytes(archive.read("mask-0001.roi"))
    assert (roi.left, roi.top) == (record.box[1], record.box[0])
    inside = shapely.Polygon()
    for ring in roi.coordinates(multi=True):
        inside = inside.symmetric_difference(shapely.Polygon(ring))
    rows, cols = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    np.testing.assert_array_equal(shapely.contains_xy(inside, cols, rows), mask)


def test_names_kinds_and_properties(tmp_path):
    whole, ring = np.ones((2, 3), bool), np.ones((3, 3), bool)
    ring[1, 1] = False
    records = [
        MaskRecord.from_patch(whole, (4, 5), image_shape=(9, 13), predicted_iou=0.5),
        MaskRecord.from_patch(ring, (1, 2), image_shape=(9, 13)),
    ]
    features = {"label": np.array([7, 12]), "centroid-0": np.array([1.5, np.nan]), "name: kind": np.array([1, 2])}
    first, second = roiread(write(tmp_path, records, (9, 13), features))
    assert (first.name, second.name) == ("mask-0007", "mask-0012")
    assert first.roitype == ROI_TYPE.TRACED
    assert first.coordinates().tolist() == [[5, 4], [8, 4], [8, 6], [5, 6]]  # pixel corners, x first
    assert second.composite
    assert first.properties["predicted_iou"] == 0.5
    assert first.properties["centroid-0"] == 1.5
    assert "centroid-0" not in second.properties
    assert second.properties["name_ kind"] == 2


def test_images_beyond_sixteen_bits_come_back(tmp_path):
    shape = (70_000, 40_000)
    records = [
        MaskRecord.from_patch(np.ones((2, 3), bool), at, image_shape=shape) for at in ((69_000, 5), (40_000, 39_000))
    ]
    path = write(tmp_path, records, shape)
    assert [roi.composite for roi in roiread(path)] == [True, False]
    assert decode_rois(path.read_bytes(), shape).records == records


def test_an_outline_of_more_corners_than_sixteen_bits_comes_back():
    comb = np.ones((3, 40_001), bool)
    comb[0, ::2] = False
    record = MaskRecord.from_patch(comb, image_shape=comb.shape)
    assert decode_rois(encode_rois([record], comb.shape, {}), comb.shape).records == [record]


def test_rois_of_others_are_read(tmp_path):
    box = ImagejRoi(roitype=ROI_TYPE.RECT, left=2, top=1, right=6, bottom=4, name="box")
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, left=0, top=0, right=8, bottom=8, name="oval")
    free = ImagejRoi.frompoints([[1.5, 1.5], [4.5, 1.5], [4.5, 4.5], [1.5, 4.5]], name="free")
    roiwrite(tmp_path / "m.zip", [box, oval, free])
    found = decode_rois((tmp_path / "m.zip").read_bytes(), (9, 13)).records
    assert found[0].box == (1, 2, 4, 6)
    assert found[0].area == 12
    assert found[1].area == pytest.approx(np.pi * 16, rel=0.05)
    assert found[2].area == 9


@pytest.mark.parametrize("kind", [ROI_TYPE.POINT, ROI_TYPE.LINE, ROI_TYPE.POLYLINE])
def test_rois_without_area_are_refused(tmp_path, kind):
    roi = ImagejRoi.frompoints(np.array([[1, 1], [4, 4]]), name="thin")
    roi.roitype = kind
    roiwrite(tmp_path / "m.zip", [roi])
    with pytest.raises(InputError, match=rf"thin.*{kind.name}"):
        decode_rois((tmp_path / "m.zip").read_bytes(), (9, 13))


def test_zips_that_are_no_rois_of_the_image_are_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"no \.roi"):
        decode_rois(stream.getvalue(), (9, 13))
    square = ImagejRoi.frompoints(np.array([[31, 1], [40, 1], [40, 5]]), name="wide")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("wide.roi", square.tobytes())
    with pytest.raises(InputError, match="leaves the image"):
        decode_rois(stream.getvalue(), (9, 13))


def test_one_odd_entry_of_a_zip_never_loses_the_rest():
    square = ImagejRoi.frompoints(np.array([[1, 1], [5, 1], [5, 5], [1, 5]], np.float32))
    line = ImagejRoi.frompoints(np.array([[1, 1], [4, 4]]))
    line.roitype = ROI_TYPE.LINE
    over = ImagejRoi.frompoints(np.array([[9, 5], [17, 5], [17, 13], [9, 13]], np.float32))
    off = ImagejRoi.frompoints(np.array([[50, 50], [60, 50], [60, 60]], np.float32))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("set/", b"")
        archive.writestr("set/1.roi", square.tobytes())
        archive.writestr("__MACOSX/set/._1.roi", b"\0\5\x16\7" + bytes(100))
        archive.writestr("set/._2.roi", b"\0\5\x16\7")
        archive.writestr("set/line.roi", line.tobytes())
        archive.writestr("set/bad.roi", b"Iout of luck")
        archive.writestr("set/off.roi", off.tobytes())
        archive.writestr("set/mask-0012.roi", over.tobytes())
    found = decode_rois(stream.getvalue(), (9, 13))
    assert [record.area for record in found.records] == [16, 16]
    assert found.labels == [None, 12]
    assert ["line.roi" in found.problems[0], "bad.roi" in found.problems[1], "off.roi" in found.problems[2]] == [
        True
    ] * 3
    assert len(found.problems) == 3

"""Files of masks: every format gives the same records back, and says what is wrong with a file."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam.errors import InputError
from napari_sam.io.coco_masks import decode_coco, encode_coco
from napari_sam.io.csv_masks import decode_csv, encode_csv
from napari_sam.io.geojson_masks import decode_geojson, encode_geojson
from napari_sam.io.mask_entries import left_out
from napari_sam.io.mask_files import MASK_FORMATS, check_mask_output, read_mask_entries, read_masks, write_masks
from napari_sam.io.roi_masks import decode_rois, encode_rois
from napari_sam.ops.mask_record import MaskRecord

CODECS = {
    "coco": (encode_coco, decode_coco),
    "geojson": (encode_geojson, decode_geojson),
    "rois": (encode_rois, decode_rois),
    "table": (encode_csv, decode_csv),
}
SUFFIXES = tuple(MASK_FORMATS)


@st.composite
def record_lists(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    masks = draw(st.lists(arrays(bool, shape).filter(np.any), min_size=1, max_size=3))
    unit = st.floats(0, 1)
    return shape, [
        MaskRecord.from_patch(
            mask,
            image_shape=shape,
            predicted_iou=draw(unit),
            stability_score=draw(unit),
            point=(draw(st.floats(0, 12)), draw(st.floats(0, 12))),
            crop_box=(0, 1, 2, 3),
        )
        for mask in masks
    ]


def disc(shape=(20, 30), row=8, col=9, radius=5, **scores):
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return MaskRecord.from_patch((rows - row) ** 2 + (cols - col) ** 2 <= radius**2, image_shape=shape, **scores)


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=60, deadline=None)
@given(data=record_lists())
def test_every_format_returns_the_records(codec, data):
    shape, records = data
    encode, decode = CODECS[codec]
    assert decode(encode(records, shape, {}, "picture.tif"), shape).records == records  # pixels, scores, point and crop


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_written_and_read(tmp_path, suffix):
    records = [disc(predicted_iou=0.875), disc(row=15, col=25, radius=20)]  # the second one is cut by the border
    features = {"label": np.array([3, 7]), "solidity": np.array([0.5, np.nan]), "area": np.array([1, 2])}
    path = tmp_path / f"masks{suffix}"
    path.write_bytes(b"old")
    write_masks(str(path), records, features, "picture.tif")
    assert read_masks(path, (20, 30)) == records
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_masks_are_a_file_too(tmp_path, suffix):
    path = tmp_path / f"masks{suffix}"
    write_masks(path, [], shape=(20, 30))
    assert read_masks(path, (20, 30)) == []
    with pytest.raises(InputError, match="shape"):
        write_masks(path, [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_another_image_is_refused(tmp_path, suffix):
    path = tmp_path / f"masks{suffix}"
    write_masks(path, [disc()])
    with pytest.raises(InputError, match=r"20 x 30 pixels, this one has 30 x 20") as caught:
        read_masks(path, (30, 20))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"[1, 2]", b"{}", b"null", b"[" * 100_000, b"rle\n7\n", b'rle\n"{}"\n', b"PK\x03\x04"],
)
def test_damaged_files_are_named_in_one_sentence(tmp_path, suffix, content):
    path = tmp_path / f"masks{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="masks") as caught:
        read_masks(path, (20, 30))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore:1 entry of")
def test_a_file_cut_off_anywhere_is_refused(tmp_path, suffix):
    path = tmp_path / f"masks{suffix}"
    write_masks(path, [disc(), disc(row=12)])
    whole = path.read_bytes()
    for size in range(1, len(whole) - 2, max(1, len(whole) // 40)):
        path.write_bytes(whole[:size])
        try:
            found = read_masks(path, (20, 30))
        except InputError:
            continue
        assert suffix == ".csv"  # lines before the cut are whole
        assert found in ([disc()], [])


def test_other_extensions_and_places_are_refused(tmp_path):
    for act in (lambda path: write_masks(path, [disc()]), lambda path: read_masks(path, (9, 9)), check_mask_output):
        with pytest.raises(InputError, match=r"'\.xlsx' is unknown.*\.json.*\.geojson.*\.zip.*\.csv"):
            act(tmp_path / "masks.xlsx")
    with pytest.raises(InputError, match="no folder"):
        write_masks(tmp_path / "gone" / "masks.csv", [disc()])
    with pytest.raises(InputError, match="existing"):
        read_masks(tmp_path / "gone.csv", (9, 9))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        write_masks(tmp_path / "folder.csv", [disc()])
    assert [file.name for file in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_records_that_cannot_be_written_leave_the_old_file(tmp_path, suffix):
    path = tmp_path / f"masks{suffix}"
    path.write_bytes(b"old")
    empty = MaskRecord.from_patch(np.zeros((2, 2), bool), image_shape=(20, 30))
    with pytest.raises(InputError, match="Mask 2 has no pixels"):
        write_masks(path, [disc(), empty])
    with pytest.raises(InputError, match="one image"):
        write_masks(path, [disc(), disc(shape=(21, 30))])
    with pytest.raises(InputError, match="solidity has 1 values for 2"):
        write_masks(path, [disc(), disc()], {"solidity": np.array([1.0])})
    for labels in ([1, 1], [0, 1], [1.0, 2.0]):
        with pytest.raises(InputError, match="label"):
            write_masks(path, [disc(), disc()], {"label": np.array(labels)})
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_unpickled(tmp_path):
    import pickle

    path = tmp_path / "masks.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.roi", pickle.dumps([1, 2, 3]))
    with pytest.raises(InputError, match="damaged"):
        read_masks(path, (9, 9))


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "masks.json"
    write_masks(path, [disc()])
    content = json.loads(path.read_text())
    content["annotations"][0]["predicted_iou"] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="finite"):
        read_masks(path, (20, 30))


def test_entries_that_are_left_out_are_named_in_a_warning(tmp_path):
    path = tmp_path / "masks.json"
    write_masks(path, [disc(), disc(row=12)])
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = None
    path.write_text(json.dumps(content))
    with pytest.warns(
        UserWarning, match=r"1 entry of .*masks\.json was left out: annotation 1: it has no segmentation"
    ):
        assert read_masks(path, (20, 30)) == [disc(row=12)]
    found = read_mask_entries(path, (20, 30))
    assert found.labels == [2]
    assert left_out(found.problems * 7, "x").count("annotation 1") == 5
    assert left_out(found.problems * 7, "x").endswith("and 2 more.")
    assert left_out([], "x") == ""

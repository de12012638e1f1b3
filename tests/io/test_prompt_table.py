"""Tables of prompts: what they say, and what is wrong with them, by line."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.io.mask_files import MASK_FORMATS, write_masks
from napari_sam.io.prompt_table import (
    PromptRow,
    group_prompts,
    has_texts,
    is_table,
    on_plane,
    read_prompt_table,
    write_prompt_csv,
)
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.types import Prompts

HEADER = "object_id,kind,row,col,row1,col1,label,t,z,text\n"


def rows_of(path, shape=(60, 60)):
    table = read_prompt_table(path, shape)
    assert table.problems == []
    return table.rows


def write(tmp_path, text, name="p.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_rows_of_an_object_belong_together(tmp_path):
    path = write(
        tmp_path, HEADER + "4,point,10,20,,,1,,,\n4,point,11.5,3,,,0,,,\n7,box,1,2,30,40,,,,\n4,box,0,0,50,50,,2,3,\n"
    )
    rows = rows_of(path)
    assert rows[-1].plane == (2, 3)
    objects = group_prompts(rows, (60, 60))
    assert list(objects) == [4, 7]
    assert objects[4] == Prompts(points=((10, 20), (11.5, 3)), labels=(1, 0), box=(0, 0, 50, 50))
    assert objects[7].box == (1, 2, 30, 40)


def test_a_written_table_reads_the_same(tmp_path):
    prompts = {3: Prompts(points=((1.5, 2.0), (3.0, 4.0)), labels=(1, 0)), 5: Prompts(box=(1.0, 2.0, 3.0, 4.5))}
    prompts |= {6: Prompts(points=((1.0, 2.0),), labels=(1,), text="a nucleus, round"), 8: Prompts(text="debris")}
    write_prompt_csv(tmp_path / "out.csv", prompts)
    assert group_prompts(rows_of(tmp_path / "out.csv"), (9, 9)) == prompts


def test_geojson_coordinates_are_column_first(tmp_path):
    features = [
        {"type": "Feature", "properties": {"object_id": 2}, "geometry": {"type": "Point", "coordinates": [20, 10]}},
        {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [[[5, 2], [15, 2], [15, 8], [5, 8], [5, 2]]]},
        },
    ]
    path = write(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "p.geojson")
    objects = group_prompts(rows_of(path), (30, 40))
    assert objects[2].points == ((10.0, 20.0),)
    mask = objects[3].mask  # its place in the file is taken by the other's number
    assert mask is not None
    assert mask[5, 10]
    assert not mask[10, 5]
    assert 40 <= np.count_nonzero(mask) <= 80


def test_a_text_on_any_row_belongs_to_the_object(tmp_path):
    path = write(
        tmp_path,
        HEADER
        + "4,point,10,20,,,1,,,\n4,point,11,3,,,0,,, round nucleus \n7,box,1,2,30,40,,,,\n9,text,,,,,,,5,debris\n",
    )
    rows = rows_of(path)
    assert rows[-1].plane == (None, 5)
    objects = group_prompts(rows, (60, 60))
    assert objects[4] == Prompts(points=((10, 20), (11, 3)), labels=(1, 0), text="round nucleus")
    assert objects[7].text == ""
    assert objects[9] == Prompts(text="debris")
    assert not objects[9].empty


def test_an_object_has_one_text(tmp_path):
    same = write(tmp_path, HEADER + "1,point,1,2,,,,,,cell\n1,text,,,,,,,,cell\n")
    assert group_prompts(rows_of(same), (9, 9))[1].text == "cell"
    two = write(tmp_path, HEADER + "1,point,1,2,,,,,,cell\n1,text,,,,,,,,debris\n")
    with pytest.raises(InputError, match="Object 1 has the texts 'cell' and 'debris'"):
        group_prompts(rows_of(two), (9, 9))


def test_geojson_features_have_texts_with_and_without_a_place(tmp_path):
    corners = [[5, 2], [15, 2], [15, 8], [5, 8], [5, 2]]
    shapes = {"Point": [20, 10], "Polygon": [corners]}
    features = [
        {"properties": {"text": f" a {kind}"}, "geometry": {"type": kind, "coordinates": places}}
        for kind, places in shapes.items()
    ]
    features += [{"properties": {"object_id": 7, "text": "debris"}, "geometry": None}]
    path = write(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "p.geojson")
    objects = group_prompts(rows_of(path), (30, 40))
    assert [(number, what.text) for number, what in objects.items()] == [
        (1, "a Point"),
        (2, "a Polygon"),
        (7, "debris"),
    ]
    assert objects[1].points == ((10.0, 20.0),)
    assert objects[2].mask is not None
    assert objects[7] == Prompts(text="debris")
    for properties, says in (({"text": 5}, "Feature 0.*the text is 5"), ({}, "no geometry and no text")):
        bad = json.dumps({"features": [{"properties": properties, "geometry": None}]})
        with pytest.raises(InputError, match=says):
            rows_of(write(tmp_path, bad, "bad.geojson"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("object_id,kind,row\n1,point,3\n", "column col"),
        (HEADER + "1,point,a,3,,,,,,\n", "Line 2.*row"),
        (HEADER + "\n0,point,1,3,,,,,,\n", "Line 3.*object_id"),
        (HEADER + "1,star,1,3,,,,,,\n", "kind"),
        (HEADER + "1,point,1,3,,,5,,,\n", "label"),
        (HEADER + "1,box,1,3,,,,,,\n", "row1"),
        (HEADER + "1,point,nan,3,,,,,,\n", "finite"),
        (HEADER + "1,text,,,,,,,, \n", "Line 2.*column text is empty"),
        (HEADER, "no prompts"),
    ],
)
def test_mistakes_are_named_by_line_and_column(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        rows_of(write(tmp_path, text))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.csv or \.geojson"):
        rows_of(write(tmp_path, "", "p.xlsx"))
    with pytest.raises(InputError, match="gone"):
        rows_of(tmp_path / "gone.csv")
    for text in ("{}", "[1]", "nonsense"):
        with pytest.raises(InputError, match="GeoJSON"):
            rows_of(write(tmp_path, text, "p.geojson"))
    two = write(tmp_path, HEADER + "1,box,1,2,3,4,,,,\n1,box,5,6,7,8,,,,\n")
    with pytest.raises(InputError, match="2 boxes"):
        group_prompts(rows_of(two), (9, 9))


def exported(tmp_path, suffix, labels=(5, 9)):
    """Write two masks, one with a hole and one of two parts, as `auto --export` does; return the file and the masks."""
    masks = [np.zeros((40, 50), bool) for _ in range(2)]
    masks[0][5:35, 5:25], masks[0][10:30, 10:20] = True, False
    masks[1][3:9, 30:40] = masks[1][20:31, 28:49] = True
    records = [MaskRecord.from_patch(mask, image_shape=(40, 50)) for mask in masks]
    path = tmp_path / f"cells{suffix}"
    write_masks(path, records, {"label": np.array(labels)}, "cells.png")
    return path, dict(zip(labels, masks, strict=True))


@pytest.mark.parametrize("suffix", MASK_FORMATS)
def test_what_is_exported_is_read_as_prompts_to_the_pixel(tmp_path, suffix):
    path, masks = exported(tmp_path, suffix)
    objects = group_prompts(rows_of(path, (40, 50)), (40, 50))
    assert list(objects) == [5, 9]
    for number, mask in masks.items():
        np.testing.assert_array_equal(objects[number].mask, mask)


def feature(kind, coordinates, **properties):
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


SQUARE = [[[5, 2], [15, 2], [15, 8], [5, 8], [5, 2]]]


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": [feature("Polygon", SQUARE)]},
        [feature("Polygon", SQUARE)],
        feature("MultiPolygon", [SQUARE]),
        {"type": "Polygon", "coordinates": SQUARE},
        {"type": "Feature", "properties": None, "geometry": {
            "type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": SQUARE}]}},
    ],
)  # fmt: skip
def test_every_form_of_geojson_is_read_and_corners_lie_between_pixels(tmp_path, content):
    for name in ("p.geojson", "p.json"):
        mask = group_prompts(rows_of(write(tmp_path, json.dumps(content), name)), (60, 60))[1].mask
        expected = np.zeros((60, 60), bool)
        expected[2:8, 5:15] = True
        np.testing.assert_array_equal(mask, expected)


def test_features_without_a_number_do_not_merge_with_others(tmp_path):
    features = [feature("Point", [x, x], **said) for x, said in
                ((5, {"object_id": 2}), (30, {}), (40, {"object_id": None}), (50, {"object_id": "4"}),
                 (9, {"object_id": 2}))]  # fmt: skip
    objects = group_prompts(rows_of(write(tmp_path, json.dumps(features), "p.geojson")), (60, 60))
    assert {number: what.points for number, what in objects.items()} == {
        2: ((5, 5), (9, 9)),
        6: ((30, 30),),  # its place is taken
        3: ((40, 40),),
        4: ((50, 50),),
    }
    rows = rows_of(write(tmp_path, "object_id,kind,row,col\n1,point,3,4\n,point,5,6\n,point,7,8\n"))
    assert [row.object_id for row in rows] == [1, 2, 3]


SPREADSHEET = [["Object_ID", " KIND ", "Row", "col", "ROW1", "Col1", "label", "", ""],
               ["4", "Point", "10,5", "20", "", "", "1", "", ""], [""] * 9,
               ["4", "POINT", "11", "3", "", "", "Negative", "", ""],
               ["7", "box", "1", "2", "30", "40", "", "", ""]]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize(("separator", "first"), [(";", ""), ("\t", ""), (";", "sep=;\r\n"), (",", "")])
def test_what_spreadsheets_save_is_read(tmp_path, encoding, separator, first):
    lines = [[f'"{cell}"' if separator in cell else cell for cell in line] for line in SPREADSHEET]
    lines[1].append("größer") if encoding == "cp1252" else None
    text = first + "\r\n".join(separator.join(line) for line in lines) + "\r\n"
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    objects = group_prompts(rows_of(tmp_path / "p.csv"), (60, 60))
    assert objects == {
        4: Prompts(points=((10.5, 20), (11, 3)), labels=(1, 0)),
        7: Prompts(box=(1, 2, 30, 40)),
    }


def test_one_odd_feature_never_loses_the_file(tmp_path):
    odd = {
        "null": {"type": "Feature", "properties": {}, "geometry": None},
        "LineString": feature("LineString", [[1, 2], [3, 4]]),
        "leaves the image": feature("Polygon", [[[500, 500], [510, 500], [510, 510]]]),
        "the label is 'nucleus'": feature("Point", [3, 4], label="nucleus"),
        "object_id is 'cell A'": feature("Point", [3, 4], object_id="cell A"),
        "the text is 5": feature("Point", [3, 4], text=5),
        "damaged": feature("Polygon", [[[1, 2], ["a", 3], [4, 5]]]),
        "corner": feature("Polygon", [[[1, 2], [float("nan"), 3], [4, 5]]]),
        "whole number from 1 to 2147483647": feature("Point", [3, 4], object_id=3_000_000_000),
    }
    over = feature("Polygon", [[[-5, -4], [10, -4], [10, 10], [-5, 10]]], object_id=77)  # is cut off
    path = write(tmp_path, json.dumps([*odd.values(), over]), "p.geojson")
    table = read_prompt_table(path, (60, 60))
    assert [row.object_id for row in table.rows] == [77]
    assert group_prompts(table.rows, (60, 60))[77].mask.sum() == 100
    assert len(table.problems) == len(odd)
    for number, (says, problem) in enumerate(zip(odd, table.problems, strict=True)):
        assert f"Feature {number}" in problem
        assert says == "null" or says in problem
    for says, entry in odd.items():  # alone, it is what the file is refused for
        with pytest.raises(InputError, match="no geometry" if says == "null" else says):
            read_prompt_table(write(tmp_path, json.dumps([entry]), "one.geojson"), (60, 60))


def test_an_object_with_an_odd_line_is_left_out_as_a_whole(tmp_path):
    lines = "1,point,5,6,,,1,,,\n2,point,7,8,,,1,,,\n1,point,x,6,,,0,,,\n3,point,1,1,,,1,2.5,,\n"
    path = write(tmp_path, HEADER + lines)
    table = read_prompt_table(path, (60, 60))
    assert [row.object_id for row in table.rows] == [2]
    assert ["Line 4" in table.problems[0], "Line 5" in table.problems[1]] == [True, True]


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.geojson", "[" * 100_000), ("p.json", "[" * 100_000), ("p.csv", "\0\1\2"), ("p.zip", "PK"), ("p.json", "3")],
)
def test_what_is_no_table_is_one_sentence(tmp_path, name, content):
    with pytest.raises(InputError, match="p\\.") as caught:
        read_prompt_table(write(tmp_path, content, name), (60, 60))
    assert "\n" not in str(caught.value)


def test_rows_are_on_planes_by_the_names_of_axes():
    def row(t, z):
        return PromptRow(object_id=1, kind="point", plane=(t, z))

    assert not on_plane(row(5, None), {"t": 2, "z": 5})
    assert on_plane(row(2, None), {"t": 2, "z": 5})
    assert on_plane(row(0, 3), {"z": 3})
    assert not on_plane(row(1, 3), {"z": 3})
    assert on_plane(row(None, None), {"t": 7})


def test_texts_are_found_without_the_image(tmp_path):
    assert has_texts(write(tmp_path, HEADER + "1,point,1,2,,,,,,cell\n"))
    assert not has_texts(write(tmp_path, HEADER + "1,point,1,2,,,,,,\n"))
    assert has_texts(write(tmp_path, json.dumps(feature("Point", [1, 2], text="cell")), "p.geojson"))
    for suffix in MASK_FORMATS:
        assert not has_texts(exported(tmp_path, suffix)[0])


def test_zips_of_rois_are_tables_and_others_are_not(tmp_path):
    path, _ = exported(tmp_path, ".zip")
    assert is_table(str(path))
    with zipfile.ZipFile(tmp_path / "image.zip", "w") as archive:
        archive.writestr("zarr.json", "{}")
    assert not is_table(str(tmp_path / "image.zip"))
    assert is_table("a.CSV")
    assert not is_table("seeds.tif")

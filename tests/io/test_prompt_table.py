"""Tables of prompts: what they say, and what is wrong with them, by line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.io.prompt_table import group_prompts, read_prompt_table, write_prompt_csv
from napari_sam.types import Prompts

HEADER = "object_id,kind,row,col,row1,col1,label,t,z,text\n"


def write(tmp_path, text, name="p.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_rows_of_an_object_belong_together(tmp_path):
    path = write(
        tmp_path, HEADER + "4,point,10,20,,,1,,,\n4,point,11.5,3,,,0,,,\n7,box,1,2,30,40,,,,\n4,box,0,0,50,50,,2,3,\n"
    )
    rows = read_prompt_table(path)
    assert rows[-1].plane == (2, 3)
    objects = group_prompts(rows, (60, 60))
    assert list(objects) == [4, 7]
    assert objects[4] == Prompts(points=((10, 20), (11.5, 3)), labels=(1, 0), box=(0, 0, 50, 50))
    assert objects[7].box == (1, 2, 30, 40)


def test_a_written_table_reads_the_same(tmp_path):
    prompts = {3: Prompts(points=((1.5, 2.0), (3.0, 4.0)), labels=(1, 0)), 5: Prompts(box=(1.0, 2.0, 3.0, 4.5))}
    prompts |= {6: Prompts(points=((1.0, 2.0),), labels=(1,), text="a nucleus, round"), 8: Prompts(text="debris")}
    write_prompt_csv(tmp_path / "out.csv", prompts)
    assert group_prompts(read_prompt_table(tmp_path / "out.csv"), (9, 9)) == prompts


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
    objects = group_prompts(read_prompt_table(path), (30, 40))
    assert objects[2].points == ((10.0, 20.0),)
    mask = objects[2].mask
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
    rows = read_prompt_table(path)
    assert rows[-1].plane == (None, 5)
    objects = group_prompts(rows, (60, 60))
    assert objects[4] == Prompts(points=((10, 20), (11, 3)), labels=(1, 0), text="round nucleus")
    assert objects[7].text == ""
    assert objects[9] == Prompts(text="debris")
    assert not objects[9].empty


def test_an_object_has_one_text(tmp_path):
    same = write(tmp_path, HEADER + "1,point,1,2,,,,,,cell\n1,text,,,,,,,,cell\n")
    assert group_prompts(read_prompt_table(same), (9, 9))[1].text == "cell"
    two = write(tmp_path, HEADER + "1,point,1,2,,,,,,cell\n1,text,,,,,,,,debris\n")
    with pytest.raises(InputError, match="Object 1 has the texts 'cell' and 'debris'"):
        group_prompts(read_prompt_table(two), (9, 9))


def test_geojson_features_have_texts_with_and_without_a_place(tmp_path):
    corners = [[5, 2], [15, 2], [15, 8], [5, 8], [5, 2]]
    shapes = {"Point": [20, 10], "Polygon": [corners]}
    features = [
        {"properties": {"text": f" a {kind}"}, "geometry": {"type": kind, "coordinates": places}}
        for kind, places in shapes.items()
    ]
    features += [{"properties": {"object_id": 7, "text": "debris"}, "geometry": None}]
    path = write(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "p.geojson")
    objects = group_prompts(read_prompt_table(path), (30, 40))
    assert [(number, what.text) for number, what in objects.items()] == [
        (1, "a Point"),
        (2, "a Polygon"),
        (7, "debris"),
    ]
    assert objects[1].points == ((10.0, 20.0),)
    assert objects[2].mask is not None
    assert objects[7] == Prompts(text="debris")
    for properties, says in (({"text": 5}, "Feature 0.*the text is 5"), ({}, "GeoJSON")):
        bad = json.dumps({"features": [{"properties": properties, "geometry": None}]})
        with pytest.raises(InputError, match=says):
            read_prompt_table(write(tmp_path, bad, "bad.geojson"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("object_id,kind,row\n1,point,3\n", "column col"),
        (HEADER + "1,point,a,3,,,,,,\n", "Line 2.*row"),
        (HEADER + "1,point,1,3,,,,,,\n0,point,1,3,,,,,,\n", "Line 3.*object_id"),
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
        read_prompt_table(write(tmp_path, text))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.csv or \.geojson"):
        read_prompt_table(write(tmp_path, "", "p.xlsx"))
    with pytest.raises(InputError, match="gone"):
        read_prompt_table(tmp_path / "gone.csv")
    for text in ("{}", "[1]", "nonsense"):
        with pytest.raises(InputError, match="GeoJSON"):
            read_prompt_table(write(tmp_path, text, "p.geojson"))
    two = write(tmp_path, HEADER + "1,box,1,2,3,4,,,,\n1,box,5,6,7,8,,,,\n")
    with pytest.raises(InputError, match="2 boxes"):
        group_prompts(read_prompt_table(two), (9, 9))

"""Tables of prompts for batches: what they may say, and what becomes of texts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_sam.batch.prompt_units import check_prompts_source, has_texts, prompts_of_plane
from napari_sam.batch.records_file import read_arrays, write_arrays
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.io.large_image import LargeImage, open_large_image
from threshold_segmenter import blobs, write_zarr

HEADER = "object_id,kind,row,col,row1,col1,label,t,z,text\n"


@pytest.fixture
def image(tmp_path: Path) -> LargeImage:
    return open_large_image(str(write_zarr(tmp_path / "in.zarr", blobs((60, 60)))))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "prompts.csv"


def said_by(table: Path) -> BatchSettings:
    return BatchSettings(mode="prompts", prompts=str(table))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("3,text,,,,,,,,debris\n", r"^Object 3 of .*prompts.csv is but the text 'debris': add a point .* mode text"),
        ("1,point,8,9,,,,,,debris\n1,point,9,9,,,,,,nucleus\n", "^Object 1 of .* the texts 'debris' and 'nucleus'"),
    ],
)
def test_texts_without_a_place_or_against_each_other_are_refused(
    image: LargeImage, table: Path, rows: str, message: str
) -> None:
    table.write_text(f"{HEADER}1,point,5,6,,,1,,,\n")
    plain = check_prompts_source(said_by(table), image)
    table.write_text(f"{HEADER}1,point,5,6,,,1,,,\n{rows}")
    with pytest.raises(InputError, match=message):
        check_prompts_source(said_by(table), image)
    table.write_text(f"{HEADER}1,point,5,6,,,1,,,nucleus\n1,text,,,,,,,,nucleus\n")
    assert check_prompts_source(said_by(table), image) != plain


def test_a_text_on_any_row_holds_for_the_object(image: LargeImage, table: Path, tmp_path: Path) -> None:
    rows = "7,text,,,,,,,,größer als Kerne\n2,point,5,6,,,1,,,\n7,point,8,9,,,0,,,\n7,box,3,4,20,30,,,,\n"
    table.write_text(f"{HEADER}{rows}5,point,30,31,,,1,,,debris\n", encoding="utf-8")
    assert has_texts(said_by(table))
    write_arrays(tmp_path / "prompts.npz", **prompts_of_plane(said_by(table), image, 0))
    found = read_arrays(tmp_path / "prompts.npz")
    assert found["id"].tolist() == [7, 7, 2, 5]  # in the order of the objects' first rows
    assert found["place"].tolist()[:2] == [[8, 9, 0, 0], [3, 4, 20, 30]]
    assert found["texts"][found["text"]].tolist() == ["größer als Kerne", "größer als Kerne", "", "debris"]


def test_the_box_of_a_polygon_keeps_the_text(image: LargeImage, tmp_path: Path) -> None:
    table = tmp_path / "prompts.geojson"
    table.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"text": "debris"}, '
        '"geometry": {"type": "Polygon", "coordinates": [[[3, 4], [20, 4], [20, 30], [3, 4]]]}}]}'
    )
    found = prompts_of_plane(said_by(table), image, 0)
    assert found["place"].tolist() == [[4, 3, 29, 20]]  # of its pixels
    assert found["texts"][found["text"]].tolist() == ["debris"]


def test_a_table_that_was_written_anew_is_read_anew(image: LargeImage, table: Path) -> None:
    table.write_text(f"{HEADER}1,point,5,6,,,1,,,\n")
    assert not has_texts(said_by(table))
    assert "texts" not in prompts_of_plane(said_by(table), image, 0)  # jobs without texts make the files they made
    table.write_text(f"{HEADER}1,point,5,6,,,1,,,nucleus\n")
    os.utime(table, (1, 1))  # whatever the clock of the file system
    assert has_texts(said_by(table))

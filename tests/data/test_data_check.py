"""Everything that is wrong with training data is said at once, what is only doubtful apart from it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_folders import write_folder
from napari_sam.data.data_check import check_data
from napari_sam.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "set", list("abcdefgh"))


def replace_part(folder, part, name, values):
    (folder / part / f"{name}.png").unlink()
    tifffile.imwrite(folder / part / f"{name}.tif", values)


def test_good_data_give_no_words(folder):
    assert check_data([folder]) == []


def test_all_errors_are_listed_once(folder):
    coloured = np.zeros((40, 50, 3), np.uint8)
    coloured[5:9, 5:9, 0] = 7
    replace_part(folder, "labels", "a", np.full((40, 50), 0.5, np.float32))
    replace_part(folder, "labels", "b", coloured)
    replace_part(folder, "labels", "c", np.ones((2, 3, 40, 50), np.int16))
    replace_part(folder, "labels", "d", np.ones((20, 50), np.uint8))
    replace_part(folder, "images", "e", np.full((40, 50), 9, np.uint8))
    replace_part(folder, "images", "f", np.full((40, 50), np.nan, np.float32))
    (folder / "images" / "g.png").write_bytes(b"no picture")
    (folder / "labels" / "h.png").unlink()
    with pytest.raises(InputError) as caught:
        check_data([folder, folder.parent / "gone"])
    lines = str(caught.value).split("\n")
    assert "9 problems" in lines[0]
    assert len(lines) == 10
    expected = {
        "a.tif": "fractions", "b.tif": "(40, 50, 3)", "c.tif": "(2, 3, 40, 50)", "d.png": "(20, 50)",
        "e.tif": "9 everywhere", "f.tif": "nan everywhere", "g.png": "none of the kinds", "h.png": "no labels",
        "gone": "no training data",
    }  # fmt: skip
    for name, text in expected.items():
        (line,) = [line for line in lines[1:] if name in line]
        assert text in line, line
        assert line.endswith(".")


def test_small_images_are_errors(tmp_path):
    folder = write_folder(tmp_path / "set", ["a"])
    for part in ("images", "labels"):
        replace_part(folder, part, "a", np.eye(9, 40, dtype=np.uint8))
    with pytest.raises(InputError, match="at least 16"):
        check_data([folder])


def test_doubts_are_warnings(folder):
    squares = np.zeros((40, 50), np.uint8)
    for row in range(2, 36, 8):
        squares[row : row + 5, 4:10] = squares[row : row + 5, 20:26] = 255
    replace_part(folder, "labels", "a", squares)
    Image.fromarray(squares > 0).save(folder / "labels" / "b.png")
    replace_part(folder, "labels", "c", np.zeros((40, 50), np.uint8))
    replace_part(folder, "labels", "d", np.ones((40, 50), np.uint8))
    dots = np.zeros((40, 50), np.uint16)
    dots[::4, ::4] = np.arange(130).reshape(10, 13) + 1
    replace_part(folder, "labels", "e", dots)
    warnings = check_data([folder])
    assert len(warnings) == 4
    pieces, empty, huge, tiny = warnings
    assert "2 of 8 images" in pieces
    assert "separate pieces" in pieces
    assert "c.png" in empty
    assert "d.png" in huge
    assert "less than 4 pixels" in tiny


def test_one_object_an_image_is_no_doubt(tmp_path):
    folder = write_folder(tmp_path / "set", ["a", "b"])
    mask = np.zeros((40, 50), np.uint8)
    mask[8:30, 10:40] = 255
    for name in "ab":
        replace_part(folder, "labels", name, mask)
    assert check_data([folder]) == []


def test_no_object_anywhere_is_an_error(tmp_path):
    folder = write_folder(tmp_path / "set", ["a", "b"])
    for name in "ab":
        replace_part(folder, "labels", name, np.zeros((40, 50), np.uint8))
    with pytest.raises(InputError, match="None of the 2"):
        check_data([folder])

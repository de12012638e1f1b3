"""Labels and masks of other programs are read as what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.cli.main import main
from napari_sam.data.sample_store import load_samples
from napari_sam.errors import InputError
from napari_sam.io.dataset import read_dataset
from napari_sam.io.label_numbers import as_labels, check_label_ids, read_labels, read_mask

LABELS = np.zeros((50, 60), np.uint8)
LABELS[5:20, 5:20], LABELS[30:40, 30:50] = 1, 2
RGB = [0, 0, 0, 0, 0, 0, 128, 0, 0, *[7] * 759]  # of indices: two look alike, none has its number as its grey


def palette(path: Path) -> None:
    picture = Image.fromarray(LABELS, mode="P")
    picture.putpalette(RGB)
    picture.save(path)


def grey_as_rgb(path: Path) -> None:
    Image.fromarray(np.repeat(LABELS[..., None], 3, -1)).save(path)


def grey_as_rgba(path: Path) -> None:
    opaque = np.full_like(LABELS, 255)
    Image.fromarray(np.stack([LABELS, LABELS, LABELS, opaque], -1)).save(path)


def grey_alpha(path: Path) -> None:
    Image.fromarray(np.stack([LABELS, np.full_like(LABELS, 255)], -1), mode="LA").save(path)


def tiff(values: np.ndarray):
    return lambda path: tifffile.imwrite(path, values)


IGNORED = np.where(LABELS == 2, -1, LABELS.astype(int))
UNKNOWN = np.where(LABELS == 2, np.nan, LABELS)
LARGE = LABELS * np.uint32(2_000_000_000)  # 2 becomes 4e9, beyond 2^31
HUGE = LABELS * np.int64(2**40)
FILES = {
    "palette.png": (palette, LABELS),
    "palette.bmp.png": (palette, LABELS),
    "rgb.png": (grey_as_rgb, LABELS),
    "rgba.png": (grey_as_rgba, LABELS),
    "la.png": (grey_alpha, LABELS),
    "rgb.tif": (tiff(np.repeat(LABELS[..., None], 3, -1)), LABELS),
    "float32.tif": (tiff(LABELS.astype(np.float32)), LABELS),
    "float64.npy": (lambda path: np.save(path, LABELS.astype(float)), LABELS),
    "bool.npy": (lambda path: np.save(path, LABELS > 0), LABELS > 0),
    "ignore.tif": (tiff(IGNORED.astype(np.int16)), LABELS * (LABELS < 2)),
    "ignore-float.tif": (tiff(IGNORED.astype(np.float32)), LABELS * (LABELS < 2)),
    "nan.tif": (tiff(UNKNOWN.astype(np.float32)), LABELS * (LABELS < 2)),
    "large.tif": (tiff(LARGE), LARGE),
    "uint64.npy": (lambda path: np.save(path, HUGE.astype(np.uint64)), HUGE),
}


@pytest.mark.parametrize("name", FILES)
def test_labels_and_masks_are_what_they_say(tmp_path, name):
    write, expected = FILES[name]
    write(tmp_path / name)
    labels = read_labels(tmp_path / name)
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == (np.int64 if expected.max() > 2**31 else np.int32)
    np.testing.assert_array_equal(read_mask(tmp_path / name), expected > 0)


def test_what_is_no_labels_is_one_sentence(tmp_path):
    for values, says in (
        (np.full((4, 4), 0.5), "fractions"),
        (np.full((4, 4), np.inf), "fractions"),
        (np.full((4, 4), -2), "from -2"),
        (np.full((4, 4), 2**63, np.uint64), "must fit"),
        (np.full((4, 4), 1e300), "must fit"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.arange(48).reshape(4, 4, 3), "of one channel"),
        (np.zeros((4, 4, 5)), "of one channel"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            as_labels(values, "a.tif")
        assert "a.tif" in str(caught.value)
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(tmp_path / "colours.png")
    with pytest.raises(InputError, match="one channel"):
        read_mask(tmp_path / "colours.png")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".png", ".tif"))])
def test_data_sets_hold_such_labels(tmp_path, name):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    Image.fromarray(LABELS * 100 + 20).save(tmp_path / "images" / f"{Path(name).stem}.png")
    write, expected = FILES[name]
    write(tmp_path / "labels" / name)
    (item,) = read_dataset(tmp_path).items
    for labels in (item.read()[1], load_samples([tmp_path])[0][0].labels):
        assert labels.dtype == np.int32
        values = np.unique(expected)
        np.testing.assert_array_equal(values[np.searchsorted(np.unique(labels), labels)], expected)


@pytest.mark.parametrize("name", ["palette.png", "rgb.png", "float32.tif", "ignore.tif"])
def test_a_mask_of_any_kind_is_a_prompt(tmp_path, name, capsys):
    Image.fromarray((LABELS > 0) * np.uint8(150) + np.uint8(20)).save(tmp_path / "image.png")
    FILES[name][0](tmp_path / name)
    assert main(["segment", str(tmp_path / "image.png"), "-o", str(tmp_path / "o.npy"), "--mask", str(tmp_path / name),
                 "--json"]) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["count"] == 1
    assert np.load(tmp_path / "o.npy")[10, 10] == 1


@pytest.mark.parametrize(("output", "number"), [("o.png", 70_000), ("o.tif", 2_147_483_648), ("o.tif", 3_000_000_000)])
def test_numbers_that_a_file_cannot_hold_are_said_before_the_work(tmp_path, output, number, capsys, monkeypatch):
    monkeypatch.setattr("napari_sam.model.load.load_model", lambda *_, **__: pytest.fail("the work has begun"))
    Image.fromarray(LABELS * 100).save(tmp_path / "image.png")
    (tmp_path / "p.csv").write_text(f"object_id,kind,row,col\n{number},point,10,10\n")
    line = ["segment", str(tmp_path / "image.png"), "-o", str(tmp_path / output), "--prompts", str(tmp_path / "p.csv")]
    assert main(line) == 2
    assert str(number) in capsys.readouterr().err
    with pytest.raises(InputError, match=str(number)):
        check_label_ids(Path(output), [3, number])
    check_label_ids(Path("o.tif"), [2**31 - 1])
    check_label_ids(Path("o.png"), [65535])

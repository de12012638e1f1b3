"""Several images in one command: a folder of results and a table, from the command line as a user gives it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.cli.main import main
from napari_sam.cli.several import TABLE
from napari_sam.io.label_numbers import read_labels
from napari_sam.io.mask_files import read_masks

TABLE_OF_PROMPTS = "object_id,kind,row,col\n4,point,30,30\n"
EASY = ["--preset", "natural", "--points-per-side", "4", "--pred-iou-thresh", "0", "--stability-score-thresh", "0.5"]


def picture(shift: int = 0) -> np.ndarray:
    rows, cols = np.mgrid[:80, :90]
    pixels = np.random.default_rng(shift).normal(30, 3, rows.shape)
    pixels[(rows - 30) ** 2 + (cols - 30 - shift) ** 2 < 14**2] += 120
    return pixels.astype(np.uint8)


@pytest.fixture(autouse=True)
def _images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for number, name in enumerate(("a.png", "b.tif", "b.png")):
        Image.fromarray(picture(5 * number)).save(f"in/{name}")
    Path("in/notes.txt").write_text("no image")
    Path("p.csv").write_text(TABLE_OF_PROMPTS)


def run(capsys, *arguments, status=0):
    found = main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert found == status, captured.err
    return json.loads(captured.out), captured.err


def rows_of(folder: str) -> dict[str, dict[str, str]]:
    with Path(folder, TABLE).open(newline="") as stream:
        return {Path(row["image"]).name: row for row in csv.DictReader(stream)}


def prompts(*images: str) -> list[str]:
    return ["segment", *images, "-o", "out", "--prompts", "p.csv"]


@pytest.mark.parametrize("images", [["in"], ["in/*"], ["in/a.png", "in/b.png", "in/b.tif"]])
def test_each_image_has_a_result_of_its_name_and_a_row(capsys, images):
    images = ["in/*.[pt]*[gf]"] if images == ["in/*"] else images
    summary, _ = run(capsys, *prompts(*images))
    assert sorted(file.name for file in Path("out").iterdir()) == ["a.tif", "b.png.tif", "b.tif.tif", TABLE]
    for name in ("a.tif", "b.png.tif", "b.tif.tif"):
        assert set(np.unique(read_labels(f"out/{name}"))) == {0, 4}
    assert summary["count"] == 3
    assert summary["failed"] == []
    rows = rows_of("out")
    assert {name: (row["state"], row["objects"], row["error"]) for name, row in rows.items()} == dict.fromkeys(
        ("a.png", "b.png", "b.tif"), ("done", "1", "")
    )
    assert all(float(row["seconds"]) >= 0 for row in rows.values())


def test_one_image_stays_one_and_a_folder_as_output_makes_it_a_name(capsys):
    summary, _ = run(capsys, "segment", "in/a.png", "-o", "one.npy", "--prompts", "p.csv")
    assert summary["labels"] == "one.npy"
    Path("out").mkdir()
    run(capsys, *prompts("in/a.png"), "--format", "npy")
    assert np.load("out/a.npy").max() == 4


def test_what_fails_is_named_and_the_rest_is_done(capsys):
    Path("in/broken.png").write_bytes(b"no picture")
    summary, error = run(capsys, *prompts("in"), status=1)
    assert summary["failed"] == ["in/broken.png"]
    assert "in/broken.png: " in error
    assert rows_of("out")["broken.png"]["state"] == "failed"
    assert "broken.png" in rows_of("out")["broken.png"]["error"]
    assert len(list(Path("out").glob("*.tif"))) == 3
    Image.fromarray(picture()).save("in/broken.png")  # mended: only this one is left to do
    before = {file: file.stat().st_mtime_ns for file in Path("out").glob("*.tif")}
    summary, _ = run(capsys, *prompts("in"))
    assert summary["skipped"] == 3
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert Path("out/broken.tif").exists()


def test_what_is_done_is_skipped_until_something_changes(capsys):
    run(capsys, *prompts("in"))
    assert run(capsys, *prompts("in"))[0]["skipped"] == 3
    assert run(capsys, *prompts("in"), "--restart")[0]["skipped"] == 0
    Image.fromarray(picture(9)).save("in/a.png")
    os.utime("in/a.png", (1, 1))  # whatever the clock of the file system
    assert run(capsys, *prompts("in"))[0]["skipped"] == 2
    Path("p.csv").write_text(TABLE_OF_PROMPTS.replace("4,", "44,"))
    assert run(capsys, *prompts("in"))[0]["skipped"] == 0
    assert read_labels("out/a.tif").max() == 44
    Path("out/a.tif").unlink()
    assert run(capsys, *prompts("in"))[0]["skipped"] == 2


def test_what_others_made_or_changed_is_kept(capsys):
    Path("out").mkdir()
    Path("out/a.tif").write_bytes(b"mine")
    assert main(prompts("in")) == 2
    assert "out/a.tif is there" in capsys.readouterr().err
    assert Path("out/a.tif").read_bytes() == b"mine"
    assert not Path("out/b.png.tif").exists()
    Path("out/a.tif").unlink()
    run(capsys, *prompts("in"))
    Path("out/a.tif").write_bytes(b"edited by hand")
    assert run(capsys, *prompts("in"))[0]["skipped"] == 3  # done, and nothing else was asked for
    Path("p.csv").write_text(TABLE_OF_PROMPTS.replace("4,", "44,"))
    summary, error = run(capsys, *prompts("in"), status=1)
    assert summary["failed"] == ["in/a.png"]
    assert "was changed since" in error
    assert Path("out/a.tif").read_bytes() == b"edited by hand"
    assert read_labels("out/b.png.tif").max() == 44


def test_no_result_replaces_an_image_and_mistakes_are_one_sentence(capsys):
    before = {file: file.read_bytes() for file in Path().rglob("*") if file.is_file()}
    for arguments, says in (
        (["segment", "in", "-o", "in", "--prompts", "p.csv"], "would replace"),
        (["segment", "in", "-o", "out.tif", "--prompts", "p.csv"], "give a folder"),
        (["segment", "gone", "in/a.png", "-o", "out", "--prompts", "p.csv"], "gone"),
        (["segment", "*.lif", "-o", "out", "--prompts", "p.csv"], "No image"),
        ([*prompts("in"), "--workers", "0"], "--workers"),
        (["segment", "in", "-o", "out", "--replay", "p.csv"], "one image"),
    ):
        Image.fromarray(picture()).save("in/b.tif")
        before[Path("in/b.tif")] = Path("in/b.tif").read_bytes()
        os.remove("in/b.png") if Path("in/b.png").exists() else None  # so that in/b.tif would be the result of one
        before.pop(Path("in/b.png"), None)
        assert main(arguments) == 2, arguments
        error = capsys.readouterr().err.strip()
        assert says in error
        assert "\n" not in error
    assert {file: file.read_bytes() for file in Path().rglob("*") if file.is_file()} == before


def test_tables_of_prompts_in_a_folder_go_by_name(capsys):
    Path("tables").mkdir()
    for name, number in (("a", 7), ("b.png", 8)):
        Path(f"tables/{name}.csv").write_text(TABLE_OF_PROMPTS.replace("4,", f"{number},"))
    summary, error = run(capsys, "segment", "in", "-o", "out", "--prompts", "tables", status=1)
    assert summary["failed"] == ["in/b.tif"]
    assert "b.tif.csv" in error
    assert [read_labels(f"out/{name}.tif").max() for name in ("a", "b.png")] == [7, 8]


def test_processes_make_the_same_with_exports_beside(capsys):
    arguments = ["auto", "in", *EASY, "--export", "x.geojson", "--export", ".csv"]
    one, _ = run(capsys, *arguments, "-o", "one")
    two, _ = run(capsys, *arguments, "-o", "two", "--workers", "2")
    assert one["count"] == two["count"] > 0
    names = sorted(file.name for file in Path("one").iterdir())
    assert names == sorted(file.name for file in Path("two").iterdir())
    assert {"a.tif", "a.geojson", "a.csv", "b.png.csv"} <= set(names)
    for name in names:
        if name.endswith(".tif"):
            np.testing.assert_array_equal(read_labels(f"one/{name}"), read_labels(f"two/{name}"))
    assert len(read_masks("two/a.csv", (80, 90))) == int(rows_of("two")["a.png"]["objects"])

"""`napari-sam auto`: labels and exports tell the same, and mistakes get one sentence before any work."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
import zarr
from PIL import Image
from pycocotools import mask as coco_mask

from napari_sam.cli.main import main
from napari_sam.config.auto import AUTO_PRESETS
from napari_sam.io.images import read_image
from napari_sam.io.label_numbers import read_labels
from napari_sam.io.large_image import open_large_image
from napari_sam.io.mask_files import read_masks
from napari_sam.pipeline.auto_segment import AutoResult

CENTRES = ((30, 30), (30, 90), (85, 60))
# whatever the presets and the weights are, something is found
EASY = ["--preset", "natural", "--points-per-side", "8", "--pred-iou-thresh", "0", "--stability-score-thresh", "0.5"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with three bright discs, the same in a stack with an empty plane, and nothing at all."""
    rows, cols = np.mgrid[:120, :130]
    picture = np.random.default_rng(0).normal(30, 3, rows.shape)
    for row, col in CENTRES:
        picture[(rows - row) ** 2 + (cols - col) ** 2 < 14**2] += 120
    pixels = picture.astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cells.png")
    np.save(tmp_path / "stack.npy", np.stack([pixels, np.zeros_like(pixels), pixels[::-1]]))
    np.save(tmp_path / "nothing.npy", np.full((80, 90), 7, np.uint16))
    (tmp_path / "settings.toml").write_text('overlap = "score"\npoints_per_side = 5\nconditions = ["area>=20"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    """Run with --json and return the summary."""
    status = main(["auto", *arguments, "--json"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    assert captured.err == ""  # it is no terminal
    return json.loads(captured.out)


def test_exports_have_micrometres_where_the_image_says_how_large_pixels_are(folder, capsys):
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite("cells.ome.tif", np.asarray(Image.open("cells.png")), metadata={"axes": "YX", **size})
    run(capsys, "cells.ome.tif", "-o", "labels.tif", *EASY, "--export", "a.csv", "--export", "a.geojson")
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert rows
    for row in rows:
        assert float(row["area_um2"]) == float(row["area"]) / 4
        assert float(row["perimeter_um"]) == pytest.approx(float(row["perimeter"]) / 2)
    first = json.loads(Path("a.geojson").read_text())["features"][0]["properties"]["measurements"]
    assert first["area_um2"] == first["area"] / 4


def test_labels_and_every_export_tell_the_same(folder, capsys):
    exports = ["--export", "a.geojson", "--export", "a.zip", "--export", "a.csv", "--export-coco", "a.json"]
    summary = run(capsys, "cells.png", "-o", "labels.png", *EASY, *exports)
    labels = read_labels("labels.png")
    n = summary["count"]
    assert [entry["label"] for entry in summary["objects"]] == list(range(1, n + 1))
    assert set(np.unique(labels)) == set(range(n + 1))
    assert n > 1
    assert any(labels[centre] for centre in CENTRES)
    assert summary["exports"] == ["a.geojson", "a.zip", "a.csv", "a.json"]
    for name in summary["exports"]:
        for label, record in enumerate(read_masks(name, labels.shape), start=1):
            np.testing.assert_array_equal(record.mask, labels == label, err_msg=name)
    annotations = json.loads(Path("a.json").read_text())["annotations"]
    for label, annotation in enumerate(annotations, start=1):
        np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]) > 0, labels == label)
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    pixels = np.asarray(Image.open("cells.png"))
    assert [float(row["intensity_mean"]) for row in rows] == pytest.approx(
        [pixels[labels == label].mean() for label in range(1, n + 1)]
    )


def test_settings_come_from_preset_file_and_options_in_this_order(folder, capsys):
    more = ["--set", "min_area=11", "--set", "remove_background=False", "--set", "stability_score_offset=2"]
    more += ["--nesting", "root", "--condition", "eccentricity<.99", "--condition", "area>=25", "--mode", "fast"]
    summary = run(capsys, "cells.png", "-o", "l.npy", "--settings", "settings.toml", "--points-per-side", "4", *more)
    used = summary["settings"]
    preset = AUTO_PRESETS["cells"]  # the default for this model
    assert used["min_mask_region_area"] == preset["min_mask_region_area"] > 0
    assert used["overlap"] == "score"
    assert used["points_per_side"] == 4
    assert (used["min_area"], used["remove_background"], used["stability_score_offset"]) == (11, False, 2.0)
    assert (used["nesting"], used["mode"]) == ("root", "fast")
    assert used["conditions"] == ["eccentricity<.99", "area>=25"]
    natural = run(capsys, "cells.png", "-o", "l.npy", "--preset", "natural", "--points-per-side", "2")
    assert natural["settings"]["pred_iou_thresh"] == 0.88


def test_only_the_region_is_labelled(folder, capsys):
    run(capsys, "cells.png", "-o", "labels.tif", *EASY, "--region", "5,5,60,70")
    labels = read_labels("labels.tif")
    assert labels[5:60, 5:70].any()
    labels[5:60, 5:70] = 0
    assert not labels.any()


def test_a_constant_image_is_no_mistake_and_its_exports_are_valid(folder, capsys):
    names = ["n.json", "n.geojson", "n.zip", "n.csv"]
    exports = [word for name in names for word in ("--export", name)]
    assert run(capsys, "nothing.npy", "-o", "labels.png", *exports)["count"] == 0
    assert not read_labels("labels.png").any()
    assert read_labels("labels.png").shape == (80, 90)
    for name in names:
        assert read_masks(name, (80, 90)) == []
    assert json.loads(Path("n.json").read_text())["annotations"] == []
    assert roifile.roiread("n.zip") == []
    header = Path("n.csv").read_text().splitlines()
    assert len(header) == 1
    assert "intensity_mean" in header[0]


def test_a_plane_or_all_planes_of_a_stack(folder, capsys):
    run(capsys, "stack.npy", "-o", "one.tif", *EASY, "--plane", "2")
    summary = run(capsys, "stack.npy", "-o", "all.tif", *EASY, "--plane", "all", "--export", "all.csv")
    assert summary["exports"] == ["all_0.csv", "all_1.csv", "all_2.csv"]
    planes = [read_image("all.tif", (index,)) for index in range(3)]
    before = planes[0].max()
    assert before > 0
    assert not planes[1].any()
    one = read_labels("one.tif")
    np.testing.assert_array_equal(planes[2], np.where(one > 0, one + before, 0))  # no label means two objects
    labels = [entry["label"] for entry in summary["objects"]]
    assert labels == list(range(1, planes[2].max() + 1))
    rows = Path("all_2.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == labels[before:]


def test_a_plane_that_fails_is_named_and_the_rest_done(folder, capsys):
    zarr.create_array("stack", data=np.load("stack.npy"), chunks=(1, 120, 130))
    Path("stack/c/1/0").mkdir(parents=True, exist_ok=True)  # a chunk of zeros is none
    Path("stack/c/1/0/0").write_bytes(b"nonsense")
    assert main(["auto", "stack", "-o", "all.npy", *EASY, "--plane", "all"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Plane 1 was left out:")
    assert captured.err.count("\n") == 1
    labels = np.load("all.npy")
    assert [plane.any() for plane in labels] == [True, False, True]


@pytest.fixture
def searches(monkeypatch) -> list[dict[str, Any]]:
    """How each plane is looked at, instead of looking."""
    asked: list[dict[str, Any]] = []

    def search(generator, image, **how):
        asked.append({**how, "size": generator.settings.object_size, "shape": image.shape})
        return AutoResult(
            labels=np.ones(image.shape[:2], np.int32), records=[], features={"label": np.empty(0, np.int32)}
        )

    monkeypatch.setattr("napari_sam.pipeline.auto_segment.auto_segment", search)
    return asked


def test_brightness_and_size_are_those_of_the_whole_stack_whichever_plane_is_asked_for(folder, capsys, searches):
    stack = np.load("stack.npy").astype(np.uint16) * 10
    stack[1] = np.random.default_rng(0).integers(0, 5, stack.shape[1:])  # all but empty
    np.save("stack.npy", stack)
    run(capsys, "stack.npy", "-o", "all.tif", "--plane", "all")
    for plane in range(3):
        run(capsys, "stack.npy", "-o", f"{plane}.tif", "--plane", str(plane))
    assert len(searches) == 6
    assert len({each["normalization"] for each in searches}) == 1
    assert searches[0]["normalization"].high[0] > 1000
    assert len({each["size"] for each in searches}) == 1
    assert searches[0]["size"] > 0


@pytest.mark.parametrize("output", ["labels.zarr", "labels.tif", "labels.png"])
def test_labels_have_the_pixel_size_of_the_image(folder, capsys, searches, output):
    about = {"axes": "CYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite("a.ome.tif", np.zeros((2, 20, 30), np.uint16), ome=True, metadata=about)
    assert main(["auto", "a.ome.tif", "-o", output]) == 0
    capsys.readouterr()
    level = open_large_image(output).levels[0]
    assert level.scale == pytest.approx((0.5, 0.25), rel=1e-4)
    assert level.units == ("micrometer", "micrometer")


def test_nan_is_said_once_for_a_whole_stack(folder, capsys, searches):
    stack = np.load("stack.npy").astype(np.float32)
    stack[:, :, 100:] = np.nan
    np.save("stack.npy", stack)
    assert main(["auto", "stack.npy", "-o", "all.tif", "--plane", "all"]) == 0
    assert capsys.readouterr().err == (
        "Some pixels are NaN or infinite: they count as missing, are shown black and never labelled.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "points_per_side=0"], "points_per_side is 0"),
        (["--set", "points_per_side=many"], "points_per_side is 'many'"),
        (["--set", "colour=red"], "colour"),
        (["--set", "overlap"], "NAME=VALUE"),
        (["--set", "min_area=1", "--set", "min_area=2"], "twice"),
        (["--set", "min_area=1", "--min-area", "2"], "twice"),
        (["--min-area", "some"], "--min-area"),
        (["--pred-iou-thresh", "nan"], "pred_iou_thresh"),
        (["--mode", "slow"], "exact, fast"),
        (["--overlap", "mine"], "overlap"),
        (["--preset", "cats"], "natural"),
        (["--settings", "gone.toml"], "gone.toml"),
        (["--settings", "cells.png"], "cells.png"),
        (["--condition", "area"], "'area'"),
        (["--condition", "roundness>1"], "roundness"),
        (["--region", "0,0,500,10"], "region"),
        (["--region", "0,0,10"], "R0,C0,R1,C1"),
        (["--region", "0,0,10,2.5"], "whole numbers"),
        (["--plane", "x"], "--plane"),
        (["--plane", "1"], "plane"),
        (["--channels", "5"], "no channel 5"),
        (["--normalization", "9,1"], "low below"),
        (["--export", "labels.txt"], ".geojson"),
        (["--export", "gone/labels.csv"], "no folder"),
        (["--export-coco", "labels.csv"], ".json"),
        (["--model", "cels"], "did you mean 'cells'"),
        (["--checkpoint", "gone.pth"], "gone.pth"),
        (["--device", "toaster"], "device"),
        (["-o", "labels.gif"], ".tif"),
        (["-o", "cells.png"], "replace the input"),
        (["-o", "gone/labels.png"], "no folder"),
    ],
)
def test_mistakes_get_one_sentence_and_status_2(arguments, says, folder, capsys):
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert main(["auto", "cells.png", "-o", "labels.png", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stack.npy", "-o", "labels.tif"], "--plane"),
        (["stack.npy", "-o", "labels.png", "--plane", "all"], ".tif or .npy"),
        (["stack.npy", "-o", "labels.tif", "--plane", "7"], "no plane 7"),
        (["gone.png", "-o", "labels.tif", "--plane", "all"], "gone.png"),
        (["gone.png", "-o", "labels.tif"], "gone.png"),
    ],
)
def test_mistakes_with_stacks(arguments, says, folder, capsys):
    assert main(["auto", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert says in captured.err


def test_too_little_memory_is_one_sentence(folder, capsys, monkeypatch):
    def swallow(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 40 TiB")

    monkeypatch.setattr("napari_sam.pipeline.auto_segment.auto_segment", swallow)
    assert main(["auto", "cells.png", "-o", "labels.png"]) == 2
    assert "not enough memory (Unable to allocate 40 TiB)" in capsys.readouterr().err


def test_an_interrupt_writes_nothing(folder, capsys, monkeypatch):
    from napari_sam.pipeline import auto_segment as module

    planes = iter((module.auto_segment, None))

    def interrupted(*arguments: object, **more: object) -> object:
        if (work := next(planes)) is None:
            raise KeyboardInterrupt
        return work(*arguments, **more)

    monkeypatch.setattr(module, "auto_segment", interrupted)
    before = sorted(folder.iterdir())
    assert main(["auto", "stack.npy", "-o", "all.tif", "--plane", "all", "--export", "masks.json", *EASY]) == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert sorted(folder.iterdir()) == before

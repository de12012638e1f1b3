"""`napari-sam evaluate` as a user calls it, with a tiny model in place of the named one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.cli.main import main
from napari_sam.data.synthetic import synthetic_sample


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tiny_cell_model):
    """Let every name stand for the tiny model."""
    monkeypatch.setattr("napari_sam.model.load.load_model", lambda *_, **__: tiny_cell_model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("images", "labels"):
        (tmp_path / "nuclei" / part).mkdir(parents=True)
    for i in range(3):
        sample = synthetic_sample(np.random.default_rng(i), (64, 64), "nuclei", count=3)
        Image.fromarray(sample.image).save(tmp_path / "nuclei" / "images" / f"{i}.png")
        Image.fromarray(sample.labels.astype(np.uint16)).save(tmp_path / "nuclei" / "labels" / f"{i}.png")
    (tmp_path / "index.csv").write_text("id,group\n0,a\n1,a\n2,b\n")
    return tmp_path / "nuclei"


@pytest.mark.parametrize(
    ("command", "options", "baseline", "keys"),
    [
        ("point", ["--rounds", "3"], "flood", {"one_click", "best_of_three", "three_clicks", "box", "round_3"}),
        ("boxes", ["--seed", "2"], "slic", {"box", "boundary_f", "score_correlation", "by_image"}),
        ("auto", ["--settings", "settings.toml"], "otsu", {"msa", "ap50", "ap75", "precision", "recall", "boundary_f"}),
    ],
)
def test_three_reports_of_one_run(command, options, baseline, keys, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").write_text("points_per_side = 4\npred_iou_thresh = 0.0\nstability_score_thresh = 0.0\n")
    outputs = ["-o", "r.json", "-o", "r.csv", "-o", "r.html"]
    status = main(["evaluate", command, str(folder), "--baseline", baseline, *options, *outputs, "--json"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    summary = json.loads(captured.out)
    assert json.loads(Path("r.json").read_text()) == summary
    assert keys <= summary["all"].keys() | summary["groups"]["a"].keys()
    assert set(summary["groups"]) == {"a", "b"}
    assert summary["baselines"][baseline]["all"]["images"] == summary["all"]["images"] == 3
    assert set(summary["all"]["intervals"]) <= set(summary["all"])
    rows = list(csv.DictReader(Path("r.csv").read_text().splitlines()))
    per_method = 3 if command == "auto" else summary["all"]["objects"]
    assert [row["method"] for row in rows].count("model") == per_method
    assert len(rows) == 2 * per_method
    page = Path("r.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "cells on nuclei" in page


def test_a_table_is_printed(folder, capsys):
    assert main(["evaluate", "boxes", str(folder), "--limit", "2", "--max-objects", "1", "--baseline", "otsu"]) == 0
    printed = capsys.readouterr().out
    assert "boundary F" in printed
    assert printed.count("otsu") == 3  # two groups and all


def test_no_objects_are_named(folder, capsys):
    for file in (folder / "labels").iterdir():
        Image.fromarray(np.zeros((64, 64), np.uint16)).save(file)
    assert main(["evaluate", "point", str(folder)]) == 2
    assert "no objects" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["point", "--baseline", "unet"], "otsu, otsu_watershed, flood, slic"),
        (["auto", "--baseline", "flood"], "otsu, otsu_watershed"),
        (["boxes", "-o", "report.pdf"], ".json, .csv or .html"),
        (["boxes", "-o", "gone/report.csv"], "no folder"),
        (["point", "--rounds", "0"], "--rounds"),
    ],
)
def test_mistakes_get_one_sentence(arguments, says, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", arguments[0], str(folder), *arguments[1:]]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err

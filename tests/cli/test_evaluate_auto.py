"""`napari-sam evaluate auto`: the bundled model on pictures of bright discs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    rows, cols = np.mgrid[:128, :128]
    for number in range(2):
        labels = np.zeros((128, 128), np.uint16)
        for label, (row, col) in enumerate(((32, 32), (32, 96), (96, 64 + 20 * number)), start=1):
            labels[(rows - row) ** 2 + (cols - col) ** 2 < 15**2] = label
        picture = np.random.default_rng(number).normal(30, 3, labels.shape) + 120 * (labels > 0)
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "set" / "images" / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / "set" / "labels" / f"{number}.png")
    (tmp_path / "settings.toml").write_text('points_per_side = 8\npred_iou_thresh = 0.3\noverlap = "score"\n')
    return tmp_path / "set"


def test_a_data_set_gets_a_summary(folder, tmp_path, capsys):
    report = tmp_path / "report.json"
    common = ["evaluate", "auto", str(folder), "--settings", str(tmp_path / "settings.toml"), "--limit", "1"]
    assert main([*common, "--mode", "exact", "-o", str(report), "--json"]) == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert json.loads(report.read_text()) == summary
    assert summary["settings"]["overlap"] == "score"
    assert summary["settings"]["min_area"] == 15  # of the preset
    assert [score["image"] for score in summary["by_image"]] == ["0"]
    assert summary["all"]["objects"] == 3
    assert summary["all"]["mean_iou"] > 0.3
    assert summary["all"]["seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mode", "slow"], "exact, fast"),
        (["--preset", "cats"], "natural"),
        (["--settings", "gone.toml"], "gone.toml"),
        (["-o", "gone/report.json"], "no folder"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_mistakes_get_one_sentence(arguments, says, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "auto", str(folder), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err

"""`napari-sam train-text` and `evaluate text` from beginning to end on a tiny CLIP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clip_tiny import TINY_CLIP
from data_folders import write_folder
from napari_sam.cli.main import main
from napari_sam.model.clip import build_clip
from napari_sam.model.clip_towers import CLIP_SPECS
from napari_sam.model.load import load_model


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setitem(CLIP_SPECS, "clip_bundled", TINY_CLIP)
    return write_folder(tmp_path / "train", ["a", "b"])


def test_a_text_head_makes_texts_prompts(folder, tmp_path, capsys, monkeypatch):
    clip = build_clip()
    monkeypatch.setattr("napari_sam.model.clip.load_clip", lambda name, **_: clip)
    command = ["train", "--mode", "text", "--data", str(folder), "--steps", "2", "--batch", "1", "--device", "cpu"]
    assert main([*command, "-o", str(tmp_path / "head"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["steps"] == 2
    model = load_model("cells", checkpoint=made["model"], device="cpu")
    assert model.text_head.clip_fingerprint == clip.fingerprint
    bundled = load_model("cells", device="cpu")
    assert model.fingerprint == bundled.fingerprint
    assert model.text_fingerprint != bundled.text_fingerprint
    assert main([*command, "-o", str(tmp_path / "other"), "--from", made["model"], "--lr", "-1"]) == 2
    assert "lr" in capsys.readouterr().err


def test_train_then_evaluate(folder, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["train-text", "--data", str(folder), "--preset", "quick", "--device", "cpu", "-o", str(run), "--json"]
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["steps"] == 4
    assert main(command) == 2  # not overwritten
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--resume", "--steps", "6"]) == 0
    capsys.readouterr()
    report = tmp_path / "report.json"
    judged = ["evaluate", "text", str(folder), "--clip-checkpoint", made["model"], "--no-masks", "--scenes", "6"]
    assert main([*judged, "--device", "cpu", "-o", str(report), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert json.loads(report.read_text()) == summary
    assert {"size", "brightness"} <= {*summary["retrieval"]["groups"]}
    assert 0 < summary["retrieval"]["all"]["average_precision"] <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train-text", "--data", "gone"], "gone"),
        (["train-text", "--preset", "slow"], "bundled"),
        (["train-text", "--scenes", "0"], "training data"),
        (["evaluate", "text", "x", "-o", "page.html"], ".json or .csv"),
    ],
)
def test_mistakes_get_one_sentence(arguments, says, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err

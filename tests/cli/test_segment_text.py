"""`napari-sam segment --text`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from clip_helpers import ColourClip, discs
from napari_sam.cli.main import main
from napari_sam.io.images import read_labels


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sam.model.clip.load_clip", lambda name, device: ColourClip(["red", "blue"]))
    Image.fromarray(discs()[0]).save(tmp_path / "discs.png")
    return tmp_path / "discs.png"


def run(picture, *options: str) -> int:
    return main(["segment", str(picture), "-o", str(picture.with_name("labels.tif")), *options])


def test_texts_make_one_label_image(picture, capsys):
    assert run(picture, "--text", "blue", "--text", "red ones", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    labels = read_labels(picture.with_name("labels.tif"))
    assert summary["count"] == labels.max() == 3
    assert [entry["text"] for entry in summary["objects"]] == ["blue", "red ones", "red ones"]
    truth = discs()[1]
    assert labels[85, 120] == 1
    assert {labels[30, 30], labels[30, 100]} == {2, 3}
    assert labels[85, 40] == 0 != truth[85, 40]


def test_what_was_found_and_what_is_not_known_is_said(picture, capsys):
    assert run(picture, "--text", "blue", "--text", "zebra", "--top-k", "1", "--set", "exclusive=false") == 0
    captured = capsys.readouterr()
    assert "1 of 'blue', 0 of 'zebra'" in captured.out
    assert "never trained on 'zebra'" in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", " "], "empty"),
        (["--text", "red", "--point", "3,4"], "in one way"),
        (["--text", "red", "--threshold", "7"], "threshold"),
        (["--text", "red", "--route", "walk"], "choose one of rank, prompt"),
        (["--text", "red", "--route", "prompt"], "no text head"),
        (["--text", "red", "--threshold", "0.7", "--set", "threshold=0.6"], "given twice"),
        (["--text", "red", "--set", "colour=red"], "colour"),
        (["--text", "red", "--model", "sells"], "cells"),
    ],
)
def test_unusable_options_are_one_sentence(picture, capsys, options, message):
    assert run(picture, *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not picture.with_name("labels.tif").exists()


def test_an_unknown_clip_is_one_sentence(tmp_path, capsys):
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    out = tmp_path / "l.png"
    assert main(["segment", str(tmp_path / "a.png"), "-o", str(out), "--text", "red", "--clip", "clap"]) == 2
    assert "Unknown CLIP 'clap'" in capsys.readouterr().err

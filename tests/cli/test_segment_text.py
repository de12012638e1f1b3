"""`napari-sam segment --text`."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from PIL import Image

from clip_helpers import ColourClip, discs
from napari_sam.cli.main import main
from napari_sam.inference.predictor import Predictor
from napari_sam.io.label_numbers import read_labels
from napari_sam.model.clip import build_clip


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sam.model.clip.load_clip", lambda name, device, progress: ColourClip(["red", "blue"]))
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
        (["--text", "red", "--prompts", "p.csv"], "in one way"),
        (["--text", "red", "--replay", "j.jsonl"], "in one way"),
        (["--text", "red", "--point", "3,4", "--text", "blue"], "2 texts beside points"),
        (["--text", " ", "--point", "3,4"], "empty"),
        (["--text", "red", "--point", "3,4", "--threshold", "0"], "--threshold is for --text alone"),
        (["--text", "red", "--box", "3,4,9,9", "--top-k", "2"], "--top-k is for --text alone"),
        (["--point", "3,4", "--set", "exclusive=false"], "--set is for --text alone"),
        (["--text", "red", "--threshold", "7"], "threshold"),
        (["--text", "red", "--route", "walk"], "choose one of rank, prompt"),
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


@pytest.fixture
def named(picture, tiny_cell_model, monkeypatch):
    """Load a model with a text head by any name; return what it predicts on the picture."""
    clip, model = build_clip(), copy.deepcopy(tiny_cell_model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_text_head(clip.width).belong_to(clip.fingerprint)
    known = {"bundled": clip, "other": build_clip(seed=1)}
    monkeypatch.setattr("napari_sam.model.load.load_model", lambda name, **_: model)
    monkeypatch.setattr("napari_sam.inference.text_prompts.load_clip", lambda name, **_: known[name])
    predictor = Predictor(model, clip=clip)
    predictor.set_image(discs()[0])
    return predictor


def test_a_text_beside_points_prompts_one_object(picture, named):
    assert run(picture, "--point", "30,30", "--negative", "80,40", "--text", "bright nuclei", "--route", "prompt") == 0
    expected = named.predict([(30, 30), (80, 40)], [1, 0], text="bright nuclei").masks[0]
    assert expected.any()
    np.testing.assert_array_equal(read_labels(picture.with_name("labels.tif")), expected)
    assert (expected != named.predict([(30, 30), (80, 40)], [1, 0]).masks[0]).any()


def test_boxes_share_a_text(picture, named):
    boxes = [(15, 15, 45, 45), (70, 105, 100, 135)]
    options = [word for box in boxes for word in ("--box", ",".join(map(str, box)))]
    assert run(picture, *options, "--text", "bright nuclei") == 0
    labels = read_labels(picture.with_name("labels.tif"))
    first, second = (named.predict(box=box, text="bright nuclei").masks[0] for box in boxes)
    np.testing.assert_array_equal(labels, np.where(first, 1, np.where(second, 2, 0)))


def test_a_table_holds_texts(picture, named):
    table, rows = picture.with_name("prompts.csv"), "object_id,kind,row,col,text\n1,point,30,30,{}\n"
    seen = []
    for text in ("bright nuclei", ""):
        table.write_text(rows.format(text))
        assert run(picture, "--prompts", str(table)) == 0
        seen.append(read_labels(picture.with_name("labels.tif")))
    np.testing.assert_array_equal(seen[0], named.predict([(30, 30)], text="bright nuclei").masks[0])
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize(
    "options",
    [["--point", "30,30", "--text", "red"], ["--prompts", "prompts.csv"], ["--text", "red", "--route", "prompt"]],
)
def test_a_clip_or_model_that_does_not_fit_writes_nothing(picture, named, monkeypatch, capsys, options):
    monkeypatch.chdir(picture.parent)
    picture.with_name("prompts.csv").write_text("object_id,kind,row,col,text\n1,point,30,30,\n2,point,85,40,red\n")
    assert run(picture, *options, "--clip", "other") == 2
    assert "not trained with the CLIP" in capsys.readouterr().err
    monkeypatch.setattr(named.model, "text_head", None)
    assert run(picture, *options) == 2
    captured = capsys.readouterr()
    assert "no text head" in captured.err
    assert captured.err.count("\n") == 1
    assert not picture.with_name("labels.tif").exists()

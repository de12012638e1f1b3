"""The command line: what it does, and one sentence with exit status 2 for what it cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.cli.main import main
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.io.journal import digest_array, pack_array
from napari_sam.io.label_numbers import read_labels
from napari_sam.model.load import load_model


@pytest.fixture
def image(tmp_path: Path) -> Path:
    picture = np.random.default_rng(0).normal(30, 3, (120, 130))
    rows, cols = np.mgrid[:120, :130]
    for row, col in ((30, 30), (30, 90), (85, 60)):
        picture[(rows - row) ** 2 + (cols - col) ** 2 < 14**2] += 120
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "cells.png")
    return tmp_path / "cells.png"


def test_points_make_one_object(image, tmp_path, capsys):
    out = tmp_path / "labels.png"
    status = main(["segment", str(image), "-o", str(out), "--point", "30,30", "--negative", "60,100", "--json"])
    assert status == 0
    summary = json.loads(capsys.readouterr().out)
    labels = read_labels(out)
    assert summary["count"] == 1
    assert labels[30, 30] == 1
    assert set(np.unique(labels)) == {0, 1}


def test_boxes_make_one_object_each(image, tmp_path):
    out = tmp_path / "labels.tif"
    assert main(["segment", str(image), "-o", str(out), "--box", "14,14,46,46", "--box", "69,44,101,76"]) == 0
    labels = read_labels(out)
    assert labels[30, 30] == 1
    assert labels[85, 60] == 2


def test_a_table_with_a_bad_object_does_the_rest_and_exits_1(image, tmp_path, capsys):
    table = tmp_path / "p.csv"
    table.write_text("object_id,kind,row,col\n3,point,30,30\n4,point,900,30\n")
    out = tmp_path / "labels.npy"
    assert main(["segment", str(image), "-o", str(out), "--prompts", str(table)]) == 1
    assert "Object 4" in capsys.readouterr().err
    assert set(np.unique(read_labels(out))) == {0, 3}


def test_a_mask_is_a_prompt(image, tmp_path):
    rough = np.zeros((120, 130), np.uint8)
    rough[20:42, 20:38] = 255
    Image.fromarray(rough).save(tmp_path / "rough.png")
    out = tmp_path / "labels.png"
    assert main(["segment", str(image), "-o", str(out), "--mask", str(tmp_path / "rough.png")]) == 0
    assert read_labels(out)[30, 30] == 1


def test_a_journal_is_replayed(image, tmp_path, capsys):
    pixels = np.asarray(Image.open(image))
    base = np.zeros(pixels.shape, np.int32)
    base[0, 0] = 9
    events = [
        {"event": "session", "version": 1},
        {"event": "image", "id": 0, "plane": [], "shape": list(pixels.shape), "digest": digest_array(pixels),
         "normalization": {"low": [20.0], "high": [160.0]}, "fingerprint": load_model().fingerprint},
        {"event": "base", "image": 0, "labels": pack_array(base)},
        {"event": "predict", "id": 0, "image": 0, "points": [[30, 30]], "labels": [1], "box": None},
        {"event": "commit", "predict": 0, "candidate": 0, "label": 10, "overwrite": False, "image": 0},
    ]  # fmt: skip
    journal = tmp_path / "j.jsonl"
    journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    out = tmp_path / "labels.tif"
    assert main(["segment", str(image), "-o", str(out), "--replay", str(journal)]) == 0, capsys.readouterr().err
    assert set(np.unique(read_labels(out))) == {0, 9, 10}
    assert main(["segment", str(image), "-o", str(out), "--replay", str(journal), "--plane", "3"]) == 2


def test_a_journal_with_two_ways_of_seeing_a_plane_is_replayed(image, tmp_path, capsys):
    pixels = np.asarray(Image.open(image))
    seen = {
        "event": "image", "plane": [], "shape": list(pixels.shape), "digest": digest_array(pixels),
        "normalization": {"low": [20.0], "high": [160.0]}, "fingerprint": load_model().fingerprint,
    }  # fmt: skip
    base = np.zeros(pixels.shape, np.int32)
    base[0, 0] = 9
    events = [
        {"event": "session", "version": 1},
        {**seen, "id": 1},
        {"event": "predict", "id": 1, "image": 1, "points": [[30, 30]], "labels": [1], "box": None},
        {"event": "commit", "predict": 1, "candidate": 0, "label": 1, "overwrite": False},
        {**seen, "id": 2, "normalization": {"low": [0.0], "high": [255.0]}},
        {"event": "predict", "id": 2, "image": 2, "points": [[30, 90]], "labels": [1], "box": None},
        {"event": "base", "image": 2, "labels": pack_array(base)},
        {"event": "commit", "predict": 2, "candidate": 0, "label": 10, "overwrite": False},
        {**seen, "id": 3, "digest": "0" * 32},
    ]
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    out = tmp_path / "labels.tif"
    status = main(["segment", str(image), "-o", str(out), "--replay", str(tmp_path / "j.jsonl")])
    assert status == 0, capsys.readouterr().err
    labels = read_labels(out)
    assert set(np.unique(labels)) == {0, 9, 10}
    assert labels[30, 90] == 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["segment", "IMAGE", "-o", "OUT.png"], "one way"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3,4", "--prompts", "x.csv"], "one way"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3"], "ROW,COL"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "a,b"], "numbers"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "500,5"], "outside"),
        (["segment", "IMAGE", "-o", "OUT.png", "--box", "9,9,3,3"], "no area"),
        (["segment", "IMAGE", "-o", "OUT.png", "--box", "9,9,3"], "R0,C0,R1,C1"),
        (["segment", "IMAGE", "-o", "OUT.gif", "--point", "3,4"], ".tif"),
        (["segment", "IMAGE", "-o", "IMAGE", "--point", "3,4"], "replace the input"),
        (["segment", "IMAGE", "-o", "gone/OUT.png", "--point", "3,4"], "no folder"),
        (["segment", "gone.png", "-o", "OUT.png", "--point", "3,4"], "gone.png"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3,4", "--model", "cels"], "did you mean 'cells'"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3,4", "--checkpoint", "gone.pth"], "gone.pth"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3,4", "--normalization", "9,1"], "low below"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3,4", "--channels", "5"], "no channel 5"),
        (["segment", "IMAGE", "-o", "OUT.png", "--point", "3,4", "--device", "toaster"], "device"),
        (["segment", "IMAGE", "-o", "OUT.png", "--replay", "gone.jsonl"], "gone.jsonl"),
        (["segment"], "image"),
        (["segmnt"], "segmnt"),
        (["models", "verify", "vit_bb"], "did you mean"),
        (["models", "import", "vit_b", "gone.pth"], "gone.pth"),
        (["evaluate", "point", "gone"], "images"),
        (["evaluate", "nonsense"], "nonsense"),
        (["train"], "No training data"),
        (["train", "gone.toml"], "gone.toml"),
        (["train", "--preset", "fast", "--synthetic", "1"], "preset"),
        (["train", "--steps", "many"], "--steps"),
    ],
)
def test_mistakes_get_one_sentence_and_status_2(arguments, says, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    before = sorted(tmp_path.iterdir())
    status = main([argument.replace("IMAGE", image.name) for argument in arguments])
    captured = capsys.readouterr()
    assert status == 2, captured
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert "Traceback" not in captured.err
    assert sorted(tmp_path.iterdir()) == before


def test_verbose_shows_the_traceback(tmp_path, capsys):
    assert main(["segment", "gone.png", "-o", str(tmp_path / "a.png"), "--point", "1,1", "--verbose"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_models_are_listed_and_verified(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["cells"]["state"] == "bundled"
    assert rows["vit_b"]["state"] == "not downloaded"
    assert main(["models", "verify", "cells"]) == 0
    assert main(["models", "verify", "vit_b"]) == 1


def test_train_then_evaluate(tmp_path, capsys):
    folder = tmp_path / "data"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for i in range(2):
        sample = synthetic_sample(np.random.default_rng(i), (96, 96), "nuclei", count=5)
        Image.fromarray(sample.image).save(folder / "images" / f"{i}.png")
        Image.fromarray(sample.labels.astype(np.uint16)).save(folder / "labels" / f"{i}.png")
    run = tmp_path / "run"
    common = ["train", "--data", str(folder), "--output", str(run), "--preset", "quick", "--batch", "1"]
    assert main([*common, "--steps", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(run / "model.safetensors")
    assert main([*common, "--steps", "2"]) == 2
    assert main([*common, "--steps", "2", "--resume"]) == 0
    capsys.readouterr()
    checkpoint = ["--checkpoint", str(run / "model.safetensors")]
    report = tmp_path / "report.json"
    status = main(["evaluate", "point", str(folder), *checkpoint, "--max-objects", "1", "-o", str(report), "--json"])
    assert status == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["all"]["images"] == 2
    assert summary["all"]["objects"] == 2
    assert json.loads(report.read_text()) == summary


def test_help_is_quick_and_needs_no_torch():
    code = "import sys; from napari_sam.cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("segment", "cells.png", "-o", "d/../cells.png", "--point", "30,30"),
        ("segment", "link.png", "-o", "cells.png", "--point", "30,30"),
        ("segment", "cells.png", "-o", "d/../rough.png", "--mask", "rough.png"),
        ("auto", "cells.png", "-o", "link.png"),
        ("auto", "link.png", "-o", "cells.png"),
        ("auto", "cells.png", "-o", "l.png", "--settings", "s.json", "--export", "d/../s.json"),
        ("evaluate", "auto", "data", "-o", "data/index.csv"),
        ("evaluate", "point", "data", "-o", "d/../data/index.csv"),
        ("export", "cells", "--checkpoint", "mine.pth", "-o", "d/../mine.pth"),
    ],
)
def test_no_output_replaces_what_is_read(image, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    for folder in ("d", "data"):
        Path(folder).mkdir()
    Path("link.png").symlink_to("cells.png")
    Image.fromarray(np.ones((120, 130), np.uint8)).save("rough.png")
    for name in ("s.json", "mine.pth", "data/index.csv"):
        Path(name).write_text("id,group\n")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert main(list(arguments)) == 2
    assert "would replace" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before

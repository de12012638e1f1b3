"""`make text-weights` from nothing but data folders, in small."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from clip_tiny import TINY_CLIP
from data_folders import write_folder
from napari_sam.model.clip import load_clip
from napari_sam.model.clip_towers import CLIP_SPECS
from napari_sam.model.load import load_model

ROOT = Path(__file__).parents[1]
NAMES = ("weights", "recipe", "words", "retrieval", "masks")
CARD = "Prose.\n" + "".join(f"<!-- made: {name} -->\nold\n<!-- end of {name} -->\n" for name in NAMES)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    monkeypatch.setitem(CLIP_SPECS, "clip_bundled", TINY_CLIP)
    spec = importlib.util.spec_from_file_location("make_text_weights", ROOT / "scripts" / "make_text_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def options(recipe, tmp_path) -> list[str]:
    for name in {*(name.split("?")[0] for name in recipe.TRAINING), "dsb2018/val", "dsb2018/test"}:
        write_folder(tmp_path / "data" / name, list("abcde"))
    (tmp_path / "card.md").write_text(CARD)
    paths = {
        "data": "data",
        "run": "run",
        "weights": "text.safetensors",
        "cells": "cells.safetensors",
        "card": "card.md",
    }
    pairs = [word for name, path in paths.items() for word in (f"--{name}", str(tmp_path / path))]
    return [*pairs, "--preset", "quick", "--limit", "2", "--scenes", "4", "--head-steps", "2", "--device", "cpu"]


def test_the_whole_recipe(options, recipe, tmp_path, capsys):
    assert recipe.main(options) == 0, capsys.readouterr().err
    card = (tmp_path / "card.md").read_text()
    clip = load_clip("bundled", checkpoint=tmp_path / "text.safetensors", device="cpu")
    assert clip.fingerprint in card
    assert load_model("cells", checkpoint=tmp_path / "cells.safetensors").text_fingerprint in card
    assert f"temperature {clip.temperature:.2f}" in card
    assert "old" not in card.split("<!-- made: masks -->")[0]
    assert str(tmp_path) not in card  # a reader's machine has other folders
    report = json.loads((tmp_path / "run" / "evaluation" / "text-test-2.json").read_text())
    assert report["clip_weights"] == clip.fingerprint
    part = report["retrieval"]["groups"]["size"]
    assert f"| size | {part['queries']} | {part['average_precision']:.3f}" in card
    bundled, cells = load_model("cells"), load_model("cells", checkpoint=tmp_path / "cells.safetensors")
    assert cells.fingerprint == bundled.fingerprint
    assert cells.text_head.clip_fingerprint == clip.fingerprint
    capsys.readouterr()
    assert recipe.main(options) == 0  # done already: nothing is trained or evaluated anew
    done = capsys.readouterr().out
    assert "evaluate" not in done
    assert "--mode text" not in done


def test_only_permitted_data_trains(recipe):
    command = recipe.train_command(recipe.parse([]))
    trained = [word for word in command if "train_extra" in word or "dsb2018" in word]
    assert len(trained) == 5
    assert not [word for word in trained if any(bad in word for bad in ("test", "val", "chase", "isic"))]


def test_a_trial_does_not_replace_the_bundled_weights(recipe, capsys, tmp_path):
    assert recipe.main(["--limit", "1", "--run", str(tmp_path / "run")]) == 2
    assert "--weights, --cells and --card" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_bundled_card_can_be_filled(recipe):
    recipe.check_targets(recipe.parse([]))

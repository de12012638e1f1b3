"""`make weights` from nothing but data folders, in small: train, evaluate, write the file and the card's tables."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from skimage.io import imsave

from napari_sam.errors import InputError
from napari_sam.model.build import SPECS
from napari_sam.model.load import load_model

ROOT = Path(__file__).parents[1]
CARD = """# The model
Prose before.
<!-- made: weights -->
old
<!-- end of weights -->
<!-- made: recipe -->
<!-- end of recipe -->
Prose between, with a backslash \\1.
<!-- made: point -->
old
<!-- end of point -->
<!-- made: auto -->
<!-- end of auto -->
Prose after.
"""


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_weights", ROOT / "scripts" / "make_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_data(folder: Path, seed: int, count: int = 2) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:64, :64]
    for number in range(count):
        labels = np.zeros((64, 64), np.uint16)
        for label, (row, col) in enumerate(((18, 18), (44, 46)), start=1):
            labels[np.hypot(rows - row - rng.integers(-4, 5), cols - col - rng.integers(-4, 5)) < 8] = label
        image = (60 + 120 * (labels > 0) + rng.integers(0, 20, labels.shape)).astype(np.uint8)
        imsave(folder / "images" / f"{number}.png", image, check_contrast=False)
        imsave(folder / "labels" / f"{number}.png", labels, check_contrast=False)


@pytest.fixture
def options(tmp_path, monkeypatch, tiny_spec_cell, recipe) -> list[str]:
    monkeypatch.setitem(SPECS, "cells", dataclasses.replace(tiny_spec_cell, architecture="cells"))
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    names = [*(name.split("?")[0] for name in recipe.TRAINING), "dsb2018/val", "dsb2018/test"]
    for seed, name in enumerate(names):
        write_data(tmp_path / "data" / name, seed)
    (tmp_path / "card.md").write_text(CARD)
    paths = {"data": "data", "run": "run", "weights": "cells.safetensors", "card": "card.md"}
    pairs = [word for name, path in paths.items() for word in (f"--{name}", str(tmp_path / path))]
    return [*pairs, "--preset", "quick", "--steps", "4", "--limit", "1", "--device", "cpu"]


def test_the_whole_recipe(options, recipe, tmp_path, capsys):
    assert recipe.main(options) == 0, capsys.readouterr().err
    model = load_model("cells", checkpoint=tmp_path / "cells.safetensors", device="cpu")
    card = (tmp_path / "card.md").read_text()
    for prose in ("Prose before.", "Prose between, with a backslash \\1.", "Prose after."):
        assert prose in card
    assert "old" not in card
    assert model.fingerprint in card
    assert str(tmp_path) not in card  # a reader's machine has other folders
    assert "train_extra/axon_sem" in card
    for protocol in ("point", "auto"):
        for split in ("val", "test"):
            report = json.loads((tmp_path / "run" / "evaluation" / f"{protocol}-{split}-1.json").read_text())
            assert report["weights"] == model.fingerprint
            shown = report["all"]["one_click" if protocol == "point" else "msa"]
            assert f"| all | model | 1 | {report['all']['objects']} | {shown:.3f}" in card
            assert f"{report['baselines']['otsu_watershed']['all']['objects']} |" in card
    before = card, (tmp_path / "cells.safetensors").read_bytes()
    capsys.readouterr()
    assert recipe.main(options) == 0  # done already: the same outcome, and no evaluation anew
    assert "evaluate" not in capsys.readouterr().out
    assert before == ((tmp_path / "card.md").read_text(), (tmp_path / "cells.safetensors").read_bytes())


def test_an_interrupted_recipe_goes_on(options, recipe, tmp_path):
    from napari_sam.training import loop

    class Stopped(Exception):
        pass

    def stop(*_: object) -> float:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda _, step, minutes: stop() if step == 12 else 1e-4)
        with pytest.raises(Stopped):
            recipe.main([*options, "--steps", "14"])
    assert not (tmp_path / "cells.safetensors").exists()
    assert (tmp_path / "card.md").read_text() == CARD
    assert recipe.main([*options, "--steps", "14"]) == 0
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 15


def test_nothing_is_trained_without_what_is_needed(options, recipe, tmp_path, capsys):
    (tmp_path / "card.md").write_text(CARD.replace("<!-- made: auto -->", ""))
    assert recipe.main(options) == 2
    assert "<!-- made: auto -->" in capsys.readouterr().err
    (tmp_path / "card.md").write_text(CARD)
    shutil.rmtree(tmp_path / "data" / "train_extra" / "axon_sem")
    assert recipe.main(options) == 2
    assert "axon_sem" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_only_permitted_data_trains(recipe):
    command = recipe.train_command(recipe.parse([]))
    trained = [word for word in command if "train_extra" in word or "dsb2018" in word]
    assert len(trained) == 5
    assert not [word for word in trained if any(bad in word for bad in ("test", "val", "chase", "isic"))]


def test_a_trial_does_not_replace_the_bundled_weights(recipe, capsys, tmp_path):
    assert recipe.main(["--limit", "1", "--run", str(tmp_path / "run")]) == 2
    assert "--weights and --card" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_marker_once(recipe):
    with pytest.raises(InputError, match="2 sections weights"):
        recipe.fill_card(CARD + CARD, {"weights": "x"})

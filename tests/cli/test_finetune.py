"""Fine-tuning and export from the command line, on a tiny model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from skimage.io import imsave
from typer.testing import CliRunner

from napari_sam.cli.export import export
from napari_sam.cli.finetune import run_finetuning
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.model.export import export_model
from napari_sam.model.load import load_model

QUICK = {"steps": 3, "batch": 2, "prompts": 2, "rounds": 1, "views": 2, "score_every": 2, "score_objects": 2}


@pytest.fixture
def base(tiny_spec_cell, monkeypatch, tmp_path) -> Path:
    """Weights of a tiny model that counts as the architecture `cells`."""
    spec = dataclasses.replace(tiny_spec_cell, architecture="cells")
    monkeypatch.setitem(SPECS, "cells", spec)
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path / "data"))
    return export_model(build_from_spec(spec, seed=1), tmp_path / "base.safetensors")[0]


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "blobs"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    row, col = np.ogrid[:60, :60]
    for number in range(4):
        labels = (np.hypot(row - rng.integers(15, 45), col - rng.integers(15, 45)) < 9).astype(np.uint16)
        imsave(folder / "images" / f"{number}.png", (labels * 150 + 30).astype(np.uint8), check_contrast=False)
        imsave(folder / "labels" / f"{number}.png", labels, check_contrast=False)
    return folder


def test_a_fine_tuned_model_is_in_the_list(base, data, capsys):
    run_finetuning(str(base), "decoder", [data], name="blobs", held_out=0.3, overrides=QUICK, json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["name"] == "blobs"
    assert len(summary["one_click"]) == 2
    card = Path(summary["card"]).read_text()
    assert str(data) in card
    assert load_model("blobs", device="cpu").spec.architecture == "cells"
    run_finetuning("blobs", "lora", [data], held_out=0.0, overrides=QUICK)  # from there on, another way
    said = capsys.readouterr()
    assert "in the list as blobs_blobs." in said.out
    assert "\x1b" not in said.err
    assert load_model("blobs_blobs", device="cpu").fingerprint != load_model("blobs", device="cpu").fingerprint


def test_a_folder_of_held_out_images_may_be_named(base, data, capsys):
    run_finetuning(str(base), "all", [data], name="blobs", test=data, overrides=QUICK)
    assert "One click: 0." in capsys.readouterr().out
    assert "of 4 held-out images" in next((data.parent / "data").rglob("blobs.md")).read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "some"}, "decoder, lora, all"),
        ({"name": "cells"}, "belongs to a model"),
        ({"held_out": 1.5}, "held-out share is 1.5"),
        ({"data": []}, "--data"),
        ({"base": "cels"}, "did you mean 'cells'"),
        ({"overrides": {"batch": 0}}, "Setting batch is 0"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(base, data, changes, message):
    arguments = {"base": str(base), "mode": "decoder", "data": [data], "name": "new"} | changes
    with pytest.raises(InputError, match=message) as caught:
        run_finetuning(**arguments)
    assert "\n" not in str(caught.value)
    assert not (data.parent / "data" / "models" / "user_models.json").exists()


def test_export_tells_the_files_it_wrote(base, tmp_path):
    app = typer.Typer()
    app.command()(export)
    target = tmp_path / "out.safetensors"
    result = CliRunner().invoke(app, ["cells", "--checkpoint", str(base), "-o", str(target), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"model": "cells", "architecture": "cells", "files": [str(target)]}
    again = load_model("cells", checkpoint=target, device="cpu")
    assert again.fingerprint == load_model("cells", checkpoint=base, device="cpu").fingerprint
    result = CliRunner().invoke(app, ["cells", "--checkpoint", str(base), "-o", str(tmp_path / "out.pth")])
    assert isinstance(result.exception, InputError)

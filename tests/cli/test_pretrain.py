"""`napari-sam pretrain` on a tiny model, and training from what it made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from data_folders import write_folder
from napari_sam.cli.pretrain import pretrain
from napari_sam.cli.train import train
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS

RUNNER = CliRunner()


def app(command) -> typer.Typer:
    found = typer.Typer()
    found.command()(command)
    return found


@pytest.fixture
def folder(monkeypatch, tmp_path, tiny_spec_cell) -> Path:
    monkeypatch.setitem(SPECS, "cells", tiny_spec_cell)
    return write_folder(tmp_path / "blobs", ["a", "b"])


def test_pretrain_then_train_from_it(folder, tmp_path):
    run = tmp_path / "pretrained"
    arguments = [
        "--data",
        str(folder),
        "--preset",
        "quick",
        "--steps",
        "4",
        "--device",
        "cpu",
        "-o",
        str(run),
        "--json",
    ]
    result = RUNNER.invoke(app(pretrain), arguments, catch_exceptions=False)
    summary = json.loads(result.stdout)
    assert summary["steps"] == 4
    assert summary["loss"] > 0
    again = RUNNER.invoke(app(pretrain), [*arguments[:-1], "--resume"], catch_exceptions=False)
    assert f"train --from {summary['model']}" in again.stdout
    assert "\x1b" not in again.output
    arguments = ["--data", str(folder), "--preset", "quick", "--steps", "2", "--from", summary["model"]]
    arguments += ["--device", "cpu", "-o", str(tmp_path / "run"), "--json"]
    result = RUNNER.invoke(app(train), arguments, catch_exceptions=False)
    assert json.loads(result.stdout)["steps"] == 2


def test_labels_are_not_needed_but_pictures_are(folder, tmp_path):
    result = RUNNER.invoke(
        app(pretrain),
        ["--data", str(folder / "images"), "--preset", "quick", "--steps", "1", "-o", str(tmp_path / "r")],
    )
    assert result.exit_code == 0, result.output
    result = RUNNER.invoke(app(pretrain), ["--data", str(tmp_path / "nowhere"), "-o", str(tmp_path / "s")])
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "s").exists()


def test_synthetic_images_alone_will_do(folder, tmp_path):
    arguments = ["--synthetic", "1", "--preset", "quick", "--steps", "1", "-o", str(tmp_path / "r")]
    assert RUNNER.invoke(app(pretrain), arguments, catch_exceptions=False).exit_code == 0

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.cli.arguments import at_home
from napari_sam.cli.main import main


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "d").mkdir()
    return tmp_path / "a.png"


def test_words_that_begin_at_home_are_expanded(image: Path) -> None:
    home = str(image.parent)
    assert at_home("~/a.png") == f"{home}/a.png"
    assert at_home("--output=~/b.png") == f"--output={home}/b.png"
    for word in ("a.png", "~", "~texture", "--text=~ round", "x=~/a", "--set", "--set=a=~/b"):
        assert at_home(word) == word


def test_paths_that_begin_at_home_are_found_by_commands(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", "~/none.png", "--output=~/b.png", "--point", "3,3"]) == 2
    assert str(image.with_name("none.png")) in capsys.readouterr().err


@pytest.mark.parametrize("command", [["segment", "--point", "3,3"], ["auto"]])
@pytest.mark.parametrize(
    ("given", "output"), [("a.png", "d/../a.png"), ("link.png", "a.png"), ("a.png", "link.png"), ("~/a.png", "./a.png")]
)
def test_an_image_is_never_replaced_by_its_labels(
    image: Path, capsys: pytest.CaptureFixture[str], command: list[str], given: str, output: str
) -> None:
    before = image.read_bytes()
    assert main([command[0], given, "-o", output, *command[1:]]) == 2
    assert "would replace the input" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_what_the_system_refuses_is_one_sentence(
    image: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/file")

    monkeypatch.setattr("napari_sam.io.output_place.keep_inputs", full)
    assert main(["segment", "a.png", "-o", "b.png", "--point", "3,3"]) == 2
    error = capsys.readouterr().err
    assert error.splitlines() == [
        "The system refused to go on at /somewhere/file (No space left on device): check disk and folders."
    ]

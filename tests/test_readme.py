"""README and docs keep their word: Python blocks and command lines run, make targets and links exist.

A block right below a comment `<!-- compile only: reason -->` is compiled (Python) or has its commands and options
looked up (shell), not run: it needs a download, a display or files of the reader's.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from skimage.io import imsave

from napari_sam.sample_data import stroma

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", *sorted(map(str, (ROOT / "docs").glob("*.md"))))]
FENCE = re.compile(r"^(?P<note><!-- compile only:.*?-->\n\n?)?```(?P<language>\w+)\n(?P<code>.*?)^```", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    code: str
    line: int
    run: bool


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text()
    return [
        Block(match["language"], match["code"], text.count("\n", 0, match.start("code")), match["note"] is None)
        for match in FENCE.finditer(text)
        if match["language"] in languages
    ]


def commands(page: Path) -> list[tuple[Block, list[str]]]:
    """List the `napari-sam` command lines of a page, continuation lines joined and comments dropped."""
    found = []
    for block in blocks(page, "sh", "bash", "console"):
        for line in block.code.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0] == "napari-sam":
                found.append((block, words[1:]))
    return found


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with the picture that the pages speak of, its downloads in a folder of its own."""
    imsave(tmp_path / "cells.png", stroma(), check_contrast=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(arguments: list[str]) -> int:
    """Run the command line in this process and return its exit code."""
    from napari_sam.cli.main import main

    try:
        return main(arguments) or 0
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks(page: Path, reader: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in blocks(page, "python"):
        code = compile(
            "\n" * block.line + block.code, str(page), "exec", dont_inherit=True
        )  # so that a failure names its line
        if block.run:
            exec(code, namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines(page: Path, reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block, arguments in commands(page):
        if block.run:
            assert run_command(arguments) == 0, f"napari-sam {shlex.join(arguments)}: {capsys.readouterr().err}"
            continue
        command = [word for word in arguments[:2] if re.fullmatch("[a-z][a-z-]*", word)]
        options = {word.split("=")[0] for word in arguments if word.startswith("-")}
        while command and run_command([*command, "--help"]) != 0:  # a positional argument is no command
            command.pop()
        assert command, arguments
        described = capsys.readouterr().out
        assert {option for option in options if option not in described} == set(), arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {
        match
        for block in blocks(page, "sh", "bash", "console")
        for match in re.findall(r"^(?:\$ )?make ([a-z-]+)", block.code, re.M)
    }
    assert used <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in targets if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_readme_has_what_the_tests_look_for() -> None:
    readme = ROOT / "README.md"
    assert any(block.run for block in blocks(readme, "python"))
    assert sum(block.run for block, _ in commands(readme)) >= 4
    assert "![" in readme.read_text()

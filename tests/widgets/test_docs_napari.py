"""The guide's script for napari runs as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import pytest

from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.bindings import BINDINGS
from napari_sam.widgets.prompt_dock import PromptDock

DOCS = Path(__file__).parents[2] / "docs"


def run_page(page: str, make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    monkeypatch.setattr(napari, "Viewer", make_napari_viewer)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_script_runs(make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_page("scripting-napari.md", make_napari_viewer, monkeypatch)
    assert names["label"] == 1
    assert set(names["labels"].ravel()) == {0, 1}


def test_the_script_for_all_objects_runs(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("auto-dock.md", make_napari_viewer, monkeypatch)
    assert set(names["labels"].ravel()) - {0} == set(names["dock"].objects)
    assert (tmp_path / "nuclei.json").is_file()


@pytest.mark.parametrize(("page", "dock"), [("scripting-napari.md", PromptDock), ("auto-dock.md", AutoDock)])
def test_every_call_in_the_table_exists(page: str, dock: type) -> None:
    text = (DOCS / page).read_text()
    calls = re.findall(r"`(\w+)(?:\([^`]*\))?`", "\n".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    assert len(calls) > 20
    assert [call for call in calls if not hasattr(dock, call)] == []


def test_every_key_is_in_the_guide() -> None:
    text = (DOCS / "prompts.md").read_text()
    assert [binding.key for binding in BINDINGS if binding.key not in text] == []

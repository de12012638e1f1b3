"""The guide's script for napari runs as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import pytest

from napari_sam.widgets.bindings import BINDINGS
from napari_sam.widgets.prompt_dock import PromptDock

DOCS = Path(__file__).parents[2] / "docs"


def test_the_script_runs(make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "scripting-napari.md").read_text(), re.DOTALL)
    monkeypatch.setattr(napari, "Viewer", make_napari_viewer)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["label"] == 1
    assert set(names["labels"].ravel()) == {0, 1}


def test_every_call_in_the_table_exists() -> None:
    text = (DOCS / "scripting-napari.md").read_text()
    calls = re.findall(r"`(\w+)(?:\([^`]*\))?`", "\n".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    assert len(calls) > 20
    assert [call for call in calls if not hasattr(PromptDock, call)] == []


def test_every_key_is_in_the_guide() -> None:
    text = (DOCS / "prompts.md").read_text()
    assert [binding.key for binding in BINDINGS if binding.key not in text] == []

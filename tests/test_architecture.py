"""The import contract holds, and it catches violations that are planted in a copy of the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

PLANTED = {
    "engine imports the GUI library": ("ops/planted.py", "import napari", "Only widgets/ imports napari"),
    "engine imports Qt": ("io/planted.py", "from qtpy.QtCore import Qt", "Only widgets/ imports napari"),
    "command line imports the GUI": ("cli/planted.py", "from napari_sam import widgets", "Imports point one way"),
    "GUI imports the command line": ("widgets/planted.py", "import napari_sam.cli", "Imports point one way"),
    "model imports inference": ("model/planted.py", "import napari_sam.inference", "Imports point one way"),
    "hidden in a function": ("ops/planted.py", "def f():\n    import napari_sam.io", "Imports point one way"),
    "reference at run time": ("model/planted.py", "import segment_anything", "The authors' package"),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    command = [str(BIN / "lint-imports"), "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def source_copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "src" / "napari_sam",
        tmp_path / "src" / "napari_sam",
        ignore=lambda _, names: [name for name in names if "." in name and not name.endswith(".py")],
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_point_one_way() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", PLANTED)
def test_contract_catches_a_planted_violation(name: str, source_copy: Path) -> None:
    path, line, contract = PLANTED[name]
    (source_copy / "src" / "napari_sam" / path).write_text(line + "\n")
    result = lint_imports(source_copy)
    assert result.returncode == 1, result.stdout + result.stderr
    broken = [text for text in result.stdout.splitlines() if text.rstrip().endswith("BROKEN")]
    assert len(broken) == 1, result.stdout
    assert broken[0].startswith(contract)
    assert "planted" in result.stdout


def test_contract_wants_every_new_package_in_its_place(source_copy: Path) -> None:
    (source_copy / "src" / "napari_sam" / "planted.py").write_text("")
    result = lint_imports(source_copy)
    assert result.returncode == 1
    assert "planted" in result.stdout


@pytest.mark.parametrize(("folder", "allowed"), [("ops", False), ("cli", False), ("widgets", True)])
def test_ruff_bans_the_gui_outside_widgets(folder: str, allowed: bool, source_copy: Path) -> None:
    planted = source_copy / "src" / "napari_sam" / folder / "planted.py"
    planted.write_text("import napari\nimport qtpy\nimport magicgui\n")
    command = [str(BIN / "ruff"), "check", "--select", "TID251", "--no-cache", str(planted)]
    result = subprocess.run(command, cwd=source_copy, capture_output=True, text=True)
    assert result.stdout.count("TID251") == (0 if allowed else 3), result.stdout

"""`import napari_sam` is quick, loads nothing heavy, offers its names lazily and warns of its namesake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import napari_sam

HEAVY = ("torch", "numpy", "napari", "qtpy", "skimage", "scipy", "zarr", "typer", "open_clip")


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


def test_import_takes_under_0_3_seconds() -> None:
    code = "import time; t = time.perf_counter(); import napari_sam; print(time.perf_counter() - t)"
    assert min(float(run(code).stdout) for _ in range(3)) < 0.3


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, napari_sam; print([name for name in {HEAVY} if name in sys.modules])"
    result = run(code)
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""


def test_command_line_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom napari_sam.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules or 'napari' in sys.modules, file=sys.stderr)"
    )
    assert run(code).stderr.strip().endswith("False")


@pytest.mark.parametrize("name", napari_sam.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(napari_sam, name) is not None
    assert name in dir(napari_sam)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        _ = napari_sam.load_modle


def test_warns_in_one_sentence_of_the_namesake(tmp_path: Path) -> None:
    info = tmp_path / "napari_sam-0.4.13.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: napari-sam\nVersion: 0.4.13\n")
    stderr = run("import napari_sam", tmp_path).stderr
    assert stderr.count("UserWarning") == 1
    assert "napari-sam 0.4.13" in stderr
    assert "uninstall both" in stderr

"""Sdist and wheel hold what they must, and the installed wheel works as a plugin."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEIGHTS = sorted(path.name for path in (ROOT / "src" / "napari_sam" / "weights").glob("*.safetensors"))


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_wheel_contents(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as wheel:
        names = wheel.namelist()
        assert len(names) == len(set(names))
        assert wheel.read("napari_sam/napari.yaml") == (ROOT / "napari.yaml").read_bytes()
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "napari-sam-stack = napari_sam:napari.yaml" in wheel.read(entry_points).decode()
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert "napari_sam/py.typed" in names
        outside = {name.split("/")[0] for name in names} - {"napari_sam"}
        assert len(outside) == 1, outside  # the .dist-info folder
        sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "napari_sam").rglob("*.py")}
        assert sources <= set(names)


def test_bundled_weights_are_in_the_wheel(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as wheel:
        sizes = {
            Path(info.filename).name: info.file_size
            for info in wheel.infolist()
            if info.filename.startswith("napari_sam/weights/") and info.filename.endswith(".safetensors")
        }
    assert sorted(sizes) == WEIGHTS
    assert "cells.safetensors" in sizes
    assert all(size < 25e6 for size in sizes.values()), sizes


def test_sdist_contents(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {"napari.yaml", "pyproject.toml", "README.md", "LICENSE", "Makefile", "scripts/setup.sh"} <= names
    assert "src/napari_sam/napari.yaml" not in names
    assert not any(name.startswith((".venv", ".scratch", "runs", "demo-output")) for name in names)


def test_installed_wheel_is_a_plugin(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(tmp_path)]
    subprocess.run([*install, str(distributions[1])], check=True)
    code = (
        "import napari_sam, npe2, napari_sam.model.load\n"
        "manifest = npe2.PluginManifest.from_distribution('napari-sam-stack')\n"
        "manifest.validate_imports()\n"
        "print(napari_sam.__file__, [widget.display_name for widget in manifest.contributions.widgets])\n"
        "print(napari_sam.load_model('cells').name)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    plugin, model = result.stdout.strip().splitlines()[-2:]
    assert plugin.startswith(str(tmp_path))
    assert "SAM Prompts" in plugin
    assert model == "cells"

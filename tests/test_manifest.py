"""The manifest is valid, found through its entry point, and everything that it names is there."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import yaml
from napari._app_model.constants import MenuId
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from qtpy.QtWidgets import QWidget

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(ROOT / "napari.yaml")


def test_it_is_found_where_it_was_installed(manifest: PluginManifest) -> None:
    assert PluginManifest.from_distribution("napari-sam-stack").contributions == manifest.contributions
    assert manifest.name == importlib.metadata.distribution("napari-sam-stack").metadata["Name"]
    link = ROOT / "src" / "napari_sam" / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "napari.yaml"


def test_everything_it_names_is_there(manifest: PluginManifest) -> None:
    manifest.validate_imports()
    commands = manifest.contributions.commands
    assert commands
    for command in commands:
        assert callable(import_python_name(command.python_name))


def test_it_is_shown_to_users(manifest: PluginManifest) -> None:
    assert manifest.visibility == "public"
    assert [str(getattr(category, "value", category)) for category in manifest.categories] == [
        "Annotation",
        "Segmentation",
    ]
    (widget,) = [w for w in manifest.contributions.widgets if w.display_name == "SAM Prompts"]
    (command,) = [c for c in manifest.contributions.commands if c.id == widget.command]
    assert issubclass(import_python_name(command.python_name), QWidget)


def test_every_menu_exists_in_napari(manifest: PluginManifest) -> None:
    named = set(yaml.safe_load((ROOT / "napari.yaml").read_text())["contributions"]["menus"])
    assert named
    assert named <= {str(menu) for menu in MenuId.contributables()}


@pytest.mark.parametrize("key", ["tissue", "cell", "nuclei"])
def test_samples_open(manifest: PluginManifest, key: str) -> None:
    (sample,) = [s for s in manifest.contributions.sample_data if s.key == key]
    (command,) = [c for c in manifest.contributions.commands if c.id == sample.command]
    layers = import_python_name(command.python_name)()
    assert layers
    for data, settings, kind in layers:
        assert data.ndim in (2, 3)
        assert settings["name"]
        assert kind in ("image", "labels")

"""The user's own models are user data: no cache holds them, and what an older version left in one is moved."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from napari_sam.errors import InputError
from napari_sam.model.registry import ModelRow, find_model, register_user_model, user_models, weights_file
from napari_sam.model.weights_files import find_file


def row(name: str, **changes: str) -> ModelRow:
    return ModelRow(name=name, architecture="cells", known_hash="sha256:0", file=f"imported/{name}.pt", **changes)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/models"


def leave_old(cache: Path, *names: str) -> None:
    """Lay down what versions up to 0.1 left in the cache."""
    (cache / "imported").mkdir(parents=True)
    for name in names:
        (cache / f"imported/{name}.pt").write_bytes(name.encode())
        (cache / f"imported/{name}.md").write_text(f"# {name}")
    rows = [{"name": name, "architecture": "cells", "file": f"imported/{name}.pt"} for name in names]
    (cache / "user_models.json").write_text(json.dumps(rows))


def test_own_models_do_not_lie_in_the_cache(cache, own_models):
    register_user_model(row("axons"))
    assert not cache.exists()
    assert weights_file(find_model("axons")).is_relative_to(own_models)
    assert weights_file(find_model("vit_b")).is_relative_to(cache)


def test_what_lies_in_the_cache_is_moved_once_with_a_sentence(cache, own_models):
    leave_old(cache, "axons", "nuclei")
    register_now = pytest.warns(UserWarning, match="axons, nuclei.*were moved from the cache")
    with register_now:
        assert [model.name for model in user_models()] == ["axons", "nuclei"]
    file = weights_file(find_model("axons"))
    assert file.read_bytes() == b"axons"
    assert file.with_suffix(".md").read_text() == "# axons"
    assert not [each for each in cache.rglob("*") if each.is_file()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [model.name for model in user_models()] == ["axons", "nuclei"]


def test_a_model_of_now_is_not_replaced_by_one_of_the_cache(cache):
    register_user_model(row("axons", about="new"))
    weights_file(row("axons")).parent.mkdir()
    weights_file(row("axons")).write_bytes(b"new")
    leave_old(cache, "axons", "nuclei")
    with pytest.warns(UserWarning, match=r"\(nuclei\)"):
        models = {model.name: model for model in user_models()}
    assert models["axons"].about == "new"
    assert weights_file(models["axons"]).read_bytes() == b"new"
    assert weights_file(models["nuclei"]).read_bytes() == b"nuclei"


def test_where_nothing_can_be_written_they_are_used_where_they_lie(cache, tmp_path, monkeypatch):
    leave_old(cache, "axons")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="NAPARI_SAM_DATA"):
        (model,) = user_models()
    assert weights_file(model).read_bytes() == b"axons"
    found = find_file(model)
    assert found is not None
    assert found.path == cache / "imported/axons.pt"


@pytest.mark.parametrize("text", ["{", "[1]", '[{"nam": "a"}]'])
def test_an_unreadable_list_is_one_sentence(text, own_models):
    (own_models / "models").mkdir(parents=True)
    (own_models / "models/user_models.json").write_text(text)
    with pytest.raises(InputError, match="Cannot read"):
        user_models()

from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam.paths import file_path, local_path


def test_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert local_path("~/a.png") == tmp_path / "a.png"
    assert local_path(Path("~") / "a.png") == tmp_path / "a.png"
    assert local_path("b~/a.png") == Path("b~/a.png")
    assert local_path("d/~/a.png") == Path("d/~/a.png")


def test_addresses_of_files_are_paths() -> None:
    assert file_path("file:///d/a%20b.zarr") == "/d/a b.zarr"
    assert file_path("/d/a.zarr") is None
    assert file_path("s3://d/a.zarr") is None

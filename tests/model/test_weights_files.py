"""Files that someone put into the cache by hand are used only if their hash is right."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from napari_sam.errors import DownloadError
from napari_sam.model.download import fetch_model
from napari_sam.model.folders import cache_folder
from napari_sam.model.registry import ModelRow
from napari_sam.model.weights_files import find_file, is_verified

GOOD = b"weights " * 100


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRow:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "micro"))
    cache_folder().mkdir(parents=True)
    known_hash = "sha256:" + hashlib.sha256(GOOD).hexdigest()
    urls = ("http://127.0.0.1:9/weights.pth",)  # nobody answers there
    return ModelRow(name="m", architecture="vit_b", urls=urls, known_hash=known_hash, file="weights.pth")


def test_a_right_file_is_used(row):
    file = cache_folder() / row.file
    file.write_bytes(GOOD)
    assert fetch_model(row) == file
    found = find_file(row)
    assert found is not None
    assert found.state == "downloaded"


def test_a_wrong_file_is_not(row):
    file = cache_folder() / row.file
    file.write_bytes(GOOD[:-1] + b"!")
    found = find_file(row)
    assert found is not None
    assert not found.usable
    with pytest.raises(DownloadError):
        fetch_model(row)


def test_a_replaced_file_is_hashed_again_even_with_the_same_size_and_time(row):
    file = cache_folder() / row.file
    file.write_bytes(GOOD)
    assert is_verified(file, row)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    time.sleep(0.05)  # clocks of file systems are coarse
    file.write_bytes(GOOD[:-1] + b"!")
    os.utime(file, ns=times)
    assert not is_verified(file, row)


def test_a_forged_or_damaged_list_of_checked_files_proves_nothing(row):
    file = cache_folder() / row.file
    file.write_bytes(b"something else")
    for stamps in (
        "nonsense",
        "[]",
        json.dumps({str(file): True}),
        json.dumps({str(file): [14, 0, 0, row.known_hash]}),
    ):
        (cache_folder() / "verified.json").write_text(stamps)
        assert not is_verified(file, row)

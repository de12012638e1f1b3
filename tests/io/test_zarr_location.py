"""Folders, zip files, a real web server and a real S3 server hold the same image; what fails is one sentence."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from data_folders import write_ome_zarr
from napari_sam.errors import InputError
from napari_sam.io import zarr_location
from napari_sam.io.large_image import open_large_image
from napari_sam.io.zarr_location import absolute, file_facts, is_remote, join, open_node
from zarr_servers import http_server, s3_server, upload

IMAGE = np.random.default_rng(0).integers(0, 4000, (2, 40, 50)).astype(np.uint16)


@pytest.fixture(params=["0.4", "0.5"])
def folder(request, tmp_path) -> Path:
    return write_ome_zarr(tmp_path / "a.zarr", IMAGE, {"cells": IMAGE[0]}, "cyx", "yx", version=request.param)


def check(location: str) -> None:
    image = open_large_image(location)
    np.testing.assert_array_equal(image.plane()[5:12, 7:30], np.moveaxis(IMAGE, 0, -1)[5:12, 7:30])
    labels = open_large_image(join(location, "labels", "cells"), level=1)
    np.testing.assert_array_equal(labels.plane()[...], IMAGE[0, ::2, ::2])


def test_names():
    assert is_remote("s3://bucket/a.zarr")
    assert not is_remote(Path("a.zarr"))
    assert absolute("https://host/a.zarr/") == "https://host/a.zarr"
    assert absolute("a.zarr/") == f"{os.getcwd()}/a.zarr"
    assert join("s3://bucket/a.zarr/", "labels", "", "/cells") == "s3://bucket/a.zarr/labels/cells"


def test_a_folder(folder):
    check(str(folder))
    assert isinstance(open_node(folder, "r+"), zarr.Group)
    open_node(folder, "r+").attrs["note"] = 1
    assert open_node(folder).attrs["note"] == 1
    with pytest.raises(ValueError, match="read-only"):
        open_node(folder).attrs["note"] = 2


@pytest.mark.parametrize("root", ["", "inside.zarr"])
def test_a_zip_file(folder, tmp_path, root):
    archive = shutil.make_archive(str(tmp_path / "b"), "zip", folder)
    if root:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    file.write(path, f"{root}/{path.relative_to(folder)}")
    check(join(archive, root))
    image = open_large_image(join(archive, root))
    before = image.signature((0, 0, 10, 10))
    os.utime(archive, ns=(1, 1))
    assert image.signature((0, 0, 10, 10)) != before


def test_a_web_server(folder, tmp_path):
    with http_server(tmp_path) as (address, asked):
        location = f"{address}/a.zarr"
        check(location)
        image = open_large_image(location)
        asked.clear()
        before = image.signature((0, 0, 10, 10))
        assert asked
        assert {line.split()[0] for line in asked} == {"HEAD"}  # no pixels are sent
        chunk = next(path for path in sorted((folder / "0").rglob("*")) if path.is_file() and path.name[0] not in ".z")
        os.utime(chunk, (10**9, 10**9))
        assert image.signature((0, 0, 10, 10)) != before


def test_s3(folder, monkeypatch):
    with s3_server(monkeypatch, "slides") as client:
        upload(client, "slides", folder, "deep/a.zarr")
        with pytest.raises(InputError, match="no Zarr at s3://slides/nowhere"):
            open_node("s3://slides/nowhere")
        with pytest.raises(InputError, match="s3://other"):
            open_node("s3://other/a.zarr")
        location = "s3://slides/deep/a.zarr"
        check(location)
        image = open_large_image(location)
        before = image.signature((0, 0, 10, 10))
        assert image.signature((0, 0, 10, 10)) == before
        key = next(
            item["Key"]
            for item in client.list_objects(Bucket="slides", Prefix="deep/a.zarr/0/")["Contents"]
            if not item["Key"].endswith((".zarray", ".zattrs", "zarr.json"))
        )
        client.put_object(Bucket="slides", Key=key, Body=b"other bytes")
        assert image.signature((0, 0, 10, 10)) != before
        with pytest.raises(InputError, match="Cannot read rows 0-10, columns 0-10 of level 0 of s3://slides"):
            image.plane()[:10, :10]


def test_s3_without_credentials_is_read_anonymously(folder, monkeypatch):
    with s3_server(monkeypatch, "public") as client:
        upload(client, "public", folder, "a.zarr", public=True)
        upload(client, "public", folder, "private.zarr")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        zarr_location._no_credentials.cache_clear()
        try:
            with pytest.raises(InputError, match=r"Access to s3://public/private\.zarr is denied"):
                open_node("s3://public/private.zarr")
            check("s3://public/a.zarr")
        finally:
            zarr_location._no_credentials.cache_clear()


def test_memory(folder):
    import fsspec

    files = fsspec.filesystem("memory")
    files.put(str(folder), "/tests-a.zarr", recursive=True)
    try:
        check("memory://tests-a.zarr")
        image = open_large_image("memory://tests-a.zarr")
        assert image.signature((0, 0, 9, 9)) == image.signature((0, 0, 9, 9))
    finally:
        files.rm("/tests-a.zarr", recursive=True)


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*b\.zarr: give an existing"):
        open_node(tmp_path / "b.zarr")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(InputError, match="no Zarr at"):
        open_node(tmp_path / "c.zarr")
    (tmp_path / "c.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="metadata is damaged"):
        open_node(tmp_path / "c.zarr")
    (tmp_path / "d.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"d\.zip"):
        open_node(tmp_path / "d.zip")


def test_servers_that_refuse(tmp_path):
    (tmp_path / "empty").mkdir()
    with http_server(tmp_path) as (address, _):
        with pytest.raises(InputError, match="no Zarr at"):
            open_node(f"{address}/empty")
        with pytest.raises(InputError, match="is denied"):
            open_node(f"{address}/forbidden.zarr")
        with pytest.raises(InputError, match="Cannot reach"):
            open_node(f"{address}/broken.zarr")
    with pytest.raises(InputError, match="Cannot reach"):
        open_node(f"{address}/a.zarr")


def test_a_server_that_is_gone(folder, tmp_path):
    with http_server(tmp_path) as (address, _):
        image = open_large_image(f"{address}/a.zarr")
        assert image.plane()[:4, :4].shape == (4, 4, 2)
    with pytest.raises(InputError, match=r"of http://.*/a\.zarr \(.*: check the disk or the network"):
        image.plane()[:4, :4]
    with pytest.raises(InputError, match="Cannot reach"):
        image.signature((0, 0, 4, 4))


@pytest.mark.parametrize(("word", "said"), [("forbidden", "is denied"), ("broken", "Cannot reach")])
def test_a_level_that_the_server_refuses(tmp_path, word, said):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array(word, data=IMAGE[0])
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": word}]}]}
    with http_server(tmp_path) as (address, _), pytest.raises(InputError, match=said):
        open_large_image(f"{address}/a.zarr")


def test_access_denied(folder, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zarr, "open", refuse)  # root, as in a container, may read everything
    with pytest.raises(InputError, match=r"a\.zarr is denied"):
        open_node(folder)


def test_the_extra_is_named_where_a_package_is_missing(monkeypatch):
    import fsspec

    assert fsspec.available_protocols()
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"napari-sam-stack\[cloud\]"):
        open_node("s3://slides/a.zarr")


def test_an_unknown_protocol():
    with pytest.raises(InputError, match="nonsense"):
        open_node("nonsense://a.zarr")


def test_facts_of_files(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    facts: Any = file_facts(str(tmp_path), ["a", "b"])
    assert facts[0].startswith("3 ")
    assert facts[1] == "absent"

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_sam.errors import InputError
from napari_sam.io.output_place import inside, keep_inputs, same_place


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "d").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "other.png").touch()
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "far").symlink_to(tmp_path, target_is_directory=True)
    os.link(tmp_path / "a.png", tmp_path / "hard.png")
    return tmp_path / "a.png"


SPELLINGS = ["a.png", "./a.png", "d/../a.png", "link.png", "far/a.png", "hard.png", "~/a.png", "file://{}/a.png"]


@pytest.mark.parametrize("spelt", SPELLINGS)
@pytest.mark.parametrize("other", SPELLINGS)
def test_an_output_may_not_be_the_input_however_both_are_spelt(image: Path, spelt: str, other: str) -> None:
    output, given = spelt.format(image.parent), other.format(image.parent)
    assert same_place(output, given)
    with pytest.raises(InputError, match="The labels would replace the input") as caught:
        keep_inputs(output, ["other.png", given])
    assert "\n" not in str(caught.value)


def test_capitals_count_only_where_the_file_system_says_so(image: Path) -> None:
    assert same_place("A.PNG", "a.png") == Path("A.PNG").exists()


def test_an_output_may_not_contain_the_input(image: Path) -> None:
    Path("im.zarr/0").mkdir(parents=True)
    Path("zarr-link").symlink_to("im.zarr/0")
    for given in ("im.zarr/0", "zarr-link", "far/im.zarr/0"):
        with pytest.raises(InputError, match="would replace the input"):
            keep_inputs("im.zarr", [given])
    with pytest.raises(InputError, match="The embeddings would replace"):
        keep_inputs("/", [image], "embeddings")


def test_other_outputs_are_free(image: Path) -> None:
    for output in ("b.png", "other.png", "d", "d/a.png", "~/new/a.png", "a.png.tif", "im.zarr/labels", "s3://b/a.png"):
        keep_inputs(output, ["a.png", "link.png", "im.zarr"])


def test_addresses_are_compared_without_what_means_nothing() -> None:
    assert same_place("s3://bucket/a.zarr/", "S3://bucket/x/../a.zarr")
    assert not same_place("s3://bucket/a.zarr", "s3://other/a.zarr")
    assert not same_place("s3://bucket/A.zarr", "s3://bucket/a.zarr")
    assert not same_place("s3://bucket/a.zarr", "/bucket/a.zarr")
    with pytest.raises(InputError, match="would replace"):
        keep_inputs("s3://bucket/a.zarr", ["s3://bucket/a.zarr/0"])


@pytest.mark.parametrize("path", ["0", "A/1/0", "labels/cells", 3, "..a", "s0/"])
def test_paths_in_files_that_stay_inside_are_followed(path: object) -> None:
    assert inside("x.zarr", path) == str(path).rstrip("/")


@pytest.mark.parametrize(
    "path",
    ["..", "../../victim", "A/../../..", "/etc", "\\\\server\\x", "a\\..\\..\\b", "C:/x", "s3://b", "", ".", None],
)
def test_paths_in_files_that_lead_outside_are_refused(path: object) -> None:
    with pytest.raises(InputError, match=r"The metadata of x\.zarr name the path") as caught:
        inside("x.zarr", path)
    assert "\n" not in str(caught.value)

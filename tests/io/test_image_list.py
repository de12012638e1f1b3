"""Folders, patterns and names of images, and names for their results."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam.errors import InputError
from napari_sam.io.image_list import image_stem, list_images_of, name_results, names_several


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "set/b.tif",
        "set/a.PNG",
        "set/notes.txt",
        "set/.hidden.png",
        "set/._a.png",
        "set/deep/c.png",
        "d.png",
    ):
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).touch()
    for name in ("set/z.zarr", "plain", "dicom"):
        Path(name).mkdir()
    Path("set/z.zarr/zarr.json").touch()
    Path("plain/.zgroup").touch()
    Path("dicom/1.dcm").touch()


def test_folders_patterns_and_names():
    assert list_images_of(["set"]) == [Path("set/a.PNG"), Path("set/b.tif"), Path("set/z.zarr")]
    assert list_images_of(["set/*.tif", "d.png", "set/b.tif"]) == [Path("set/b.tif"), Path("d.png")]
    assert list_images_of(["set/**/*.png"]) == [Path("set/deep/c.png")]
    for alone in ("d.png", "set/z.zarr", "plain", "dicom", "https://host/a.zarr"):
        assert not names_several([alone])
        assert list_images_of([alone]) == [Path(alone)]
    assert names_several(["set"])
    assert names_several(["*.png"])
    assert names_several(["d.png", "set/b.tif"])
    for nothing in ("set/*.lif", "gone.png", "gone/"):
        with pytest.raises(InputError):
            list_images_of([nothing])
    Path("empty").mkdir()
    with pytest.raises(InputError, match="no images in the folder"):
        list_images_of(["empty"])
    Path("odd[1].png").touch()  # a file, however it looks
    assert list_images_of(["odd[1].png"]) == [Path("odd[1].png")]


def test_results_have_the_stems_and_never_one_name():
    assert [image_stem(Path(n)) for n in ("a.ome.tif", "b.v2.png", "c.nii.gz", "d.zarr")] == ["a", "b.v2", "c", "d"]
    assert name_results([Path("x/a.png"), Path("x/b.tif")]) == ["a", "b"]
    assert name_results([Path("x/a.png"), Path("x/a.tif"), Path("x/b.tif")]) == ["a.png", "a.tif", "b"]
    assert name_results([Path("x/a.png"), Path("y/a.png")]) == ["x_a", "y_a"]
    assert name_results([Path("x/A.png"), Path("x/a.tif")]) == ["A.png", "a.tif"]
    hard = [Path("p/x/a.png"), Path("q/x/a.png"), Path("x/a.png"), Path("p/x_a.png"), Path("b.png"), Path("b.tif")]
    names = name_results(hard)
    assert len({name.lower() for name in names}) == len(hard)
    assert name_results(hard) == names

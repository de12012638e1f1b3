"""Where jobs read and write: whatever way paths are spelt, nothing is written where it was not asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sam.batch.segment_zarr import plan_batch
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from threshold_segmenter import blobs, read_labels, run, write_zarr


def write_image(path: Path, image: Any, version: str = "0.5") -> Path:
    """Write an OME-Zarr image of one level."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    group.create_array("0", shape=image.shape, chunks=(64, 64), dtype=image.dtype)[...] = image
    step = {"type": "scale", "scale": [1.0, 1.0]}
    entry = {
        "axes": [{"name": axis, "type": "space"} for axis in "yx"],
        "datasets": [{"path": "0", "coordinateTransformations": [step]}],
    }
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [entry]}
    else:
        group.attrs["multiscales"] = [entry | {"version": "0.4"}]
    return path


def write_plate(path: Path, fields: dict[str, str], wells: dict[str, str] | None = None) -> Path:
    """Write a plate; `fields` gives each well the path of its only field, `wells` other paths for them."""
    plate = zarr.open_group(path, mode="w", zarr_format=3)
    named = [{"path": (wells or {}).get(well, well), "rowIndex": 0, "columnIndex": k} for k, well in enumerate(fields)]
    rows = [{"name": name} for name in dict.fromkeys(well.split("/")[0] for well in fields)]
    columns = [{"name": name} for name in dict.fromkeys(well.split("/")[1] for well in fields)]
    plate.attrs["ome"] = {"version": "0.5", "plate": {"rows": rows, "columns": columns, "wells": named}}
    for k, (well, field) in enumerate(fields.items()):
        group = plate.create_group(well)
        group.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": field}]}}
        if ".." not in field:
            write_image(path / well / field, blobs((100, 100), k, 5 + k))
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_each_well_of_a_plate_with_a_remote_output_has_its_own_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plate = write_plate(tmp_path / "plate.zarr", {"A/1": "0", "A/2": "0", "B/1": "0", "B/2": "sub/0"})
    assert [name for _, _, name in plan_batch(plate, None, BatchSettings()).images] == [
        "A/1/0",
        "A/2/0",
        "B/1/0",
        "B/2/sub/0",
    ]
    last = run(plate, "memory://bucket/out.zarr")  # type: ignore[arg-type]
    assert last.failed == ()
    jobs = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.job"))
    places = ("A/1/0", "A/2/0", "B/1/0", "B/2/sub/0")
    assert jobs == [f"bucket/out.zarr/{place}-cells.job" for place in places]
    counts = [zarr.open_group(f"memory://bucket/out.zarr/{place}")["labels/cells/0"][...].max() for place in places]
    run(plate, tmp_path / "local")
    assert counts == [read_labels(tmp_path / "local" / place).max() for place in places]


@pytest.mark.parametrize(
    ("fields", "wells"),
    [
        ({"A/1": "../../../victim"}, {}),
        ({"A/1": "0"}, {"A/1": "../outside/A/1"}),
        ({"A/1": "0"}, {"A/1": "/etc"}),
        ({"A/1": ".."}, {}),
    ],
)
def test_no_path_in_a_plate_leads_out_of_it(tmp_path: Path, fields: dict[str, str], wells: dict[str, str]) -> None:
    source = write_plate(tmp_path / "evil" / "plate.zarr", fields, wells)
    write_image(tmp_path / "evil" / "victim", blobs((100, 100)))
    (tmp_path / "safe").mkdir()
    before = files(tmp_path)
    with pytest.raises(InputError, match="which does not lie inside of it"):
        run(source, tmp_path / "safe" / "out")
    assert files(tmp_path) == before


@pytest.mark.parametrize("path", ["../other.zarr/0", "/0", ".."])
def test_no_level_of_an_image_lies_outside_of_it(tmp_path: Path, path: str) -> None:
    source = write_image(tmp_path / "in.zarr", blobs((100, 100)))
    write_image(tmp_path / "other.zarr", blobs((100, 100)))
    text = (source / "zarr.json").read_text()
    (source / "zarr.json").write_text(text.replace('"path": "0"', f'"path": {json.dumps(path)}'))
    with pytest.raises(InputError, match="which does not lie inside of it"):
        run(source, tmp_path / "out.zarr")


def test_home_is_found_for_labels_and_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    write_image(tmp_path / "home" / "in.zarr", blobs((100, 100), 1, 4))
    (tmp_path / "home" / "points.csv").write_text("object_id,kind,row,col\n1,point,50,50\n")
    last = run("~/in.zarr", "~/out.zarr")  # type: ignore[arg-type]
    assert last.output == str(tmp_path / "home" / "out.zarr" / "labels" / "cells")
    assert (tmp_path / "home" / "out.zarr-cells.job").is_dir()
    assert files(tmp_path / "work") == set()
    with pytest.raises(InputError, match=r"There is no .*home/none\.pth"):
        run("~/in.zarr", "~/o.zarr", segmenter=None, checkpoint="~/none.pth")  # type: ignore[arg-type]


@pytest.mark.parametrize("output", ["/", ".", "s3://"])
def test_outputs_that_are_no_places_for_labels_are_one_sentence_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    source = write_zarr(tmp_path / "work" / "in.zarr", blobs((100, 100)))
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"give (an output inside of it|another output)") as caught:
        run(source, output)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


def test_an_image_given_as_its_own_output_gets_labels_however_it_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_image(tmp_path / "in.zarr", blobs((100, 100), 1, 4))
    pixels = np.array(zarr.open_group(source, mode="r")["0"])
    (tmp_path / "link.zarr").symlink_to("in.zarr")
    run(source, None)
    for spelt in ("in.zarr", "link.zarr", "x/../in.zarr", f"file://{source}"):
        last = run(source, spelt)  # type: ignore[arg-type]
        assert last.output == str(source / "labels" / "cells")
    np.testing.assert_array_equal(np.array(zarr.open_group(source, mode="r")["0"]), pixels)
    assert [path.name for path in tmp_path.glob("*.job")] == ["in.zarr-cells.job"]


def test_labels_never_replace_what_is_read(tmp_path: Path) -> None:
    source = write_image(tmp_path / "in.zarr", blobs((100, 100), 1, 4))
    run(source, None, label="seeds")
    before = read_labels(source, "seeds")
    (tmp_path / "link").symlink_to(source / "labels" / "seeds")
    for prompts in ("seeds", str(source / "labels" / "seeds"), str(tmp_path / "link")):
        with pytest.raises(InputError, match="would replace the input"):
            run(source, None, label="seeds", mode="prompts", prompts=prompts, restart=True)
    with pytest.raises(InputError, match="would replace the input"):
        run(source / "labels" / "seeds", source, label="seeds", restart=True)
    with pytest.raises(InputError, match="is no OME-Zarr image that could hold labels"):
        run(write_zarr(tmp_path / "plain.zarr", blobs((50, 50))), tmp_path / "plain.zarr")
    np.testing.assert_array_equal(read_labels(source, "seeds"), before)


def test_restart_removes_no_folder_that_is_none_of_a_job(tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs((100, 100)))
    (tmp_path / "out.zarr-cells.job").mkdir()
    (tmp_path / "out.zarr-cells.job" / "thesis.txt").touch()
    with pytest.raises(InputError, match="is no folder of a job"):
        run(source, tmp_path / "out.zarr", restart=True)
    assert (tmp_path / "out.zarr-cells.job" / "thesis.txt").exists()

"""`napari-sam measure`: tables of labels on images of several kinds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam.cli.main import main
from napari_sam.io.images import write_labels

LABELS = np.zeros((40, 50), np.uint16)
LABELS[5:15, 5:20], LABELS[20:30, 10:20] = 3, 70
PIXELS = (np.arange(2000).reshape(40, 50) % 251).astype(np.uint8)


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("cells.png")
    Image.fromarray(LABELS).save("labels.png")


def write_ome_zarr(path, array, axes, channels=(), scale=1.0):
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", data=array)
    units = {"y": {"unit": "micrometer"}, "x": {"unit": "micrometer"}, "z": {"unit": "micrometer"}}
    kinds = {"c": "channel", "t": "time"}
    listed = [{"name": axis, "type": kinds.get(axis, "space"), **units.get(axis, {})} for axis in axes]
    transforms = [{"type": "scale", "scale": [scale if axis in "zyx" else 1.0 for axis in axes]}]
    scales = [{"axes": listed, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": scales,
        "omero": {"channels": [{"label": name} for name in channels]},
    }


def run(capsys, *arguments):
    assert main(["measure", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("labels", ["labels.png", "labels.tif", "labels.npy", "palette.png", "labels.zarr"])
@pytest.mark.parametrize("output", ["t.csv", "t.parquet"])
def test_a_table_of_each_kind(capsys, labels, output):
    palette = Image.fromarray(LABELS.astype(np.uint8), mode="P")
    palette.putpalette([0, 0, 0, *[90, 0, 0] * 255])
    palette.save("palette.png")
    for name in ("labels.tif", "labels.npy", "labels.zarr"):
        write_labels(name, LABELS)
    summary = run(capsys, "cells.png", labels, "-o", output)
    table = pd.read_csv(output) if output.endswith("csv") else pd.read_parquet(output)
    assert summary["objects"] == 2
    assert summary["columns"] == [*table.columns]
    assert table.label.tolist() == [3, 70]
    assert table.area.tolist() == [150, 100]
    assert table.intensity_mean.tolist() == pytest.approx([PIXELS[k == LABELS].mean() for k in (3, 70)])
    assert "area_um2" not in table


def test_a_pixel_size_is_taken_from_the_image_or_the_option(capsys):
    tifffile.imwrite("cells.ome.tif", PIXELS, metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm",
                                                        "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"})  # fmt: skip
    run(capsys, "cells.ome.tif", "labels.png", "-o", "t.csv")
    assert pd.read_csv("t.csv").area_um2.tolist() == [37.5, 25]
    run(capsys, "cells.png", "labels.png", "-o", "t.csv", "--pixel-size", "2")
    assert pd.read_csv("t.csv").area_um2.tolist() == [600, 400]


def test_channels_by_name_of_labels_inside_the_image(capsys):
    picture = np.stack([PIXELS, PIXELS[::-1]])
    write_ome_zarr("image.zarr", picture, "cyx", channels=["DAPI", "GFP"])
    write_labels("outside.zarr", LABELS)
    run(capsys, "image.zarr", "outside.zarr", "-o", "t.csv")
    table = pd.read_csv("t.csv")
    assert table.intensity_mean_GFP.tolist() == pytest.approx([PIXELS[::-1][k == LABELS].mean() for k in (3, 70)])
    run(capsys, "image.zarr", "outside.zarr", "-o", "t.csv", "--channels", "GFP")
    assert [name for name in pd.read_csv("t.csv") if "mean" in name] == ["intensity_mean_GFP"]


def test_stacks_by_plane_and_in_3d(capsys):
    stack = np.stack([LABELS, LABELS, np.zeros_like(LABELS)])
    np.save("labels.npy", stack)
    write_ome_zarr("image.zarr", np.stack([PIXELS] * 3), "zyx", scale=0.5)
    run(capsys, "image.zarr", "labels.npy", "-o", "t.csv")
    assert pd.read_csv("t.csv")[["label", "z"]].to_numpy().tolist() == [[3, 0], [70, 0], [3, 1], [70, 1]]
    run(capsys, "image.zarr", "labels.npy", "-o", "t.csv", "--volume")
    assert pd.read_csv("t.csv").volume.tolist() == [300, 200]
    assert pd.read_csv("t.csv").volume_um3.tolist() == [37.5, 25]


def test_what_cannot_be_measured_is_one_sentence(capsys):
    np.save("other.npy", LABELS[1:])
    np.save("fractions.npy", LABELS + 0.5)
    before = sorted(file.name for file in Path().iterdir())
    for arguments, says in (
        (("cells.png", "labels.png", "-o", "t.xlsx"), ".csv or .parquet"),
        (("cells.png", "other.npy", "-o", "t.csv"), "labels of this image"),
        (("cells.png", "fractions.npy", "-o", "t.csv"), "fractions"),
        (("gone.png", "labels.png", "-o", "t.csv"), "gone.png"),
        (("cells.png", "gone.png", "-o", "t.csv"), "gone.png"),
        (("cells.png", "labels.png", "-o", "t.csv", "--volume"), "no z"),
        (("cells.png", "labels.png", "-o", "gone/t.csv"), "no folder"),
    ):
        assert main(["measure", *arguments]) == 2
        error = capsys.readouterr().err.strip()
        assert says in error
        assert "\n" not in error
    assert sorted(file.name for file in Path().iterdir()) == before

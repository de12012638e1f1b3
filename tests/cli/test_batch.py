from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_sam.batch import segmenters
from napari_sam.batch.progress import BatchProgress, FailedUnit
from napari_sam.cli.batch import _note
from napari_sam.cli.main import main
from napari_sam.cli.terminal_bar import TerminalBar
from napari_sam.model.sam import Sam
from threshold_segmenter import blobs, read_labels, write_zarr

SETTINGS = ("points_per_side=4", "pred_iou_thresh=0", "stability_score_thresh=0", "min_area=1")
FAST = [*(word for setting in SETTINGS for word in ("--set", setting)), "--tile", "64", "--overlap", "16"]


@pytest.fixture(autouse=True)
def _tiny(tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenters, "load_model", lambda name, **_: tiny_cell_model)
    segmenters._load.cache_clear()
    segmenters._predictor.cache_clear()


def test_batch_writes_labels_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = write_zarr(tmp_path / "in.zarr", blobs((100, 90), 1, 8)), tmp_path / "out.zarr"
    assert main(["batch", str(source), "-o", str(output), "--label", "nuclei", "--json", *FAST]) == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    labels = read_labels(output, "nuclei")
    assert summary["count"] == len(np.unique(labels)) - 1 > 0
    assert summary["labels"] == [f"{output}/labels/nuclei"]
    assert summary["failed"] == []
    assert captured.err == ""
    assert main(["batch", str(source), "-o", str(output), "--label", "nuclei", *FAST]) == 0
    assert f"Wrote {summary['count']} objects to {output}/labels/nuclei" in capsys.readouterr().out


def test_failed_units_are_named_and_the_status_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs((160, 90), 1, 8), chunks=32)
    (source / "c" / "0" / "0").write_bytes(b"damaged")
    assert main(["batch", str(source), "-o", str(tmp_path / "out.zarr"), "--retries", "0", "--json", *FAST]) == 1
    captured = capsys.readouterr()
    assert [unit["name"] for unit in json.loads(captured.out)["failed"]] == [
        "rows 0-64, columns 0-64",
        "rows 0-64, columns 26-90",
    ]
    assert captured.err.startswith("Left out rows 0-64, columns 0-64: Cannot read")
    assert len(captured.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tile", "3"], "Setting tile is 3"),
        (["--mode", "text"], "nothing to look for"),
        (["--text", "cells"], "the mode is auto"),
        (["--mode", "prompts"], "nothing to go by"),
        (["--mode", "prompts", "--prompts", "nothing"], "no labels of the image, and no label image"),
        (["--link", "z"], "no axis z to link along"),
        (["--set", "mode=slow"], "Setting mode is 'slow'"),
        (["--set", "tile=3"], "Unknown automatic setting 'tile'"),
        (["--normalization", "some"], "--normalization is 'some'"),
        (["--channels", "DAPI"], "no channel DAPI"),
        (["--level", "3"], "no level 3"),
        (["--scheduler", "nowhere"], "no Dask scheduler at nowhere"),
    ],
)
def test_unusable_arguments_are_one_sentence_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs((60, 60)))
    assert main(["batch", str(source), "-o", str(tmp_path / "out.zarr"), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert not (tmp_path / "out.zarr").exists()


def test_restart_replaces_and_other_parameters_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = write_zarr(tmp_path / "in.zarr", blobs((60, 60))), tmp_path / "out.zarr"
    command = ["batch", str(source), "-o", str(output)]
    assert main([*command, *FAST]) == 0
    assert main([*command, *FAST, "--normalization", "none"]) == 2
    assert "settings.normalization" in capsys.readouterr().err
    assert main([*command, *FAST, "--normalization", "none", "--restart"]) == 0


def test_a_stopped_job_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_zarr(tmp_path / "in.zarr", blobs((60, 60)))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(segmenters.AutoSegmenter, "segment", stop)
    assert main(["batch", str(source), "-o", str(tmp_path / "out.zarr"), *FAST]) == 130
    assert capsys.readouterr().err == "The same command goes on from here.\nStopped.\n"


@pytest.mark.parametrize(
    ("rate", "left", "failed", "says"),
    [
        (0.0, None, 0, ""),
        (2.5, 10.0, 0, "2.5/s, 0:00:10 left"),
        (0.1, 100.4, 1, "10.0 s each, 0:01:40 left, 1 failed"),
        (2.5, 0.0, 2, "2 failed"),
    ],
)
def test_progress_says_how_long_it_takes_still(rate: float, left: float | None, failed: int, says: str) -> None:
    units = tuple(FailedUnit(name=str(k), reason="") for k in range(failed))
    event = BatchProgress(phase="tiles", done=3, total=5, rate=rate, seconds_left=left, failed=units)
    assert _note(event) == says


@pytest.mark.parametrize("table", ["table.csv", "table.parquet"])
def test_what_is_segmented_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str) -> None:
    image = blobs((100, 90), 1, 8)
    source, output = write_zarr(tmp_path / "in.zarr", image), tmp_path / "out.zarr"
    assert main(["batch", str(source), "-o", str(output), "--measure", str(tmp_path / table), *FAST]) == 0
    rows = pd.read_csv(tmp_path / table) if table.endswith("csv") else pd.read_parquet(tmp_path / table)
    labels = read_labels(output)
    assert rows.label.tolist() == np.unique(labels)[1:].tolist()
    assert rows.area.tolist() == [np.count_nonzero(labels == label) for label in rows.label]
    np.testing.assert_allclose(rows.intensity_mean, [image[labels == label].mean() for label in rows.label])
    assert main(["batch", str(source), "-o", str(output), "--measure", str(tmp_path / "table.xlsx"), *FAST]) == 2
    assert "use .csv or .parquet" in capsys.readouterr().err


def test_several_images_go_to_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.zarr", "b.zarr"):
        write_zarr(tmp_path / "in" / name, blobs((100, 90), 1, 8))
    arguments = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--measure", "x.csv", "--json", *FAST]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [Path(row["output"]).name for row in summary["images"]] == ["a.zarr", "b.zarr"]
    for name in ("a", "b"):
        count = len(np.unique(read_labels(tmp_path / "out" / f"{name}.zarr"))) - 1
        assert count == len(pd.read_csv(tmp_path / "out" / f"{name}.csv")) > 0


def test_measuring_says_how_far_it_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, float, float]] = []
    monkeypatch.setattr(TerminalBar, "show", lambda bar, text, done=0, total=0: shown.append((text, done, total)))
    stack = np.stack([blobs((100, 90), seed, 8) for seed in (1, 2, 3)])
    source = write_zarr(tmp_path / "in.zarr", stack, axes="zyx")
    table = str(tmp_path / "table.csv")
    assert main(["batch", str(source), "-o", str(tmp_path / "out.zarr"), "--measure", table, *FAST]) == 0
    assert shown == [("Measuring", planes, 3) for planes in (1, 2, 3)]

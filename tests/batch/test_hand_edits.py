"""What people draw into labels of a job is theirs, however the job goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sam.batch.hand_edits import EditedLabelsError
from napari_sam.batch.segmenters import Found
from napari_sam.errors import InputError
from napari_sam.io.label_store import create_labels, open_labels
from napari_sam.io.large_image import open_large_image
from threshold_segmenter import ThresholdSegmenter, bits, blobs, events, read_labels, run, write_zarr

SHAPE = (2200, 300)  # two blocks of labels


@dataclass(frozen=True, kw_only=True)
class FailingSegmenter(ThresholdSegmenter):
    """Fail at some tiles; name objects, or give them ids, where the mode asks for it."""

    failing: tuple[int, ...] = ()
    mode: str = "auto"

    def segment(self, plane: Any, tile: Any, prompts: Any) -> Found:
        if tile.number in self.failing:
            raise ValueError("told to fail")
        found = super().segment(plane, tile, prompts)
        if self.mode == "text":
            return Found(records=found.records, texts=np.zeros(len(found.records), np.int32))
        if self.mode == "prompts":
            ids = np.arange(len(found.records)) + 1000 * tile.number + 1
            return Found(records=found.records, ids=ids, ranks=ids)
        return found


def draw(output: Path, row: int, label: int = 9999) -> None:
    """Paint 10 x 10 pixels as the docks do."""
    store = open_labels(output, "cells")
    index = dict.fromkeys(store.axes[:-2], 0)
    store.write(index, (row, 5, row + 10, 15), np.full((10, 10), label, np.int32))


def settings(tmp_path: Path, mode: str) -> dict[str, Any]:
    if mode == "prompts":
        (tmp_path / "points.csv").write_text("object_id,kind,row,col\n1,point,50,50\n")
        return {"mode": mode, "prompts": str(tmp_path / "points.csv")}
    return {"mode": mode, "text": ("cells",)} if mode == "text" else {}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zarr(tmp_path_factory.mktemp("image") / "in.zarr", blobs(SHAPE))


@pytest.mark.parametrize("mode", ["auto", "text", "prompts"])
@pytest.mark.parametrize("label", [9999, 0])
def test_a_job_that_has_something_to_do_again_names_edits_and_keeps_them(
    source: Path, tmp_path: Path, mode: str, label: int
) -> None:
    output, chosen = tmp_path / "out.zarr", settings(tmp_path, mode)
    assert run(source, output, segmenter=FailingSegmenter(failing=(8,), mode=mode), retries=0, **chosen).failed
    store = open_labels(output, "cells")
    row, col = np.argwhere(store.read({}, (0, 0, 200, 200)))[0].tolist()
    store.write({}, (row, col, row + 1, col + 1), np.full((1, 1), label, np.int32))
    before = bits(output)
    for restart in (False, True, False):
        with pytest.raises(EditedLabelsError, match=r"edited .*\(rows 0-2048, columns 0-300\)") as caught:
            run(source, output, segmenter=FailingSegmenter(mode=mode), restart=restart, **chosen)
        assert "\n" not in str(caught.value)
        assert bits(output) == before
    last = run(source, output, segmenter=FailingSegmenter(mode=mode), replace_edits=True, **chosen)
    assert last.failed == ()
    run(source, tmp_path / "fresh.zarr", segmenter=FailingSegmenter(mode=mode), **chosen)
    assert bits(output) == bits(tmp_path / "fresh.zarr")


def test_edits_stay_where_a_job_has_nothing_to_write(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zarr"
    job = events(source, output)
    for event in job:
        if event.phase == "labels" and event.done == 1:
            break
    job.close()
    draw(output, 5)  # into the block that is done
    assert run(source, output).failed == ()
    labels = read_labels(output)
    assert (labels[5:15, 5:15] == 9999).all()
    assert labels[2048:].max() > 0
    run(source, output)
    assert (read_labels(output)[5:15, 5:15] == 9999).all()


def test_what_is_drawn_before_a_block_is_written_stays(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zarr"
    job = events(source, output)
    for event in job:
        if event.phase == "labels" and event.done == 1:
            break
    job.close()
    draw(output, 2100)
    with pytest.raises(EditedLabelsError, match="rows 2048-2200, columns 0-300"):
        run(source, output)
    assert (read_labels(output)[2100:2110, 5:15] == 9999).all()


def test_restart_begins_anew_where_nobody_drew(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zarr"
    run(source, output)
    before = bits(output)
    phases = [event.phase for event in events(source, output, restart=True, overlap=96) if event.phase != "ready"]
    assert phases[0] == "edits"
    run(source, output, restart=True)
    assert bits(output) == before
    draw(output, 5)
    run(source, output, restart=True, replace_edits=True)
    assert bits(output) == before


def test_a_restart_at_another_level_knows_the_planes_of_the_old_labels(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=3)
    datasets = []
    for level, image in enumerate((np.zeros((3, 60, 60), np.uint8), np.zeros((2, 30, 30), np.uint8))):
        image[:, 5:15, 5:15] = 200
        group.create_array(str(level), shape=image.shape, chunks=(1, 30, 30), dtype="u1")[...] = image
        datasets.append(
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [1, level + 1, 1]}]}
        )
    axes = [{"name": axis, "type": "space"} for axis in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    run(tmp_path / "in.zarr", tmp_path / "out.zarr")
    store = open_labels(tmp_path / "out.zarr", "cells")
    store.write({"z": 2}, (40, 40, 50, 50), np.full((10, 10), 7, np.int32))
    with pytest.raises(EditedLabelsError, match=r"\(z=2, rows 0-60, columns 0-60\)"):
        run(tmp_path / "in.zarr", tmp_path / "out.zarr", level=1, restart=True)
    store.write({"z": 2}, (40, 40, 50, 50), np.zeros((10, 10), np.int32))
    run(tmp_path / "in.zarr", tmp_path / "out.zarr", level=1, restart=True)
    assert read_labels(tmp_path / "out.zarr").shape == (2, 30, 30)


@pytest.mark.parametrize("restart", [False, True])
def test_labels_drawn_while_a_job_had_only_begun_are_kept(source: Path, tmp_path: Path, restart: bool) -> None:
    output = tmp_path / "out.zarr"
    run(source, output)
    journal = tmp_path / "out.zarr-cells.job" / "journal.jsonl"
    journal.write_text("")  # as after a kill before the first line
    before = bits(output)
    with pytest.raises(InputError, match="labels cells that no job here made"):
        run(source, output, restart=restart)
    assert bits(output) == before


@pytest.mark.parametrize("file", ["job.json", "journal.jsonl"])
def test_files_of_a_job_that_tell_nothing_replace_nothing_unasked(source: Path, tmp_path: Path, file: str) -> None:
    output = tmp_path / "out.zarr"
    run(source, output)
    (tmp_path / "out.zarr-cells.job" / file).write_text("\x00\n\x00\n")
    before = bits(output)
    with pytest.raises(InputError, match="does not tell which of the labels cells"):
        run(source, output, restart=True)
    assert bits(output) == before
    run(source, output, restart=True, replace_edits=True)
    assert bits(output) == before


def test_labels_without_ome_metadata_are_somebodys_too(source: Path, tmp_path: Path) -> None:
    image = open_large_image(source)
    group = zarr.open_group(tmp_path / "out.zarr", mode="w", zarr_format=3)
    drawn = group.create_array("labels/cells/mine", shape=(10, 10), dtype="u4")
    drawn[...] = 5
    with pytest.raises(InputError, match="has labels cells already"):
        create_labels(image, tmp_path / "out.zarr", "cells")
    with pytest.raises(InputError, match="labels cells that no job here made"):
        run(source, tmp_path / "out.zarr")
    assert (group["labels/cells/mine"][...] == 5).all()  # type: ignore[index]

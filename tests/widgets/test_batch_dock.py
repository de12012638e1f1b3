"""SAM Batch in a real viewer: plans, runs to the same bits however often it is stopped, refuses, never blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from napari.layers import Labels
from qtpy.QtCore import Qt

from gui_helpers import LONGEST_PAUSE, longest_pause, wait_for, workers
from napari_sam.batch.progress import BatchProgress
from napari_sam.cli.batch import batch
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.io.label_store import open_labels
from napari_sam.widgets.batch_dock import BatchDock
from threshold_segmenter import ThresholdSegmenter, bits, blobs, read_labels, run, write_zarr

OpenBatch = Callable[..., BatchDock]
SHAPE = (500, 300)  # 3 x 2 tiles


@pytest.fixture
def open_batch(make_napari_viewer: Callable[..., napari.Viewer]) -> OpenBatch:
    """Open the dock as a user does, with small tiles and a segmenter that needs no model."""

    def open_(source: Any = None, viewer: napari.Viewer | None = None, **segmenter: Any) -> BatchDock:
        viewer = viewer or make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Batch")
        dock.set_settings(tile=256, overlap=64)
        dock.set_segmenter(ThresholdSegmenter(**segmenter))
        if source is not None:
            dock.set_input(source)
        dock.viewer = viewer
        return dock

    return open_


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_zarr(tmp_path / "in.zarr", blobs(SHAPE, count=25))


@pytest.fixture
def expected(source: Path, tmp_path: Path) -> dict[str, str]:
    run(source, tmp_path / "expected.zarr")
    return bits(tmp_path / "expected.zarr")


def write_ome(path: Path, image: npt.NDArray[Any], scale: float = 0.5, offset: float = 0.0) -> Path:
    """Write an OME-Zarr 0.5 image of two levels."""
    group = zarr.create_group(path)
    for number, step in enumerate((1, 2)):
        group.create_array(str(number), data=np.ascontiguousarray(image[::step, ::step]), chunks=(128, 128))
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {"type": "scale", "scale": [scale * step] * 2},
                {"type": "translation", "translation": [offset + scale * (step - 1) / 2] * 2},
            ],
        }
        for number, step in enumerate((1, 2))
    ]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def shown(part: Any) -> bool:
    return bool(part.isVisibleTo(part.window()))


def test_it_plans_runs_and_opens_the_result(open_batch: OpenBatch, source: Path, expected: dict[str, str]) -> None:
    dock = open_batch(source)
    dock.wait_idle()
    form, plan = dock._form, dock.plan
    output = source.with_name("in-labels.zarr")
    assert plan is not None
    assert (plan.planes, plan.tiles, plan.pixels, plan.done) == (1, 6, 500 * 300, None)
    assert "Zarr array" in form.found.text()
    assert "y 500, x 300" in form.found.text()
    assert "6 tiles" in form.plan.text()
    assert "unknown until the first tile" in form.plan.text()
    assert form.output.line.text() == str(output)  # a plain array cannot hold labels
    assert not form.open_result.isEnabled()
    with pytest.raises(InputError, match="no labels yet"):
        dock.open_result()
    form.run.click()
    assert dock.busy
    dock.wait_idle()
    assert bits(output) == expected
    assert dock.result is not None
    assert dock.result.outputs == (f"{output}/labels/cells",)
    assert not dock.result.stopped
    assert f"{dock.result.objects} objects" in dock.status
    form.open_result.click()
    (layer,) = dock.viewer.layers
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(np.asarray(layer.data[0] if layer.multiscale else layer.data), read_labels(output))


def test_stopped_jobs_go_on_in_another_session(
    open_batch: OpenBatch, make_napari_viewer: Any, source: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.mkdir()
    dock = open_batch(source, delay=0.3, log=str(log))
    dock.run()
    wait_for(lambda: "of 6" in dock._form.progress.format() and dock._form.progress.value() >= 1)
    dock._form.cancel.click()
    stopped_at = len(list(log.iterdir()))
    dock.wait_idle()
    assert dock.result is not None
    assert dock.result.stopped
    assert "Go on" in dock.status
    assert len(list(log.iterdir())) <= stopped_at + 1 < 6
    plan = dock.plan
    assert plan is not None
    assert plan.done == len(list(log.iterdir()))
    assert "about" in dock._form.plan.text()  # the rate is known now
    other = open_batch(source, viewer=make_napari_viewer(), log=str(log))
    other.wait_idle()
    assert f"{plan.done} of 6 tiles are done" in other._form.plan.text()
    assert other._form.run.text() == "Go on"
    other.run()
    other.wait_idle()
    assert bits(source.with_name("in-labels.zarr")) == expected
    assert len(list(log.iterdir())) == 6


def test_the_window_never_stands_still(open_batch: OpenBatch, tmp_path: Path) -> None:
    slow = write_zarr(tmp_path / "slow.zarr", blobs((1200, 600), count=60))
    dock = open_batch(slow, delay=0.02)
    dock.wait_idle()
    with longest_pause() as worst:
        dock.run()
        dock.wait_idle()
    assert worst[0] < 3 * LONGEST_PAUSE  # Python's threads take turns


def test_labels_go_into_the_image_and_lie_over_its_layer(open_batch: OpenBatch, tmp_path: Path) -> None:
    path = write_ome(tmp_path / "image.ome.zarr", blobs(SHAPE, count=25), offset=7.0)
    dock = open_batch()
    group = zarr.open_group(path, mode="r")
    layer = dock.viewer.add_image([group["0"], group["1"]], name="slide", scale=(3, 2), translate=(10, 20))
    assert dock._form.input.line.text() == str(path)  # the first image from a disk is taken by itself
    dock.set_settings(level=1)
    dock.wait_idle()
    assert "0.5 µm" in dock._form.editors.level.itemText(0)
    assert dock._form.output.line.text() == ""
    dock.run()
    dock.wait_idle()
    labels = dock.open_result()
    assert labels.data[0].shape == (250, 150) if labels.multiscale else labels.data.shape == (250, 150)
    np.testing.assert_allclose(labels.scale, (6, 4))
    np.testing.assert_allclose(labels.data_to_world((0, 0)), layer.data_to_world((0.5, 0.5)))
    dock.viewer.layers.remove(layer)
    again = dock.open_result()
    assert [each for each in dock.viewer.layers if isinstance(each, Labels)] == [again]
    np.testing.assert_allclose(again.scale, (1, 1))
    np.testing.assert_allclose(again.translate, (7.25, 7.25))


def test_of_a_plate_any_image_can_be_opened(open_batch: OpenBatch, tmp_path: Path) -> None:
    plate = zarr.create_group(tmp_path / "plate.zarr")
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}}
    for number, well in enumerate(("A/1", "B/2")):
        plate.create_group(well).attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
        write_ome(tmp_path / "plate.zarr" / well / "0", blobs((200, 200), number, 5))
    dock = open_batch(tmp_path / "plate.zarr")
    dock.wait_idle()
    assert "Plate of 2 images" in dock._form.found.text()
    assert "2 images, 2 planes, 2 tiles" in dock._form.plan.text()
    dock.run()
    dock.wait_idle()
    assert [dock._form.results.itemText(k) for k in range(2)] == ["A/1/0", "B/2/0"]
    second = dock.open_result("B/2/0")
    np.testing.assert_array_equal(np.asarray(second.data[0]), read_labels(tmp_path / "plate.zarr/B/2/0"))
    with pytest.raises(InputError, match="no labels yet"):
        dock.open_result("C/3/0")


def test_a_stack_opened_from_tiff_is_linked(open_batch: OpenBatch, tmp_path: Path) -> None:
    stack = np.stack([blobs((200, 200), seed=3, count=5)] * 3)
    tifffile.imwrite(tmp_path / "stack.tif", stack, ome=True, metadata={"axes": "ZYX"})
    dock = open_batch()
    dock.viewer.open(str(tmp_path / "stack.tif"), plugin="napari")
    dock.set_settings(link="z")
    dock.wait_idle()
    assert "z 3, y 200, x 200" in dock._form.found.text()
    dock.run()
    dock.wait_idle()
    labels = np.asarray(dock.open_result().data)
    np.testing.assert_array_equal(labels[0], labels[2])
    dock._form.prompts.layers.setCurrentIndex(1)  # its own labels as seeds
    dock._form.prompts.layers.activated.emit(1)
    assert dock._form.prompts.line.text() == f"{tmp_path}/stack-labels.zarr/labels/cells"


def test_unusable_inputs_are_refused(open_batch: OpenBatch, tmp_path: Path) -> None:
    dock = open_batch()
    dock.viewer.add_image(np.zeros((20, 20), np.uint8), name="drawn")
    with pytest.raises(InputError, match="memory only"):
        dock.set_input("drawn")
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((3, 40, 30), np.uint8), photometric="rgb", planarconfig="separate")
    dock.viewer.open(str(tmp_path / "rgb.tif"), plugin="napari", name="planar", rgb=False)
    with pytest.raises(InputError, match="other axes"):  # three channels there, three planes in the layer
        dock.set_input("planar")
    with pytest.raises(InputError, match="no image"):
        dock.run()
    dock.set_input(tmp_path / "nothing.zarr")
    with pytest.raises(InputError, match=r"no .*nothing\.zarr"):
        dock.wait_idle()
    assert "nothing.zarr" in dock._form.found.text()


def test_settings_are_checked_and_shown(open_batch: OpenBatch, source: Path) -> None:
    dock = open_batch(source)
    form = dock._form
    with pytest.raises(InputError, match="overlap"):
        dock.set_settings(overlap=200)
    assert dock.settings.overlap == 64
    dock.set_settings(tile=300, channels=("0",), link="z", normalization=(1, 200), auto={"points_per_side": 7})
    assert form.editors.editors["tile"].get() == 300
    assert form.editors.editors["link"].get() == "z"
    assert dock.settings.stretch == (1, 200)
    assert form.auto.settings.points_per_side == 7
    form.editors.editors["tile"].widget.setValue(10)  # what a user types
    assert "tile" in dock.status
    assert form.editors.editors["tile"].get() == 300
    text = form.editors.mode.model().index(form.editors.mode.findData("text"), 0)
    assert not text.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "--mode text" in text.data(Qt.ItemDataRole.ToolTipRole)


def test_prompts_may_come_after_the_mode(open_batch: OpenBatch, source: Path, tmp_path: Path) -> None:
    dock = open_batch(source)
    form = dock._form
    form.editors.mode.setCurrentIndex(form.editors.mode.findData("prompts"))
    form.editors.mode.activated.emit(form.editors.mode.currentIndex())
    assert shown(form.prompts)
    assert not shown(form.auto)
    assert "nothing to go by" in form.plan.text()
    with pytest.raises(InputError, match="nothing to go by"):
        dock.run()
    table = tmp_path / "cells.csv"
    table.write_text("object_id,kind,row,col,row1,col1,label\n5,point,3,4,,,1\n")
    form.prompts.line.setText(str(table))
    form.prompts.line.editingFinished.emit()
    dock.wait_idle()
    assert dock.settings.prompts == str(table)
    assert "6 tiles" in form.plan.text()
    dock.set_settings(mode="auto")
    assert dock.settings.prompts == ""


def test_settings_of_a_job_are_taken_over(open_batch: OpenBatch, source: Path) -> None:
    run(source, source.with_name("in-labels.zarr"), retries=1)
    dock = open_batch(source)
    dock.set_settings(overlap=32)
    dock.wait_idle()
    assert shown(dock._form.adopt)
    assert "other settings" in dock._form.plan.text()
    assert dock._form.run.text() == "Run"
    dock.run()
    with pytest.raises(InputError, match="overlap"):
        dock.wait_idle()
    assert not dock.busy
    dock._form.adopt.click()
    dock.wait_idle()
    assert dock.settings.overlap == 64
    assert not shown(dock._form.adopt)
    dock.run()
    dock.wait_idle()
    dock.set_settings(overlap=32)
    dock._form.restart.setChecked(True)
    dock._form.run.click()
    dock.wait_idle()
    assert not dock._form.restart.isChecked()
    assert dock.result is not None
    assert dock.result.outputs


def test_labels_edited_by_hand_stay_until_they_are_given_up(
    open_batch: OpenBatch, source: Path, expected: dict[str, str]
) -> None:
    dock = open_batch(source)
    assert not shown(dock._form.replace_edits)
    dock.run()
    dock.wait_idle()
    output = source.with_name("in-labels.zarr")
    store = open_labels(output, "cells")
    store.write({}, (5, 5, 15, 15), np.full((10, 10), 999, np.int32))
    assert shown(dock._form.replace_edits)
    dock._form.restart.setChecked(True)
    dock._form.run.click()
    with pytest.raises(InputError, match=r"were edited since this job wrote them \(rows 0-500, columns 0-300\)"):
        dock.wait_idle()
    assert (read_labels(output)[5:15, 5:15] == 999).all()
    dock._form.restart.setChecked(True)
    dock._form.replace_edits.setChecked(True)
    dock._form.run.click()
    dock.wait_idle()
    assert not dock._form.replace_edits.isChecked()
    assert bits(output) == expected


def test_what_failed_is_named(open_batch: OpenBatch, source: Path) -> None:
    (source / "c" / "0" / "0").write_bytes(b"damaged")
    dock = open_batch(source)
    dock.set_settings(retries=0)
    dock.run()
    dock.wait_idle()
    assert dock.result is not None
    failed = dock.result.failed
    assert [unit.name for unit in failed] == ["rows 0-256, columns 0-256", "rows 0-256, columns 44-300"]
    assert shown(dock._form.failures)
    assert dock._form.failed.item(1).text() == f"{failed[1].name}: {failed[1].reason}"
    assert "2 failed" in dock.status
    write_zarr(source.with_name("mended.zarr"), blobs(SHAPE, count=25))
    (source / "c" / "0" / "0").write_bytes((source.with_name("mended.zarr") / "c" / "0" / "0").read_bytes())
    dock.run()
    dock.wait_idle()
    assert not shown(dock._form.failures)
    assert dock.result.failed == ()


def test_nothing_changes_while_a_job_runs(open_batch: OpenBatch, source: Path) -> None:
    dock = open_batch(source, delay=0.2)
    dock.run()
    for change in (
        lambda: dock.set_input(source),
        lambda: dock.set_output(None),
        lambda: dock.set_settings(tile=512),
        dock.run,
    ):
        with pytest.raises(InputError, match="A job is going on"):
            change()
    assert not dock._form.editors.mode.isEnabled()
    dock.cancel()
    dock.wait_idle()
    assert dock._form.editors.mode.isEnabled()


def test_closing_the_dock_stops_the_job(open_batch: OpenBatch, source: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    dock = open_batch(source, delay=0.2, log=str(log))
    dock.run()
    wait_for(lambda: any(log.iterdir()))
    dock.viewer.window.remove_dock_widget(dock)
    wait_for(lambda: not workers())
    assert 1 <= len(list(log.iterdir())) < 6


@pytest.fixture
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_makes_the_same(open_batch: OpenBatch, source: Path, expected: dict[str, str], cluster: str) -> None:
    dock = open_batch(source)
    dock.set_scheduler("")
    with pytest.raises(InputError, match="no address"):
        dock.run()
    dock.set_scheduler(cluster)
    dock.run()
    dock.wait_idle()
    assert bits(source.with_name("in-labels.zarr")) == expected


def test_every_call_in_the_guide_exists() -> None:
    text = (Path(__file__).parents[2] / "docs" / "batch-dock.md").read_text()
    calls = re.findall(r"`(\w+)(?:\([^`]*\))?`", "\n".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    assert len(calls) > 12
    assert [call for call in calls if not hasattr(BatchDock, call)] == []


def test_a_fresh_dock_has_the_settings_of_the_command(
    make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch, source: Path
) -> None:
    """So that either continues what the other began."""
    seen: list[BatchSettings] = []

    def record(*_: Any, settings: BatchSettings, **__: Any) -> Iterator[BatchProgress]:
        seen.append(settings)
        yield BatchProgress(phase="finished", done=1, total=1)

    monkeypatch.setattr("napari_sam.batch.segment_zarr.segment_zarr", record)
    batch(str(source))
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Batch")
    dock.set_input(source)
    dock.run()
    dock.wait_idle()
    assert seen[0] == seen[1] == dock.settings

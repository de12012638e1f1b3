"""What tiles have found is to be seen before the job is done, lies over the image, and gives way to the labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest

from gui_helpers import wait_for
from napari_sam.batch.segmenters import Found
from napari_sam.batch.tile_progress import report
from napari_sam.io.label_store import open_labels
from napari_sam.widgets import batch_preview
from napari_sam.widgets.batch_preview import SO_FAR, TilePreview
from threshold_segmenter import ThresholdSegmenter, blobs, events, read_labels, write_zarr

SHAPE = (500, 300)  # 3 x 2 tiles
STEPS = 3000


@dataclass(frozen=True, kw_only=True)
class Gated:
    """A segmenter that works on its tiles, from number `open_to` on, for half a minute, unless the gate is there."""

    gate: str
    open_to: int = 2
    fingerprint: str = "gated"

    def segment(self, plane: Any, tile: Any, prompts: Any) -> Found:
        for step in range(STEPS):
            report(step, STEPS)
            if tile.number < self.open_to or Path(self.gate).exists():
                break
            time.sleep(0.01)
        return ThresholdSegmenter().segment(plane, tile, prompts)


@pytest.fixture
def dock(make_napari_viewer: Callable[..., napari.Viewer], tmp_path: Path) -> Any:
    source = write_zarr(tmp_path / "in.zarr", blobs(SHAPE, count=25))
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Batch")
    dock.set_settings(tile=256, overlap=64)
    dock.set_segmenter(Gated(gate=str(tmp_path / "gate")))
    dock.set_input(source)
    dock.wait_idle()
    dock.viewer = viewer
    return dock


def test_tiles_are_seen_as_they_come_and_give_way_to_the_labels(dock: Any, tmp_path: Path) -> None:
    form, viewer = dock._form, dock.viewer
    form.run.click()
    wait_for(lambda: "2 of 6" in form.progress.format() and form.open_result.isEnabled(), 60)
    form.open_result.click()
    (layer,) = viewer.layers
    assert layer.name == f"in cells {SO_FAR}"
    assert not layer.editable
    first = np.count_nonzero(layer.data)
    assert 0 < first < np.count_nonzero(blobs(SHAPE, count=25) > 100)
    (tmp_path / "gate").touch()
    dock.wait_idle()
    (layer,) = viewer.layers
    assert layer.name == "in cells"
    finest = layer.data[0] if layer.multiscale else layer.data
    np.testing.assert_array_equal(np.asarray(finest), read_labels(tmp_path / "in-labels.zarr"))
    assert "All is done" in dock.next_step
    assert "Go on" not in dock.next_step + dock.status + form.plan.text() + form.run.text()


def test_a_job_stops_inside_its_tile_and_shows_what_is_done(dock: Any, tmp_path: Path) -> None:
    form, viewer = dock._form, dock.viewer
    form.run.click()
    wait_for(lambda: "2 of 6" in form.progress.format() and form.open_result.isEnabled(), 60)
    form.cancel.click()
    dock.wait_idle(20)  # the tile takes 30 seconds
    assert dock.result.stopped
    assert dock.plan.done == 2
    assert form.run.text() == "Go on"
    form.open_result.click()
    (layer,) = viewer.layers
    so_far = np.count_nonzero(layer.data)
    assert so_far > 0
    (tmp_path / "gate").touch()
    form.run.click()
    dock.wait_idle()
    assert dock.result.outputs
    assert np.count_nonzero(read_labels(tmp_path / "in-labels.zarr")) > so_far


def test_what_a_stopped_job_has_done_is_seen_in_another_session(
    dock: Any, make_napari_viewer: Callable[..., napari.Viewer], tmp_path: Path
) -> None:
    form = dock._form
    form.run.click()
    wait_for(lambda: "2 of 6" in form.progress.format() and form.open_result.isEnabled(), 60)
    form.open_result.click()
    form.cancel.click()
    dock.wait_idle(20)
    (layer,) = dock.viewer.layers
    viewer = make_napari_viewer()
    _, other = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Batch")
    other.set_settings(tile=256, overlap=64)
    other.set_segmenter(Gated(gate=str(tmp_path / "gate")))
    other.set_input(tmp_path / "in.zarr")
    other.wait_idle()
    assert "Open result" in other._form.plan.text()
    assert other._form.open_result.isEnabled()
    other._form.open_result.click()
    other.wait_idle()
    (again,) = viewer.layers
    assert again.name == f"in cells {SO_FAR}"
    assert not again.editable
    assert np.count_nonzero(again.data) > 0
    np.testing.assert_array_equal(again.data > 0, layer.data > 0)
    viewer.layers.remove(again)
    other._form.open_result.click()
    np.testing.assert_array_equal(viewer.layers[0].data, again.data)
    (tmp_path / "gate").touch()
    other._form.run.click()
    other.wait_idle()
    other._form.open_result.click()
    (done,) = viewer.layers
    assert done.name == "in cells"
    assert "Open result</b> shows those tiles" not in other._form.plan.text()


def test_a_tile_that_was_damaged_since_is_said_and_made_again(dock: Any, tmp_path: Path) -> None:
    form = dock._form
    form.run.click()
    wait_for(lambda: "2 of 6" in form.progress.format(), 60)
    form.cancel.click()
    dock.wait_idle(20)
    (file, *_) = (tmp_path / "in-labels.zarr-cells.job" / "tiles").glob("*.npz")
    file.write_bytes(b"damaged")
    dock.set_input(tmp_path / "in.zarr")  # what was painted meanwhile is looked at no more
    dock.wait_idle()
    form.open_result.click()
    wait_for(lambda: file.name in dock.status)
    (tmp_path / "gate").touch()
    form.run.click()
    dock.wait_idle()
    assert dock.result.outputs


@pytest.mark.parametrize("largest", [SHAPE[0] * SHAPE[1], SHAPE[0] * SHAPE[1] // 5])
def test_large_images_are_shown_thinned_at_the_same_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, largest: int
) -> None:
    monkeypatch.setattr(batch_preview, "LARGEST", largest)
    image = blobs(SHAPE, count=25)
    source = write_zarr(tmp_path / "in.zarr", image)
    made = [pair for event in events(source, tmp_path / "out.zarr") for pair in event.made]
    preview = TilePreview(open_labels(str(tmp_path / "out.zarr"), "cells", "r"))
    preview.add(made)
    step = preview.step
    assert step == (1 if largest == image.size else 4)
    np.testing.assert_array_equal(preview.labels > 0, image[::step, ::step] > 100)
    viewer = napari.components.ViewerModel()
    layer = preview.show(viewer, str(source))
    np.testing.assert_allclose(layer.data_to_world((3, 5)), (3 * step, 5 * step))
    assert preview.remove(viewer)
    assert not viewer.layers

"""Try a region: what is seen of the image, segmented as the job would, before the long run; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.widgets import batch_trial
from threshold_segmenter import ThresholdSegmenter, blobs, write_zarr

SHAPE = (500, 300)


@pytest.fixture
def open_dock(make_napari_viewer: Callable[..., napari.Viewer]) -> Callable[..., Any]:
    def open_(source: Any = None, **segmenter: Any) -> Any:
        viewer = make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Batch")
        dock.set_settings(tile=256, overlap=64)
        dock.set_segmenter(ThresholdSegmenter(**segmenter))
        if source is not None:
            dock.set_input(source)
            dock.wait_idle()
        dock.viewer = viewer
        return dock

    return open_


def trials(viewer: Any) -> list[Labels]:
    return [layer for layer in viewer.layers if layer.metadata.get(batch_trial.TRIAL)]


def test_a_region_is_tried_again_and_again(
    open_dock: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(batch_trial, "LARGEST", 200)
    image = blobs(SHAPE, count=25)
    dock = open_dock(write_zarr(tmp_path / "in.zarr", image))
    for _ in range(2):
        dock._form.trial.click()
        assert dock.busy
        dock.wait_idle()
        (layer,) = trials(dock.viewer)  # in place of the one before
        np.testing.assert_array_equal(layer.data > 0, image[150:350, 50:250] > 100)
        np.testing.assert_allclose(layer.data_to_world((0, 0)), (150, 50))
        assert f"{len(np.unique(layer.data)) - 1} objects in this region" in dock.status
    assert [path.name for path in tmp_path.iterdir()] == ["in.zarr"]
    assert dock._form.run.isEnabled()
    assert dock.plan.done is None


def test_the_plane_and_part_in_view_are_tried(open_dock: Callable[..., Any], tmp_path: Path) -> None:
    stack = np.stack([np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8), blobs(SHAPE, count=25)])
    path = write_zarr(tmp_path / "in.zarr", stack, axes=("z", "y", "x"))
    dock = open_dock()
    viewer = dock.viewer
    layer = viewer.add_image(zarr.open_array(path, mode="r"), scale=(4.0, 0.5, 0.5))
    dock.set_input(layer)
    dock.wait_idle()
    viewer.dims.set_point(0, 8.0)
    layer.corner_pixels = np.array([[2, 100, 50], [2, 299, 249]])  # as napari notes what the canvas shows
    dock.try_region()
    dock.wait_idle()
    (found,) = trials(viewer)
    np.testing.assert_array_equal(found.data[0] > 0, stack[2, 100:300, 50:250] > 100)
    np.testing.assert_allclose(found.data_to_world((0, 0, 0)), (8.0, 50.0, 25.0))


def test_a_trial_can_be_stopped_and_what_fails_is_said(open_dock: Callable[..., Any], tmp_path: Path) -> None:
    dock = open_dock()
    with pytest.raises(InputError, match="no image"):
        dock.try_region()
    dock.set_input(write_zarr(tmp_path / "in.zarr", blobs(SHAPE)))
    dock.set_segmenter(ThresholdSegmenter(delay=0.5))
    dock.wait_idle()
    dock.try_region()
    with pytest.raises(InputError, match="going on"):
        dock.run()
    dock._form.cancel.click()
    dock.wait_idle()
    assert dock.status == "Stopped."
    assert not trials(dock.viewer)
    dock.set_segmenter(Broken())
    dock.try_region()
    with pytest.raises(InputError, match="no such thing"):
        dock.wait_idle()
    assert "no such thing" in dock.status


class Broken:
    """A segmenter that says what is wrong."""

    fingerprint = "broken"

    def segment(self, *_: Any) -> Any:
        raise InputError("There is no such thing.")

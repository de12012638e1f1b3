"""The demo's window holds the picture, the labels and the dock, ready for a click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_sam.sample_data import demo_sample
from napari_sam.widgets.demo_viewer import show_demo


def test_demo_window(make_napari_viewer: Callable[[], Any]) -> None:
    viewer = make_napari_viewer()
    sample = demo_sample()
    labels = np.zeros(sample.image.shape[:2], np.int32)
    labels[10:20, 10:20] = 7
    dock = show_demo(viewer, labels)
    np.testing.assert_array_equal(viewer.layers[sample.name].data, sample.image)
    assert dock.labels_layer is viewer.layers["demo labels"]
    assert viewer.layers.selection.active is viewer.layers["SAM points"]
    assert viewer.layers["SAM points"].mode == "add"


def test_click_in_the_demo_window_adds_a_label(make_napari_viewer: Callable[[], Any]) -> None:
    viewer = make_napari_viewer()
    row, col = demo_sample().clicks[0]
    labels = np.zeros(demo_sample().image.shape[:2], np.int32)
    labels[10:20, 10:20] = 7
    dock = show_demo(viewer, labels)
    dock.add_point((row, col))
    dock.wait_idle(timeout=120)
    assert dock.accept() == 8
    written = viewer.layers["demo labels"].data
    assert written[row, col] == 8
    assert (written[10:20, 10:20] == 7).all()

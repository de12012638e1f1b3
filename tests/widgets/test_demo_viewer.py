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
    show_demo(viewer, labels)
    np.testing.assert_array_equal(viewer.layers[sample.name].data, sample.image)
    np.testing.assert_array_equal(viewer.layers["demo labels"].data, labels)
    assert any("SAM Prompts" in name for name in viewer.window.dock_widgets)

"""Channels of one image are seen as red, green and blue, each with a brightness of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.errors import InputError
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock

Picture = npt.NDArray[np.uint8]


@pytest.fixture
def channels() -> npt.NDArray[np.uint16]:
    """(3, 40, 50): dim, brighter and brightest noise."""
    rng = np.random.default_rng(7)
    return np.stack([rng.integers(0, top, (40, 50)) for top in (60, 900, 60000)]).astype(np.uint16)


def seen(dock: PromptDock | AutoDock) -> Picture:
    """Return what the model is shown."""
    view = dock._session.view
    question = view.question(*view.place())
    assert question["normalization"] == "none" or dock._session.view.colours is None
    return np.asarray(question["read"]())


def stretched(channel: npt.NDArray[Any]) -> Picture:
    low, high = np.percentile(channel, (0.1, 99.9))
    return (np.clip((channel - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)


def test_layers_are_colours_each_with_its_own_brightness(open_dock: Any, channels: Any) -> None:
    dock = open_dock()
    for name, channel in zip(("dim", "middle", "bright"), channels, strict=True):
        dock.viewer.add_image(channel, name=name)
    dock.set_colours(["bright", None, "dim"])
    assert dock._session.view.layer.name in ("bright", "dim")
    picture = seen(dock)
    assert picture.shape == (40, 50, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture[..., 0].astype(int) - stretched(channels[2])).max() <= 1
    assert not picture[..., 1].any()
    assert np.abs(picture[..., 2].astype(int) - stretched(channels[0])).max() <= 1
    dock.add_point((20, 20))
    dock.wait_idle()
    assert dock.candidates
    dock.accept()
    assert dock.labels_layer.data.shape == (40, 50)
    dock.viewer.layers["dim"].contrast_limits = (0, 30)
    dock.set_normalization("displayed")
    assert seen(dock)[..., 2].mean() > picture[..., 2].mean() + 20
    dock.set_colours(None)
    assert seen(dock).ndim == 2


def test_channels_of_one_layer(open_dock: Any, channels: Any) -> None:
    dock = open_dock(channels, axis_labels=("c", "y", "x"))
    dock.set_colours([2, 0])
    picture = seen(dock)
    assert np.abs(picture[..., 1].astype(int) - stretched(channels[0])).max() <= 1
    with pytest.raises(InputError, match="no channel 3"):
        dock.set_colours([3])
    assert np.array_equal(seen(dock), picture)  # the choice stays


def test_the_boxes_choose_them(open_auto: Callable[..., AutoDock], channels: Any) -> None:
    dock = open_auto()
    for name, channel in zip(("dim", "middle", "bright"), channels, strict=True):
        dock.viewer.add_image(channel, name=name)  # type: ignore[attr-defined]
    choice = dock._form.colours
    choice.fold.click()
    red, green, _ = choice.combos
    assert [red.itemText(i) for i in range(red.count())] == ["dark", "dim", "middle", "bright"]
    green.setCurrentIndex(3)
    green.activated.emit(3)
    assert np.abs(seen(dock)[..., 1].astype(int) - stretched(channels[2])).max() <= 1
    assert choice.combos[1].currentText() == "bright"
    dock.run()
    dock.wait_idle()
    assert dock.labels_layer is not None
    dock.viewer.layers.remove("bright")  # type: ignore[attr-defined]
    assert dock._session.view.colours is None


def test_brightness_is_the_same_on_all_planes(open_dock: Any) -> None:
    stack = np.zeros((4, 30, 30), np.uint16)
    stack[:, 5:10, 5:10] = np.array([10, 100, 200, 1000])[:, None, None]
    dock = open_dock(stack)
    other = dock.viewer.add_image(stack // 2, name="half")
    dock.set_colours(["image", other])
    means = []
    for plane in range(4):
        dock.viewer.dims.set_point(0, plane)
        means.append(float(seen(dock)[..., 1].mean()))
    assert means == sorted(means)
    assert means[0] < means[3] / 20


@pytest.mark.parametrize("kind", ["shape", "place", "rgb", "labels", "none", "four", "unnamed axis"])
def test_what_does_not_lie_over_it_is_refused_in_a_sentence(open_dock: Any, kind: str) -> None:
    dock = open_dock(np.zeros((20, 20), np.uint8))
    viewer, given = dock.viewer, ["image", "other"]
    if kind == "shape":
        viewer.add_image(np.zeros((20, 21)), name="other")
    elif kind == "place":
        viewer.add_image(np.zeros((20, 20)), name="other", translate=(0, 3))
    elif kind == "rgb":
        viewer.add_image(np.zeros((20, 20, 3), np.uint8), name="other")
    elif kind == "labels":
        viewer.add_labels(np.zeros((20, 20), int), name="other")
    else:
        given = {"none": [None], "four": ["image"] * 4, "unnamed axis": [0]}[kind]  # type: ignore[assignment]
    with pytest.raises(InputError):
        dock.set_colours(given)
    assert dock._session.view.colours is None

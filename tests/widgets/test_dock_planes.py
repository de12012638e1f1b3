"""Stacks, lazy arrays, colour, pyramids and placed layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sam.errors import InputError
from napari_sam.inference.brightness import stack_normalization
from napari_sam.inference.predictor import Predictor
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]

RNG = np.random.default_rng(3)
STACK = RNG.integers(0, 3000, (2, 3, 40, 44)).astype(np.uint16)
PLANES = STACK.reshape(-1, 40, 44)
COLOUR = RNG.integers(0, 255, (40, 44, 3)).astype(np.uint8)


def mask_of(image: Any, model: Sam, row: float, col: float, *, planes: Any = None) -> Any:
    """Return the mask of a plane, with the brightness of all planes of its stack where these are given."""
    predictor = Predictor(model)
    predictor.set_image(image, normalization=stack_normalization([image] if planes is None else list(planes), "auto"))
    return predictor.predict([(row, col)]).masks[0]


def test_stacks_are_worked_on_plane_by_plane(open_dock: OpenDock, tiny_cell_model: Sam) -> None:
    dock = open_dock(STACK)
    dims = dock.viewer.dims
    dims.set_point((0, 1), (1, 2))
    dock.add_point((10, 12))
    dock.wait_idle()
    np.testing.assert_array_equal(dock.viewer.layers["SAM points"].data, [[1, 2, 10, 12]])
    first = mask_of(STACK[1, 2], tiny_cell_model, 10, 12, planes=PLANES)
    np.testing.assert_array_equal(dock.candidates[0].mask, first)
    assert dock.viewer.layers["SAM preview"].ndim == 4

    dims.set_point(1, 0)
    dock.wait_idle()
    assert dock.candidates == ()
    dock.add_point((0, 1, 30, 12))  # moves the slider
    assert tuple(dims.current_step[:2]) == (0, 1)
    dock.wait_idle()
    second = mask_of(STACK[0, 1], tiny_cell_model, 30, 12, planes=PLANES)
    np.testing.assert_array_equal(dock.candidates[0].mask, second)
    assert dock.accept() == 1

    dims.set_point((0, 1), (1, 2))
    dock.wait_idle()
    np.testing.assert_array_equal(dock.candidates[0].mask, first)
    assert dock.accept() == 2
    labels = dock.labels_layer.data
    assert labels.shape == STACK.shape
    np.testing.assert_array_equal(labels[0, 1], second)
    np.testing.assert_array_equal(labels[1, 2], 2 * first)
    dock.undo()
    assert not labels[1, 2].any()
    assert labels[0, 1].any()


def test_shapes_belong_to_their_plane(open_dock: OpenDock) -> None:
    dock = open_dock(STACK[0])
    dock.viewer.dims.set_point(0, 1)
    dock.add_box((3, 3, 20, 22))
    dock.wait_idle()
    assert dock._session.current.prompts.box == (3, 3, 20, 22)
    dock.viewer.dims.set_point(0, 2)
    dock.wait_idle()
    assert dock._session.current is None


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_lazy_stacks(open_dock: OpenDock, tiny_cell_model: Sam, kind: str) -> None:
    if kind == "dask":
        lazy: Any = da.from_array(STACK, chunks=(1, 1, 40, 44))
    else:
        lazy = zarr.create_array(store=zarr.storage.MemoryStore(), data=STACK, chunks=(1, 1, 40, 44))
    dock = open_dock(lazy, contrast_limits=(0, 3000))
    dock.viewer.dims.set_point((0, 1), (1, 1))
    dock.add_point((10, 12))
    dock.wait_idle()
    truth = mask_of(STACK[1, 1], tiny_cell_model, 10, 12, planes=PLANES)
    np.testing.assert_array_equal(dock.candidates[0].mask, truth)
    dock.accept()
    np.testing.assert_array_equal(dock.labels_layer.data[1, 1], truth)


def test_labels_in_zarr_are_written(open_dock: OpenDock) -> None:
    dock = open_dock(STACK[0])
    store = zarr.create_array(store=zarr.storage.MemoryStore(), shape=STACK[0].shape, chunks=(1, 20, 22), dtype="i4")
    dock.set_labels_layer(dock.viewer.add_labels(store))
    dock.viewer.dims.set_point(0, 2)
    dock.add_point((10, 12))
    dock.wait_idle()
    mask = dock.candidates[0].mask
    assert dock.accept() == 1
    np.testing.assert_array_equal(store[2], mask)
    assert not store[:2].any()
    np.testing.assert_array_equal(dock.labels_layer._slice.image.raw, mask)
    dock.undo()
    assert not store[:].any()


def test_labels_that_cannot_be_written_are_refused(open_dock: OpenDock) -> None:
    dock = open_dock(STACK[0, 0])
    dock.set_labels_layer(dock.viewer.add_labels(da.zeros((40, 44), dtype="i4"), name="lazy"))
    dock.add_point((10, 12))
    dock.wait_idle()
    with pytest.raises(InputError, match="'lazy' cannot be written"):
        dock.accept()


def test_colour_and_pyramids(open_dock: OpenDock, tiny_cell_model: Sam) -> None:
    dock = open_dock([COLOUR, COLOUR[::2, ::2]], multiscale=True, rgb=True)
    dock.add_point((10, 30))
    dock.wait_idle()
    truth = mask_of(COLOUR, tiny_cell_model, 10, 30)
    np.testing.assert_array_equal(dock.candidates[0].mask, truth)
    dock.accept()
    np.testing.assert_array_equal(dock.labels_layer.data, truth)


AFFINE = np.array([[1.2, 0.3, 5], [-0.2, 0.9, -7], [0, 0, 1]])


PLACED = {
    "scale": {"scale": (0.25, 0.5)},
    "translate": {"translate": (100, -30)},
    "rotate": {"rotate": 35},
    "affine": {"affine": AFFINE},
    "both": {"affine": AFFINE, "scale": (3, 2)},
}


@pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED.keys())
def test_placed_layers(open_dock: OpenDock, tiny_cell_model: Sam, placed: dict[str, Any]) -> None:
    image = STACK[0, 0]
    dock = open_dock(image, **placed)
    layer = dock.viewer.layers["image"]
    dock.add_point((10, 12))
    dock.wait_idle()
    truth = mask_of(image, tiny_cell_model, 10, 12)
    np.testing.assert_array_equal(dock.candidates[0].mask, truth)
    # what the user sees lies where it belongs
    points, preview = dock.viewer.layers["SAM points"], dock.viewer.layers["SAM preview"]
    np.testing.assert_allclose(points.data_to_world(points.data[0]), layer.data_to_world((10, 12)))
    rows, cols = np.nonzero(truth)
    np.testing.assert_allclose(
        preview.data_to_world((0, 0)), layer.data_to_world((rows.min(), cols.min())), atol=1e-9
    )  # fmt: skip
    dock.accept()
    np.testing.assert_array_equal(dock.labels_layer.data, truth)
    at = (20.0, 33.0)
    np.testing.assert_allclose(dock.labels_layer.data_to_world(at), layer.data_to_world(at))
    # a box in a turned layer is the box around it in the image
    dock.add_box((3, 4, 20, 30))
    dock.wait_idle()
    np.testing.assert_allclose(dock._session.current.prompts.box, (3, 4, 20, 30), atol=1e-6)


def test_placed_stacks(open_dock: OpenDock, tiny_cell_model: Sam) -> None:
    dock = open_dock(STACK[0], scale=(4, 0.5, 0.5), translate=(10, 3, 3))
    dock.add_point((2, 10, 12))
    assert dock.viewer.dims.point[0] == 18
    dock.wait_idle()
    np.testing.assert_array_equal(
        dock.candidates[0].mask, mask_of(STACK[0, 2], tiny_cell_model, 10, 12, planes=STACK[0])
    )


def test_prompts_stay_where_they_are_when_another_image_is_chosen(open_dock: OpenDock, tiny_cell_model: Sam) -> None:
    image = STACK[0, 0]
    dock = open_dock(image)
    dock.add_point((10, 12))
    dock.wait_idle()
    dock.set_image(dock.viewer.add_image(STACK[0, 1], name="moved", translate=(4, 5)))
    dock.wait_idle()
    np.testing.assert_array_equal(dock.candidates[0].mask, mask_of(STACK[0, 1], tiny_cell_model, 6, 7))


def test_three_dimensional_view_is_answered_with_a_sentence(open_dock: OpenDock) -> None:
    dock = open_dock(STACK[0])
    dock.add_point((10, 12))
    dock.wait_idle()
    dock.viewer.dims.ndisplay = 3
    dock.wait_idle()
    assert "3D" in dock.status
    assert dock.candidates == ()
    with pytest.raises(InputError, match="switch back"):
        dock.add_point((3, 3))
    with pytest.raises(InputError, match="switch back"):
        dock.accept()
    dock.viewer.dims.ndisplay = 2
    dock.wait_idle()
    assert dock.status == ""
    assert len(dock.candidates) == 3


def test_other_axes_can_be_displayed(open_dock: OpenDock, tiny_cell_model: Sam) -> None:
    volume = np.random.default_rng(1).integers(0, 900, (30, 35, 40)).astype(np.uint16)
    dock = open_dock(volume)
    dock.viewer.dims.order = (1, 2, 0)
    dock.viewer.dims.set_point(1, 7)
    dock.add_point((12, 20))
    dock.wait_idle()
    np.testing.assert_array_equal(dock.viewer.layers["SAM points"].data, [[12, 7, 20]])
    truth = mask_of(volume[:, 7], tiny_cell_model, 12, 20, planes=np.moveaxis(volume, 1, 0))
    np.testing.assert_array_equal(dock.candidates[0].mask, truth)
    dock.accept()
    np.testing.assert_array_equal(dock.labels_layer.data[:, 7], truth)

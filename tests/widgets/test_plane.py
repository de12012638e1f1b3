from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.errors import InputError
from napari_sam.widgets.plane import LabelPlane, Plane, current_plane, plane_reader


def test_plane_of_an_image_and_back() -> None:
    plane = Plane((1, 3), (4, 0, 2, 0), (10, 20))
    assert plane.fixed == (4, 2)
    assert plane.select(slice(1, 2), slice(3, 5)) == (4, slice(1, 2), 2, slice(3, 5))
    full = plane.embed([(5.5, 6)])
    np.testing.assert_array_equal(full, [[4, 5.5, 2, 6]])
    at, on_plane = plane.project(np.array([[4, 1, 2, 3], [5, 1, 2, 3], [4.4, 7, 2, 8]]))
    np.testing.assert_array_equal(at, [[1, 3], [1, 3], [7, 8]])
    assert on_plane.tolist() == [True, False, True]


def test_only_the_displayed_plane_is_read() -> None:
    read: list[tuple[int, ...]] = []

    def chunk(block_info: dict | None = None) -> np.ndarray:  # type: ignore[type-arg]
        t, z = (lo for lo, _ in block_info[None]["array-location"][:2])  # type: ignore[index]
        read.append((t, z))
        return np.full((1, 1, 8, 9), 10 * t + z, dtype=np.uint8)

    stack = da.map_blocks(chunk, chunks=((1,) * 3, (1,) * 4, (8,), (9,)), dtype=np.uint8, meta=np.zeros((0,) * 4, "u1"))
    viewer = ViewerModel()
    layer = viewer.add_image(stack, contrast_limits=(0, 255))
    viewer.dims.set_point((0, 1), (2, 3))
    plane = current_plane(viewer, layer)
    assert (plane.axes, plane.index, plane.shape) == ((2, 3), (2, 3, 0, 0), (8, 9))
    read.clear()
    pixels = plane_reader(layer, plane)()
    assert read == [(2, 3)]
    assert pixels.shape == (8, 9)
    assert (pixels == 23).all()


def test_other_displayed_axes_rgb_and_multiscale() -> None:
    viewer = ViewerModel()
    stack = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    layer = viewer.add_image(stack)
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_point(1, 2)
    plane = current_plane(viewer, layer)
    assert (plane.axes, plane.shape) == ((0, 2), (3, 5))
    np.testing.assert_array_equal(plane_reader(layer, plane)(), stack[:, 2])

    viewer = ViewerModel()
    colour = np.zeros((6, 7, 3), dtype=np.uint8)
    layer = viewer.add_image([colour, colour[::2, ::2]], multiscale=True, rgb=True)
    plane = current_plane(viewer, layer)
    assert plane.shape == (6, 7)
    assert plane_reader(layer, plane)().shape == (6, 7, 3)


def test_scaled_and_shifted_layers_find_their_plane() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((5, 8, 9)), scale=(3, 1, 1), translate=(100, 0, 0))
    viewer.dims.set_point(0, 109)
    assert current_plane(viewer, layer).index == (3, 0, 0)


def test_what_cannot_be_prompted_is_said_in_one_sentence() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((5, 8, 9)), name="small")
    viewer.dims.ndisplay = 3
    with pytest.raises(InputError, match="shows 3D"):
        current_plane(viewer, layer)
    viewer.dims.ndisplay = 2
    viewer.add_image(np.zeros((50, 8, 9)))
    viewer.dims.set_point(0, 20)
    with pytest.raises(InputError, match="plane 20 of 0 to 4"):
        current_plane(viewer, layer)
    flat = viewer.add_image(np.zeros((8, 9)), name="flat")
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(InputError, match="'flat' has 2 axes"):
        current_plane(viewer, flat)


def test_label_plane_reads_and_writes_parts() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((3, 6, 7), dtype=np.int32))
    labels = LabelPlane(layer, Plane((1, 2), (1, 0, 0), (6, 7)))
    assert (labels.shape, labels.ndim, labels.dtype) == ((6, 7), 2, np.int32)
    labels[2:4, 3:5] = 9
    assert layer.data.sum() == 36
    np.testing.assert_array_equal(labels[2:4, 3:5], 9)
    np.testing.assert_array_equal(np.asarray(labels), layer.data[1])


@pytest.mark.parametrize("tilt", [{"rotate": (1, 0, 0)}, {"shear": (0.5, 0, 0)}, {"affine": "skewed"}])
def test_a_plane_that_is_drawn_elsewhere_than_it_is_is_refused(tilt: dict[str, Any]) -> None:
    if "affine" in tilt:
        matrix = np.eye(4)
        matrix[2, 0] = -0.7
        tilt = {"affine": matrix}
    elif "rotate" in tilt:
        angle = np.deg2rad(1)
        tilt = {"rotate": np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])}
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((40, 80, 90)), name="tilted", scale=(2, 0.5, 0.5), **tilt)
    with pytest.raises(InputError, match="'tilted' is rotated or sheared out of the displayed plane"):
        current_plane(viewer, layer)


def test_a_stack_that_is_rotated_in_its_planes_is_not_refused() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((5, 80, 90)), scale=(2, 0.5, 0.5), rotate=20, shear=(0, 0, 0.3))
    viewer.dims.set_point(0, 6)
    assert current_plane(viewer, layer).index == (3, 0, 0)

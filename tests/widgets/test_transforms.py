from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Points

from napari_sam.widgets.transforms import data_to_data, data_to_world_matrix, lay_over, mixed_axes, placement


def test_matrix_does_what_the_layer_does() -> None:
    affine = np.array([[1.0, 0, 0, 5], [0, 0.9, 0.2, -3], [0, -0.1, 1.1, 2], [0, 0, 0, 1]])
    layer = Image(np.zeros((3, 4, 5)), scale=(2, 0.5, 0.25), translate=(1, 2, 3), rotate=30, affine=affine)
    at = np.array([1.5, 2.0, 0.25])
    np.testing.assert_allclose((data_to_world_matrix(layer) @ [*at, 1])[:3], layer.data_to_world(at))


def test_positions_between_layers_meet_in_the_world() -> None:
    image = Image(np.zeros((30, 40)), scale=(0.5, 0.5), rotate=20, translate=(7, -2))
    points = Points(np.array([[3.0, 4.0], [10.0, -5.0]]), scale=(2, 3))
    mapped = data_to_data(points, image, points.data)
    for source, target in zip(points.data, mapped, strict=True):
        np.testing.assert_allclose(image.data_to_world(target), points.data_to_world(source))


def test_same_placement_changes_no_bit() -> None:
    image = Image(np.zeros((30, 40)))
    points = Points(np.array([[3.1, 4.7]]))
    np.testing.assert_array_equal(data_to_data(points, image, points.data), points.data)


PLACES = [
    {"scale": (65e-9, 65e-9)},
    {"scale": (0.5, 0.2, 0.2), "translate": (100, -7, 3e5)},
    {"scale": (0.2, 0.2), "rotate": 30, "translate": (7, -2)},
    {"scale": (65, 65), "shear": [0.3]},
    {"affine": [[65, 0, 3], [0, 65, 4], [0, 0, 1]]},
    {"scale": (3, 2), "rotate": -80, "affine": [[0.1, 0.02, 3], [-0.02, 0.1, 4], [0, 0, 1]]},
]


@pytest.mark.parametrize("place", PLACES)
def test_a_layer_laid_over_another_lies_there_and_says_its_pixel_size(place: dict[str, Any]) -> None:
    ndim = len(place.get("scale", (1, 1)))
    image = Image(np.zeros((4,) * ndim), units=("um",) * ndim, **place)
    at = np.arange(1.0, ndim + 1)
    settings = placement(image, at)
    over = Labels(np.zeros((2,) * ndim, int), **settings)
    np.testing.assert_allclose(over.data_to_world(np.zeros(ndim)), image.data_to_world(at))
    np.testing.assert_allclose(over.data_to_world(at), image.data_to_world(2 * at))
    steps = [np.linalg.norm(np.subtract(image.data_to_world(e), image.data_to_world(0 * e))) for e in np.eye(ndim)]
    np.testing.assert_allclose(over.scale, steps if "affine" in place else place["scale"], rtol=1e-6)
    assert over.units == image.units


def test_scale_and_translate_are_copied_bit_by_bit_without_an_affine() -> None:
    image = Image(np.zeros((4, 5)), scale=(0.065, 0.0651), translate=(123456.7, -0.1))
    settings = placement(image)
    assert settings["scale"].tolist() == [0.065, 0.0651]
    assert settings["translate"].tolist() == [123456.7, -0.1]
    np.testing.assert_array_equal(settings["affine"], np.eye(3))


def test_a_layer_that_lies_right_is_left_alone() -> None:
    image = Image(np.zeros((4, 5)), scale=(0.065, 0.065), rotate=10)
    over = Points(ndim=2)
    lay_over(over, image)
    np.testing.assert_allclose(data_to_world_matrix(over), data_to_world_matrix(image))
    changes: list[str] = []
    for name in ("scale", "translate", "affine", "units"):
        over.events[name].connect(lambda event: changes.append(event.type))
    lay_over(over, image)
    assert changes == []


def test_axes_are_mixed_where_it_can_be_seen() -> None:
    flat = np.eye(4)
    tilted = np.eye(4)
    tilted[:2, :2] = [[np.cos(0.02), -np.sin(0.02)], [np.sin(0.02), np.cos(0.02)]]
    in_plane = np.eye(4)
    in_plane[1:3, 1:3] = tilted[:2, :2]
    noise = np.eye(4)
    noise[0, 1] = noise[1, 0] = 1e-9
    shape = (20, 200, 200)
    mixed = [mixed_axes(Image(np.zeros((2, 2, 2)), affine=m), shape, (1, 2)) for m in (flat, tilted, in_plane, noise)]
    assert mixed == [False, True, False, False]
    assert mixed_axes(Image(np.zeros((2, 2, 2)), affine=in_plane), shape, (0, 2))
    assert not mixed_axes(Image(np.zeros((2, 2)), rotate=30), (20, 20), (0, 1))

from __future__ import annotations

import numpy as np
from napari.layers import Image, Points

from napari_sam.widgets.transforms import data_to_data, data_to_world_matrix


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

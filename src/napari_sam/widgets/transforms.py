"""Positions between the data coordinates of two layers, by way of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["data_to_data", "data_to_world_matrix"]

Matrix = npt.NDArray[np.float64]


def data_to_world_matrix(layer: Layer) -> Matrix:
    """Return the (ndim + 1, ndim + 1) matrix from data to world: scale, rotate, shear, translate and affine in one."""
    ndim = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(ndim)), dtype=float)
    matrix = np.eye(ndim + 1)
    matrix[:ndim, ndim] = origin
    for axis, unit in enumerate(np.eye(ndim)):
        matrix[:ndim, axis] = np.asarray(layer.data_to_world(unit), dtype=float) - origin
    return matrix


def data_to_data(source: Layer, target: Layer, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Map (n, ndim) data coordinates of one layer to those of another with as many axes."""
    points = np.asarray(points, dtype=float).reshape(-1, source.ndim)
    matrix = np.linalg.solve(data_to_world_matrix(target), data_to_world_matrix(source))
    return points @ matrix[:-1, :-1].T + matrix[:-1, -1]

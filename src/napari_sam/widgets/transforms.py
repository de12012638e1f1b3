"""Where layers lie in the world: positions between their data coordinates, laying one over another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.utils.transforms import Affine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

__all__ = [
    "apply_matrix",
    "data_to_data",
    "data_to_world_matrix",
    "lay_over",
    "mixed_axes",
    "placement",
    "split_matrix",
]

Matrix = npt.NDArray[np.float64]
SHIFT = 0.5  # pixels or planes; axes that are mixed less than that do not matter anywhere in the layer


def data_to_world_matrix(layer: Layer) -> Matrix:
    """Return the (ndim + 1, ndim + 1) matrix from data to world: scale, rotate, shear, translate and affine in one."""
    inner = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, translate=layer.translate)
    return np.asarray(layer.affine.affine_matrix @ inner.affine_matrix, dtype=float)


def data_to_data(source: Layer, target: Layer, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Map (n, ndim) data coordinates of one layer to those of another with as many axes."""
    points = np.asarray(points, dtype=float).reshape(-1, source.ndim)
    matrix: npt.NDArray[Any] = np.linalg.solve(data_to_world_matrix(target), data_to_world_matrix(source))
    return apply_matrix(matrix, points)


def apply_matrix(matrix: npt.NDArray[Any], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map (n, ndim) positions by an (ndim + 1, ndim + 1) matrix."""
    return points @ matrix[:-1, :-1].T + matrix[:-1, -1]


def split_matrix(matrix: Matrix, scale: npt.ArrayLike | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return a matrix from data to world as a layer's `scale` and `translate`; what they cannot say is its `affine`.

    napari takes the size of a pixel, and so of marks and of what can be grasped with the mouse, from `scale` alone.

    Parameters
    ----------
    matrix
        (ndim + 1, ndim + 1), from data to world.
    scale
        The (ndim,) pixel sizes, if they are known; None: the lengths of the pixels' sides in the world.
    """
    linear, origin = matrix[:-1, :-1], matrix[:-1, -1]
    affine = np.eye(len(matrix))
    if np.array_equal(linear, np.diag(np.diag(linear))):
        return {"scale": np.diag(linear).copy(), "translate": origin.copy(), "affine": affine}
    steps = np.linalg.norm(linear, axis=0) if scale is None else np.asarray(scale, dtype=float)
    affine[:-1, :-1] = linear / steps
    affine[:-1, -1] = origin - affine[:-1, :-1] @ origin
    return {"scale": steps, "translate": origin.copy(), "affine": affine}


def placement(layer: Layer, start: npt.ArrayLike | None = None) -> dict[str, Any]:
    """Return the settings that lay another layer exactly over one, its first pixel at data coordinates `start`."""
    matrix = data_to_world_matrix(layer)
    if start is not None:
        matrix[:-1, -1] += matrix[:-1, :-1] @ np.asarray(start, dtype=float)
    own = np.array_equal(layer.affine.linear_matrix, np.eye(layer.ndim))
    return {
        **split_matrix(matrix, layer.scale if own else None),
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def lay_over(layer: Layer, other: Layer, start: npt.ArrayLike | None = None) -> None:
    """Lay a layer over another one with as many axes; what is so already is left alone."""
    for name, value in placement(other, start).items():
        now = layer.affine.affine_matrix if name == "affine" else getattr(layer, name)
        if not np.array_equal(now, value):
            setattr(layer, name, value)


def mixed_axes(layer: Layer, shape: Sequence[int], displayed: Sequence[int]) -> bool:
    """Tell whether a rotation or shear mixes the displayed axes with the others.

    napari draws such a plane as if it were not, so that the position of the mouse is not what is seen under it.

    Parameters
    ----------
    layer
        The layer.
    shape
        Of its array, without colours.
    displayed
        The axes that are displayed.
    """
    matrix = data_to_world_matrix(layer)[:-1, :-1]
    hidden = [axis for axis in range(len(matrix)) if axis not in displayed]
    if not hidden:
        return False
    inverse = np.linalg.inv(matrix)
    size, step = np.asarray(shape, dtype=float), np.linalg.norm(matrix, axis=0)
    into_world = np.abs(matrix[np.ix_(displayed, hidden)]) @ size[hidden]  # how far the picture is from where it is
    into_data = np.abs(inverse[np.ix_(hidden, displayed)]) @ (step[list(displayed)] * size[list(displayed)])
    return bool((into_world > SHIFT * step[list(displayed)]).any() or (into_data > SHIFT).any())

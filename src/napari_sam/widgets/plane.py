"""The displayed plane of a layer: which axes it spans, where it lies on the others, reading and writing it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.dask_chunks import DaskChunks, is_dask
from napari_sam.pipeline.large_planes import is_large
from napari_sam.widgets.transforms import mixed_axes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

__all__ = ["KEEPER", "LabelPlane", "Plane", "PlaneView", "base_level", "current_plane", "plane_reader", "stack_planes"]

KEEPER = "napari-sam-stack keeper"  # in the metadata of a labels layer: what writes to it instead of the layer's array

Index = tuple["int | slice", ...]


@dataclass(frozen=True)
class Plane:
    """Hold a two-dimensional section along two axes of an array.

    Parameters
    ----------
    axes
        The two axes that it spans, ascending: rows and columns.
    index
        Position along every axis of the array; 0 on the two that it spans.
    shape
        (H, W) of the section.
    """

    axes: tuple[int, int]
    index: tuple[int, ...]
    shape: tuple[int, int]

    @property
    def fixed(self) -> tuple[int, ...]:
        """Position along the axes that the plane does not span, in their order."""
        return tuple(i for axis, i in enumerate(self.index) if axis not in self.axes)

    def select(self, rows: slice = slice(None), cols: slice = slice(None)) -> Index:
        """Return the index of a part of the plane in the array."""
        index: list[int | slice] = list(self.index)
        index[self.axes[0]], index[self.axes[1]] = rows, cols
        return tuple(index)

    def embed(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Turn (n, 2) positions in the plane into (n, ndim) positions in the array."""
        points = np.asarray(points, dtype=float).reshape(-1, 2)
        full = np.tile(np.asarray(self.index, dtype=float), (len(points), 1))
        full[:, self.axes] = points
        return full

    def project(self, points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Turn (n, ndim) positions in the array into (n, 2) positions in the plane and (n,) bool: lies on it."""
        others = [axis for axis in range(len(self.index)) if axis not in self.axes]
        distance = np.abs(points[:, others] - np.asarray(self.index, dtype=float)[others])
        return points[:, self.axes], (distance <= 0.5).all(axis=1)


def current_plane(viewer: ViewerModel, layer: Layer) -> Plane:
    """Find the plane of a layer that the viewer shows.

    Raises
    ------
    InputError
        If the viewer is in 3D, the layer does not have the two displayed axes or mixes them with others, or the slider
        is outside the layer.
    """
    if viewer.dims.ndisplay != 2:
        raise InputError(
            "The viewer shows 3D, but prompts are set in 2D: switch back with the 2D/3D button below the layer list."
        )
    offset = viewer.dims.ndim - layer.ndim
    axes = sorted(axis - offset for axis in viewer.dims.displayed)
    if axes[0] < 0:
        raise InputError(
            f"The layer {layer.name!r} has {layer.ndim} axes and the displayed ones are not among them: "
            "roll the axes back with the buttons below the layer list."
        )
    shape = base_level(layer).shape
    if mixed_axes(layer, shape[: layer.ndim], axes):
        raise InputError(
            f"The layer {layer.name!r} is rotated or sheared out of the displayed plane, so that napari draws its "
            "planes where they are not: display other axes, or take the layer's rotation, shear and affine away."
        )
    position = np.asarray(layer.world_to_data(viewer.dims.point), dtype=float)
    index = [0 if axis in axes else int(np.round(position[axis])) for axis in range(layer.ndim)]
    for axis, i in enumerate(index):
        if not 0 <= i < shape[axis]:
            raise InputError(
                f"The slider of axis {axis + offset} stands outside the layer {layer.name!r} "
                f"(plane {i} of 0 to {shape[axis] - 1}): move it back over the image."
            )
    return Plane((axes[0], axes[1]), tuple(index), (shape[axes[0]], shape[axes[1]]))


def stack_planes(layer: Layer, plane: Plane) -> list[Plane]:
    """Return all planes of a layer that are parallel to one of it, in their order."""
    shape = base_level(layer).shape[: layer.ndim]
    ranges = [range(1 if axis in plane.axes else size) for axis, size in enumerate(shape)]
    return [Plane(plane.axes, index, plane.shape) for index in itertools.product(*ranges)]


def base_level(layer: Layer) -> Any:
    """Return the array of a layer, of a multiscale one its finest level."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def plane_reader(layer: Image, plane: Plane) -> Callable[[], Any]:
    """Return what reads one plane as (H, W), or (H, W, C) of an RGB layer; of a lazy array nothing else is read.

    A large plane comes as a `PlaneView`, of which parts are read later. The layer itself is not touched by the reading,
    which may happen in another thread after the layer is gone.
    """
    view = PlaneView(base_level(layer), plane, rgb=bool(getattr(layer, "rgb", False)))
    return (lambda: view) if is_large(plane.shape) else (lambda: np.asarray(view))


class PlaneView:
    """Show one plane of an array as an array-like of which only those parts are read that are asked for.

    Parameters
    ----------
    data
        NumPy, Zarr or Dask array, or anything that is read by slices.
    plane
        The plane.
    rgb
        Whether the array has a last axis of colours, which is kept; a fourth is alpha, as the layer says, and is not.
    """

    def __init__(self, data: Any, plane: Plane, *, rgb: bool = False) -> None:
        self._data = DaskChunks(data) if is_dask(data) and is_large(plane.shape) else data
        self._plane = plane
        self.dtype: np.dtype[Any] = np.dtype(data.dtype)
        self.shape: tuple[int, ...] = (*plane.shape, min(3, int(data.shape[-1]))) if rgb else plane.shape

    @property
    def ndim(self) -> int:
        """2, with colours 3."""
        return len(self.shape)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:, :], dtype=dtype)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        given = key if isinstance(key, tuple) else (key,)
        rows, cols, *colours = list(given) + [slice(0, 3)] * (self.ndim - len(given))
        return np.asarray(self._data[(*self._plane.select(rows, cols), *colours)])


class LabelPlane:
    """Read and write one plane of a labels layer as if it were a (H, W) array.

    A layer whose metadata have a `KEEPER` is written through it (see `stored_labels`).

    Parameters
    ----------
    layer
        The labels layer; its `data` is looked up at each access, so that it may be replaced.
    plane
        The plane.
    """

    def __init__(self, layer: Labels, plane: Plane) -> None:
        self.layer = layer
        self.plane = plane

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.plane.shape

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the labels."""
        return np.dtype(base_level(self.layer).dtype)

    @property
    def stored(self) -> str | None:
        """Where on disk the labels lie; None if they are in memory."""
        keeper = self.layer.metadata.get(KEEPER)
        return None if keeper is None else str(keeper.store.path)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self[:, :], dtype=dtype)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        rows, cols = _two_slices(key)
        self.check_shape()
        return np.asarray(base_level(self.layer)[self.plane.select(rows, cols)])

    def __setitem__(self, key: Any, value: npt.ArrayLike) -> None:
        rows, cols = _two_slices(key)
        self.check_shape()
        keeper = self.layer.metadata.get(KEEPER)
        if keeper is not None:
            keeper.write(self.plane, rows, cols, np.asarray(value))
            return
        try:
            self.layer.data[self.plane.select(rows, cols)] = value
        except (OSError, ValueError, TypeError, RuntimeError) as error:  # of any kind of array that is the user's
            raise InputError(
                f"The labels layer {self.layer.name!r} does not take what is written ({error}): "
                "choose another one, or 'new layer'."
            ) from error

    def check_shape(self) -> None:
        """Check that the layer's array, which may have been replaced, still has this plane.

        Raises
        ------
        InputError
            If not.
        """
        shape, plane = base_level(self.layer).shape, self.plane
        fits = len(shape) == len(plane.index) and all(at < side for at, side in zip(plane.index, shape, strict=True))
        if not fits or tuple(shape[axis] for axis in plane.axes) != plane.shape:
            raise InputError(
                f"The labels layer {self.layer.name!r} was given an array of another shape, {tuple(shape)}, "
                "since: what was written to the former one is not changed any more."
            )


def _two_slices(key: Any) -> Sequence[slice]:
    if key is Ellipsis:
        return slice(None), slice(None)
    if isinstance(key, slice):
        return key, slice(None)
    return key

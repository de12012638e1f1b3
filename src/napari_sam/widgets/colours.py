"""Several layers, or channels of one layer, seen as red, green and blue, each with a brightness of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.pipeline.large_planes import is_large
from napari_sam.widgets.plane import Plane, PlaneView, base_level, stack_planes
from napari_sam.widgets.transforms import data_to_world_matrix

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_sam.inference.normalization import Normalization

__all__ = ["Colour", "Colours"]

SAMPLED = 8  # planes of a stack that decide the brightness of a colour


class Colour:
    """Hold what one colour shows.

    Parameters
    ----------
    layer
        The layer.
    axis, channel
        Of its array: which axis holds channels, and which of them it is; None: the whole layer.
    """

    def __init__(self, layer: Image, axis: int | None = None, channel: int = 0) -> None:
        self.layer, self.axis, self.channel = layer, axis, channel
        self._settled: dict[Any, Normalization] = {}

    @property
    def place(self) -> tuple[int, int | None, int]:
        """What tells it from others."""
        return id(self.layer), self.axis, self.channel

    def check(self, image: Image) -> None:
        """Check that it lies over an image, pixel on pixel.

        Raises
        ------
        InputError
            Naming what differs.
        """
        name, shape = self.layer.name, base_level(self.layer).shape
        if self.layer.rgb:
            raise InputError(f"The layer {name!r} has colours already: choose layers with one value a pixel.")
        if shape != base_level(image).shape:
            raise InputError(
                f"The layer {name!r} has the shape {shape} and {image.name!r} {base_level(image).shape}: "
                "choose channels of one image."
            )
        if not np.allclose(data_to_world_matrix(self.layer), data_to_world_matrix(image)):
            raise InputError(
                f"The layer {name!r} does not lie where {image.name!r} lies: give both the same scale and translate."
            )
        if self.axis is not None and not 0 <= self.channel < shape[self.axis]:
            raise InputError(
                f"There is no channel {self.channel} along axis {self.axis} of {name!r}: "
                f"there are {shape[self.axis]}, numbered from 0."
            )

    def view(self, plane: Plane) -> PlaneView:
        """Return what is shown of a plane, (H, W)."""
        return PlaneView(base_level(self.layer), self._moved(plane))

    def brightness(self, plane: Plane, how: Any) -> Normalization:
        """Return which values are black and white, the same on all planes of the layer; reads some of them."""
        from napari_sam.inference.normalization import resolve_normalization

        key = plane.axes, how
        if key not in self._settled:
            planes = list(dict.fromkeys(self._moved(each) for each in stack_planes(self.layer, plane)))
            step = max(1, -(-len(planes) // SAMPLED))
            data, many = base_level(self.layer), len(planes) > 1 and not is_large(plane.shape)
            image: Any = self.view(plane)
            if many:
                image = np.concatenate([np.asarray(PlaneView(data, each)) for each in planes[::step]])
            self._settled[key] = resolve_normalization(image, how)
        return self._settled[key]

    def _moved(self, plane: Plane) -> Plane:
        if self.axis is None:
            return plane
        if self.axis in plane.axes:
            raise InputError(
                f"Axis {self.axis} of {self.layer.name!r} holds its channels and is displayed: roll the axes back."
            )
        index = list(plane.index)
        index[self.axis] = self.channel
        return replace(plane, index=tuple(index))


class Colours:
    """Show up to three channels as red, green and blue; None leaves a colour dark."""

    def __init__(self, colours: Sequence[Colour | None]) -> None:
        if not 1 <= len(colours) <= 3 or not any(colours):
            raise InputError(f"{len(colours)} colours given: give one to three channels, for red, green and blue.")
        self.colours = (*colours, None, None)[:3]

    @property
    def layers(self) -> list[Image]:
        """The layers that are looked at."""
        return list(dict.fromkeys(colour.layer for colour in self.colours if colour is not None))

    def check(self, image: Image) -> None:
        """Check that all lie over an image, pixel on pixel; raises what `Colour.check` does."""
        for colour in self.colours:
            if colour is not None:
                colour.check(image)

    def fit(self, image: Image) -> bool:
        """Tell whether they do."""
        try:
            self.check(image)
        except InputError:
            return False
        return True

    def reader(self, plane: Plane, how: Any) -> Callable[[], Any]:
        """Return what reads a plane as (H, W, 3) uint8; a large one comes as an array-like that is read in parts.

        Parameters
        ----------
        plane
            Of the image.
        how
            How values become brightness, as `ImageView.set_normalization` takes it.
        """
        ways = [_way(colour, how) for colour in self.colours]
        view = _ColourView(self.colours, plane, ways)
        return (lambda: view) if is_large(plane.shape) else (lambda: np.asarray(view))


class _ColourView:
    """Stretch and stack what is read of three channels; behaves as an array (H, W, 3) of uint8."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, colours: Sequence[Colour | None], plane: Plane, ways: Sequence[Any]) -> None:
        self._colours, self._plane, self._ways = colours, plane, ways
        self.shape = (*plane.shape, 3)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:, :], dtype=dtype)

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        from napari_sam.inference.normalization import apply_normalization

        rows, cols, *rest = key if isinstance(key, tuple) else (key, slice(None))
        shown: list[npt.NDArray[np.uint8]] = []
        for colour, how in zip(self._colours, self._ways, strict=True):
            if colour is not None:
                part = colour.view(self._plane)[rows, cols]
                shown.append(apply_normalization(part, colour.brightness(self._plane, how))[..., 0])
        dark = np.zeros_like(shown[0])
        given = iter(shown)
        picture = np.stack([dark if colour is None else next(given) for colour in self._colours], axis=-1)
        return picture[(slice(None), slice(None), *rest)]


def _way(colour: Colour | None, how: Any) -> Any:
    """Return how one colour becomes brightness; what napari shows is read here, in the GUI thread."""
    if colour is None or how != "displayed":
        return how
    low, high = (float(limit) for limit in colour.layer.contrast_limits)
    return low, high

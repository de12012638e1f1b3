"""Labels layers that lie over an image: making a new one, and checking whether one can be written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.widgets.plane import base_level
from napari_sam.widgets.prompt_layers import insert_below_prompts
from napari_sam.widgets.transforms import data_to_world_matrix

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["add_labels_layer", "check_labels_layer"]

LARGEST_IN_MEMORY = 2**30  # bytes; a larger new label array is kept compressed, and only where something is written


def add_labels_layer(viewer: ViewerModel, image: Image, name: str) -> Labels:
    """Add an empty int32 labels layer with the image's axes and placement."""
    layer = Labels(
        _empty_labels(base_level(image).shape[: image.ndim]),
        name=name,
        affine=data_to_world_matrix(image),
        units=image.units,
        axis_labels=image.axis_labels,
    )
    insert_below_prompts(viewer, layer)
    return layer


def _empty_labels(shape: tuple[int, ...]) -> Any:
    if math.prod(shape) * 4 <= LARGEST_IN_MEMORY:
        return np.zeros(shape, dtype=np.int32)
    import zarr

    chunks = (*(1,) * (len(shape) - 2), *(min(side, 1024) for side in shape[-2:]))
    return zarr.create_array(store=zarr.storage.MemoryStore(), shape=shape, chunks=chunks, dtype="int32", fill_value=0)


def check_labels_layer(layer: Labels, image: Image) -> None:
    """Check that a labels layer has the shape of the image and can be written.

    Raises
    ------
    InputError
        If not.
    """
    shape = tuple(base_level(image).shape[: image.ndim])
    if layer.multiscale or not hasattr(layer.data, "__setitem__") or type(layer.data).__module__.startswith("dask"):
        raise InputError(
            f"The labels layer {layer.name!r} cannot be written, because it is "
            f"{'multiscale' if layer.multiscale else 'a computed (dask) array'}: choose another or 'new layer'."
        )
    if tuple(layer.data.shape) != shape:
        raise InputError(
            f"The labels layer {layer.name!r} has the shape {tuple(layer.data.shape)} and the image {shape}: "
            "choose a labels layer of the image's shape or 'new layer'."
        )

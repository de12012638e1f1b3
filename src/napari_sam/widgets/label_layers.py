"""Labels layers that lie over an image: making a new one, and checking whether one can be written."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam.errors import InputError
from napari_sam.io.dask_chunks import is_dask
from napari_sam.pipeline.large_planes import LARGE_PLANE, is_large
from napari_sam.widgets.free_labels import check_room
from napari_sam.widgets.label_shelf import LabelShelf, is_shelved
from napari_sam.widgets.plane import KEEPER, base_level
from napari_sam.widgets.prompt_layers import insert_below_prompts
from napari_sam.widgets.stored_labels import StoredLabels, keeper_of, stored_place
from napari_sam.widgets.transforms import placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.io.label_store import LabelStore

__all__ = [
    "add_labels_layer",
    "check_labels_layer",
    "find_stored_layer",
    "labels_problem",
    "make_stored_layer",
    "needs_store",
]

LARGEST_IN_MEMORY = 2**30  # bytes; a larger new label array is kept compressed, and only where something is written


def add_labels_layer(viewer: ViewerModel, image: Image, name: str) -> Labels:
    """Add an empty int32 labels layer in memory with the image's axes and placement.

    Raises
    ------
    InputError
        If memory does not hold a plane of it.
    """
    shape = base_level(image).shape[: image.ndim]
    if is_large(shape[-2:]) and math.prod(shape) * 4 > LARGEST_IN_MEMORY:
        raise InputError(
            f"The image {image.name!r} has planes of {shape[-2]} x {shape[-1]} pixels, too large to edit its labels in "
            f"memory (at most {LARGE_PLANE} pixels): run `napari-sam batch`, or crop the image."
        )
    return _add(viewer, image, _empty_labels(shape), name)


def needs_store(image: Image) -> bool:
    """Tell whether labels of an image are kept on disk and shown as a multiscale layer."""
    return is_shelved(image, LARGEST_IN_MEMORY)


def find_stored_layer(viewer: ViewerModel, image: Image) -> Labels | None:
    """Return a layer of the labels on disk that were made for an image before, added if need be, or None."""
    store = LabelShelf(image).find()
    if store is None:
        return None
    shown = (layer for layer in viewer.layers if isinstance(layer, Labels))
    found = next((layer for layer in shown if stored_place(layer) == (store.location, store.name)), None)
    return found if found is not None else _add_stored(viewer, image, store)


def make_stored_layer(viewer: ViewerModel, image: Image, place: str) -> Labels:
    """Add a layer of labels on disk: those that were made before and are not shown, else new ones.

    Parameters
    ----------
    viewer, image
        What the labels lie over.
    place
        One of `label_shelf.PLACES`.

    Raises
    ------
    InputError
        If they cannot be made.
    """
    shelf = LabelShelf(image)
    shown = {stored_place(layer) for layer in viewer.layers if isinstance(layer, Labels)}
    return _add_stored(viewer, image, shelf.find({place for place in shown if place}) or shelf.make(place))


def _add_stored(viewer: ViewerModel, image: Image, store: LabelStore) -> Labels:
    data = list(store.levels) if len(store.levels) > 1 else store.array
    layer = _add(viewer, image, data, f"{image.name} {store.name}")
    layer.metadata[KEEPER] = keeper = StoredLabels(store)
    layer.events.paint.connect(lambda event: keeper.raise_highest(int(event.source.selected_label)))  # of one level
    return layer


def _add(viewer: ViewerModel, image: Image, data: Any, name: str) -> Labels:
    layer = Labels(data, name=name, **placement(image))
    insert_below_prompts(viewer, layer)
    return layer


def _empty_labels(shape: tuple[int, ...]) -> Any:
    if math.prod(shape) * 4 <= LARGEST_IN_MEMORY:
        return np.zeros(shape, dtype=np.int32)
    import zarr

    chunks = (*(1,) * (len(shape) - 2), *(min(side, 1024) for side in shape[-2:]))
    return zarr.create_array(store=zarr.storage.MemoryStore(), shape=shape, chunks=chunks, dtype="int32", fill_value=0)


def check_labels_layer(layer: Labels, image: Image) -> None:
    """Check that a labels layer has the shape of the image, can be written.

    Raises
    ------
    InputError
        If not.
    """
    shape = tuple(base_level(image).shape[: image.ndim])
    stored = keeper_of(layer) is not None
    unwritable = layer.multiscale or is_dask(layer.data) or not hasattr(layer.data, "__setitem__")
    if unwritable and not stored:
        raise InputError(
            f"The labels layer {layer.name!r} cannot be written, because it is "
            f"{'multiscale' if layer.multiscale else 'a computed (dask) array'}: choose another or 'new layer'."
        )
    found = tuple(base_level(layer).shape)
    if found != shape:
        raise InputError(
            f"The labels layer {layer.name!r} has the shape {found} and the image {shape}: "
            "choose a labels layer of the image's shape or 'new layer'."
        )
    if _is_read_only(layer):
        raise InputError(
            f"The labels layer {layer.name!r} cannot be written, because its data are open for reading only: "
            "choose another or 'new layer'."
        )


def labels_problem(layer: Labels | None, image: Image) -> str:
    """Say why a new object of an image cannot be written to a labels layer, "" if it can, or if None is chosen yet."""
    try:
        if layer is not None:
            check_labels_layer(layer, image)
            check_room(layer)
    except InputError as error:
        return str(error)
    return ""


def _is_read_only(layer: Labels) -> bool:
    keeper = keeper_of(layer)
    if keeper is not None:
        place = keeper.store.path
        return bool(keeper.store.array.read_only) or (os.path.exists(place) and not os.access(place, os.W_OK))
    data = layer.data
    if isinstance(data, np.ndarray):
        return not data.flags.writeable
    of_file = getattr(getattr(data, "file", None), "mode", "")  # HDF5
    return bool(getattr(data, "read_only", False)) or of_file == "r"

"""The labels of a batch job as a layer that is read as it is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam.io.label_store import LabelStore, open_labels
from napari_sam.io.large_image import LargeImage, open_large_image
from napari_sam.io.zarr_location import absolute
from napari_sam.widgets.batch_place import lies_on_disk
from napari_sam.widgets.image_location import locate_image
from napari_sam.widgets.prompt_layers import insert_below_prompts
from napari_sam.widgets.stored_labels import stored_place
from napari_sam.widgets.transforms import data_to_world_matrix, split_matrix

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["Grid", "place_of_labels", "show_labels", "title_of_labels"]


def show_labels(viewer: ViewerModel, source: str, location: str, name: str) -> Labels:
    """Add labels on disk as a layer over their image, anew if they are shown already.

    Parameters
    ----------
    viewer
        The viewer.
    source
        Location of the image. A layer that shows it gives the place in the world, else the metadata of the labels do.
    location, name
        Of the labels.

    Raises
    ------
    InputError
        If there are no such labels.
    """
    store = open_labels(location, name, "r")
    for layer in [layer for layer in viewer.layers if isinstance(layer, Labels)]:
        if stored_place(layer) == (store.location, store.name):
            viewer.layers.remove(layer)  # what it keeps in memory may be older
    how = place_of_labels(viewer, source, Grid.of(store))
    levels = list(store.levels)
    data = levels if len(levels) > 1 else levels[0]
    layer = Labels(data, name=title_of_labels(source, name), multiscale=len(levels) > 1, **how)
    insert_below_prompts(viewer, layer)
    return layer


@dataclass(frozen=True)
class Grid:
    """Hold axes and sides of labels that an image would have, and how they lie by its metadata."""

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]

    @classmethod
    def of(cls, image: LargeImage | LabelStore) -> Grid:
        """Return that of an image, at its level, or of labels that are there."""
        if isinstance(image, LabelStore):
            level = open_large_image(image.path).levels[0]
            return cls(tuple(image.axes), tuple(image.array.shape), tuple(level.scale), tuple(level.translation))
        level, kept = image.levels[image.level], [k for k, axis in enumerate(image.axes) if axis != "c"]
        return cls(
            tuple(image.axes[k] for k in kept),
            tuple(int(image.array.shape[k]) for k in kept),
            tuple(level.scale[k] for k in kept),
            tuple(level.translation[k] for k in kept),
        )


def place_of_labels(viewer: ViewerModel, source: str, grid: Grid) -> dict[str, Any]:
    """Return how a layer of labels lies in the world: over the layer that shows the image, else by their metadata."""
    image = next((found for layer in viewer.layers if (found := _shows(layer, source)) is not None), None)
    return _own_place(grid) if image is None else _place_over(*image, grid)


def title_of_labels(source: str, name: str) -> str:
    """Return the name of the layer."""
    stem = source.rstrip("/").replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]
    return f"{stem} {name}"


def _shows(layer: Any, source: str) -> tuple[Image, LargeImage] | None:
    if not lies_on_disk(layer):
        return None
    image = locate_image(layer)
    return (layer, image) if image is not None and image.location == absolute(source) else None


def _own_place(grid: Grid) -> dict[str, Any]:
    return {"scale": grid.scale, "translate": grid.translation}


def _place_over(layer: Image, image: LargeImage, grid: Grid) -> dict[str, Any]:
    """Return how labels lie over an image layer, which may show another level than the labels were made of."""
    matrix = data_to_world_matrix(layer)
    axes = image.axes if layer.ndim == len(image.axes) else [axis for axis in image.axes if axis != "c"]
    if len(axes) != layer.ndim or not set(grid.axes) <= set(axes):
        return _own_place(grid)
    kept = [axes.index(axis) for axis in grid.axes]
    sizes = image.sizes
    step = np.array([sizes[axis] / side for axis, side in zip(grid.axes, grid.shape, strict=True)])
    linear = matrix[np.ix_(kept, kept)] * step
    origin = matrix[kept, -1] + matrix[np.ix_(kept, kept)] @ ((step - 1) / 2)  # pixel centres are at integers
    look = {"units": [layer.units[k] for k in kept], "axis_labels": [layer.axis_labels[k] for k in kept]}
    over = np.eye(len(kept) + 1)
    over[:-1, :-1], over[:-1, -1] = linear, origin
    return {**split_matrix(over), **look}

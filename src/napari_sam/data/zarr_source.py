"""OME-Zarr images (0.4 and 0.5) with a label image in their group `labels`, plane by plane and tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.data.labelled_image import LabelledImage
from napari_sam.errors import InputError
from napari_sam.io.label_numbers import as_labels
from napari_sam.io.large_image import LargeImage, open_large_image
from napari_sam.io.ome_metadata import ome_attributes
from napari_sam.io.zarr_location import join, open_node

__all__ = ["list_zarr"]

TILE = 2048  # larger planes are cut, so that a draw never reads a whole slide


def list_zarr(
    path: Path,
    source: str,
    *,
    level: int = 0,
    labels: str = "",
    every: int = 1,
    channels: tuple[int, ...] | None = None,
) -> tuple[list[LabelledImage], list[str]]:
    """List the planes of an OME-Zarr image, those of more than 2048 pixels a side in tiles.

    Parameters
    ----------
    path
        The image's group.
    source
        Its name as the user gave it.
    level
        Of the pyramid, 0 the finest; the label level of the same size is taken.
    labels
        Name of the label image; "" takes the only one.
    every
        Of the planes, the first and every so-many-th after it.
    channels
        See `select_channels`.

    Raises
    ------
    InputError
        If there is no image, no such label image, or they do not fit.
    """
    image = open_large_image(path, level=level)
    if not image.version:
        raise InputError(f"Cannot open {path} as an OME-Zarr image: name the group that holds an image and its labels.")
    name = _choose(labels, _label_names(path), path)
    labelled = _matching(image, open_large_image(join(path, "labels", name)))
    return [
        LabelledImage(
            name=f"{path}/{image.array.basename} {where}".strip(),
            source=source,
            read_image=partial(_read, image, plane, piece),
            read_labels=partial(_read_labels, labelled, plane, piece),
            channels=channels,
            origin=name,  # never torn by a split: planes and tiles of one image are neighbours
        )
        for where, plane, piece in _pieces(labelled, every)
    ], []


def _label_names(path: Path) -> list[str]:
    group: Any = open_node(path)
    if "labels" not in group:
        raise InputError(f"{path} has no labels: write label images into its group labels.")
    node = group["labels"]
    return [str(name) for name in ome_attributes(node).get("labels") or sorted(node.group_keys())]


def _choose(wanted: str, names: list[str], path: Path) -> str:
    if wanted and wanted in names:
        return wanted
    if not wanted and len(names) == 1:
        return names[0]
    found = f"label images {', '.join(names)}" if names else "no label image"
    raise InputError(f"{path} has {found}: choose one of its label images by ?labels=NAME.")


def _matching(image: LargeImage, labels: LargeImage) -> LargeImage:
    """Return the label level whose planes are those of the image."""
    candidates = [labels.at_level(number) for number in range(len(labels.levels))]
    for candidate in candidates:
        stacked = set(image.stacked) | set(candidate.stacked)
        if candidate.shape == image.shape and all(
            image.sizes.get(axis, 1) == candidate.sizes.get(axis, 1) for axis in stacked
        ):
            return candidate
    found = " and ".join(str(tuple(candidate.array.shape)) for candidate in candidates)
    raise InputError(
        f"Level {image.level} of {image.location} has shape {tuple(image.array.shape)}, its labels {found}: "
        "choose another level by ?level=NUMBER."
    )


def _pieces(labels: LargeImage, every: int) -> Iterator[tuple[str, dict[str, int], tuple[slice, slice]]]:
    """Yield name, plane and place of each tile of each plane."""
    rows, cols = (_cuts(side) for side in labels.shape)
    for plane in labels.planes()[::every]:
        for row, col in product(rows, cols):
            words = [f"{axis}={number}" for axis, number in plane.items()]
            if len(rows) * len(cols) > 1:
                words.append(f"rows {row.start}-{row.stop} cols {col.start}-{col.stop}")
            yield " ".join(words), plane, (row, col)


def _cuts(side: int) -> list[slice]:
    edges = np.linspace(0, side, -(-side // TILE) + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _read(image: LargeImage, plane: dict[str, int], piece: tuple[slice, slice]) -> npt.NDArray[Any]:
    """Return (H, W) or (H, W, C) of one piece."""
    values = image.plane({axis: number for axis, number in plane.items() if axis in image.stacked})[piece]
    return values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values


def _read_labels(labels: LargeImage, plane: dict[str, int], piece: tuple[slice, slice]) -> npt.NDArray[Any]:
    return as_labels(_read(labels, plane, piece), labels.location)

"""OME-Zarr images (0.4 and 0.5) with a label image in their group `labels`, plane by plane and tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.data.labelled_image import LabelledImage
from napari_sam.errors import InputError
from napari_sam.io.images import as_labels

__all__ = ["list_zarr"]

TILE = 2048  # larger planes are cut, so that a draw never reads a whole slide

Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class _Level:
    """Hold one level of a pyramid with the names of its axes, and its place in the file for messages."""

    array: Any
    axes: tuple[str, ...]
    name: str

    def side(self, axis: str) -> int:
        return int(self.array.shape[self.axes.index(axis)]) if axis in self.axes else 1

    @property
    def plane(self) -> tuple[int, int]:
        return self.side("y"), self.side("x")


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
    import zarr

    try:
        group: Any = zarr.open_group(str(path), mode="r")
        levels = _levels(group, str(path))
        names = _label_names(group, path)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"Cannot open {path} as an OME-Zarr image ({str(error).rstrip('.')}): name the group that holds an image "
            "and its labels."
        ) from error
    if level >= len(levels):
        raise InputError(f"{path} has no level {level}: its levels are numbered 0 to {len(levels) - 1}.")
    name = _choose(labels, names, path)
    try:
        candidates = _levels(group[f"labels/{name}"], f"{path}/labels/{name}")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"Cannot open the labels {name} of {path}: write them as OME-Zarr labels anew.") from error
    image = levels[level]
    chosen = _matching(image, candidates)
    return [
        LabelledImage(
            name=f"{image.name} {where}".strip(),
            source=source,
            read_image=partial(_read, image, index),
            read_labels=partial(_read_labels, chosen, index),
            channels=channels,
            origin=name,  # never torn by a split: planes and tiles of one image are neighbours
        )
        for where, index in _pieces(chosen, every)
    ], []


def _levels(group: Any, name: str) -> list[_Level]:
    attributes: Any = dict(group.attrs)
    scales = attributes.get("ome", attributes)["multiscales"][0]
    levels = []
    for dataset in scales["datasets"]:
        array = group[dataset["path"]]
        axes = scales.get("axes") or list("tczyx"[-array.ndim :])
        axes = tuple(axis if isinstance(axis, str) else axis["name"] for axis in axes)
        if len(axes) != array.ndim or not {"y", "x"} <= set(axes):
            raise ValueError(f"level {dataset['path']} has axes {axes}")
        levels.append(_Level(array, axes, f"{name}/{dataset['path']}"))
    return levels


def _label_names(group: Any, path: Path) -> list[str]:
    if "labels" not in group:
        raise InputError(f"{path} has no labels: write label images into its group labels.")
    node = group["labels"]
    attributes: Any = dict(node.attrs)
    return [str(name) for name in attributes.get("ome", attributes).get("labels") or sorted(node.group_keys())]


def _choose(wanted: str, names: list[str], path: Path) -> str:
    if wanted and wanted in names:
        return wanted
    if not wanted and len(names) == 1:
        return names[0]
    found = f"label images {', '.join(names)}" if names else "no label image"
    raise InputError(f"{path} has {found}: choose one of its label images by ?labels=NAME.")


def _matching(image: _Level, candidates: list[_Level]) -> _Level:
    """Return the label level whose planes are those of the image."""
    for candidate in candidates:
        stacked = {axis for axis in image.axes + candidate.axes if axis not in "cyx"}
        if candidate.plane == image.plane and all(image.side(axis) == candidate.side(axis) for axis in stacked):
            return candidate
    found = " and ".join(str(tuple(candidate.array.shape)) for candidate in candidates)
    raise InputError(
        f"{image.name} has shape {tuple(image.array.shape)}, its labels {found}: choose another level by ?level=NUMBER."
    )


def _pieces(level: _Level, every: int) -> Iterator[tuple[str, dict[str, int | slice]]]:
    """Yield name and index by axis of each tile of each plane."""
    stacked = [axis for axis in level.axes if axis not in "cyx"]
    planes = list(product(*(range(level.side(axis)) for axis in stacked)))[::every]
    rows, cols = (_cuts(side) for side in level.plane)
    for plane in planes:
        for row, col in product(rows, cols):
            words = [f"{axis}={number}" for axis, number in zip(stacked, plane, strict=True)]
            if len(rows) * len(cols) > 1:
                words.append(f"rows {row.start}-{row.stop} cols {col.start}-{col.stop}")
            yield " ".join(words), {**dict(zip(stacked, plane, strict=True)), "y": row, "x": col}


def _cuts(side: int) -> list[slice]:
    edges = np.linspace(0, side, -(-side // TILE) + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _read(level: _Level, index: dict[str, int | slice]) -> npt.NDArray[Any]:
    """Return (H, W) or (H, W, C) of one piece."""
    at: Index = tuple(index.get(axis, slice(None) if axis == "c" else 0) for axis in level.axes)
    try:
        values = np.asarray(level.array[at])
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # a damaged chunk
        raise InputError(f"Cannot read {level.name} ({error}): restore the file.") from error
    left = [axis for axis in level.axes if axis in "cyx"]
    values = values.transpose([left.index(axis) for axis in "yxc" if axis in left])
    return values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values


def _read_labels(level: _Level, index: dict[str, int | slice]) -> npt.NDArray[np.int32]:
    return as_labels(_read(level, index), level.name)

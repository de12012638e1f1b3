"""Small data sets of each kind, written for the tests of reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from PIL import Image


def picture(seed: int = 0, size: tuple[int, int] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with two bright squares and their labels."""
    image = np.random.default_rng(seed).integers(0, 60, size).astype(np.uint8)
    labels = np.zeros(size, np.uint16)
    labels[10:20, 10:20], labels[22:34, 24:36] = 1, 2
    return image + 100 * (labels > 0).astype(np.uint8), labels


def write_folder(folder: Path, names: list[str], dtype: Any = np.uint8) -> Path:
    """Write pictures as `images/` and `labels/`."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for seed, name in enumerate(names):
        image, labels = picture(seed)
        Image.fromarray(image.astype(dtype)).save(folder / "images" / f"{name}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{name}.png")
    return folder


def write_ome_zarr(
    path: Path,
    image: np.ndarray,
    labels: dict[str, np.ndarray],
    axes: str,
    label_axes: str,
    *,
    version: str = "0.5",
    levels: int = 2,
) -> Path:
    """Write an OME-Zarr image with labels of the same number of levels, halved along y and x."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    _pyramid(group, image, axes, version, levels)
    root = group.create_group("labels")
    names: Any = {"labels": list(labels)}
    root.attrs.update(names if version == "0.4" else {"ome": {"version": version, **names}})
    for name, values in labels.items():
        _pyramid(root.create_group(name), values, label_axes, version, levels)
    return path


def _pyramid(group: Any, values: np.ndarray, axes: str, version: str, levels: int) -> None:
    kinds = {"t": "time", "c": "channel"}
    datasets = []
    for level in range(levels):
        small = values[tuple(slice(None, None, 2**level if axis in "yx" else None) for axis in axes)]
        group.create_array(str(level), data=np.ascontiguousarray(small))
        scale = [{"type": "scale", "scale": [1.0 * 2**level if axis in "yx" else 1.0 for axis in axes]}]
        datasets.append({"path": str(level), "coordinateTransformations": scale})
    rows = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
    scales: Any = [{"version": version, "axes": rows, "datasets": datasets}]
    group.attrs.update(
        {"multiscales": scales} if version == "0.4" else {"ome": {"version": version, "multiscales": scales}}
    )

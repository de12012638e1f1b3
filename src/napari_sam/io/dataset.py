"""Annotated data sets: a folder with `images/` and `labels/` of the same stems."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.images import read_image, read_labels

__all__ = ["Dataset", "DatasetItem", "read_dataset"]

EXTENSIONS = (".png", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """Name one image, its labels, and the group it counts to ("" without one)."""

    name: str
    image_file: Path
    label_file: Path
    group: str = ""

    def read(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Return the image (H, W) or (H, W, C) and its (H, W) int32 instance labels, 0 background.

        Raises
        ------
        InputError
            If a file cannot be read or their sizes differ.
        """
        image, labels = read_image(self.image_file), read_labels(self.label_file)
        if image.shape[:2] != labels.shape:
            raise InputError(
                f"{self.image_file} has {image.shape[:2]} pixels, its labels {labels.shape}: give the same sizes."
            )
        return image, labels


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Hold the items of a folder, sorted by name."""

    path: Path
    items: tuple[DatasetItem, ...]


def read_dataset(path: Path) -> Dataset:
    """List a data set's items.

    Groups come from an `index.csv` with the columns `id` and `group` in the folder or the one above.

    Raises
    ------
    InputError
        If a folder is missing, there are no images, or an image has no labels.
    """
    images, labels = path / "images", path / "labels"
    for folder in (images, labels):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}: a data set holds images/ and labels/ with the same names.")
    label_files = {file.stem: file for file in sorted(labels.iterdir()) if file.suffix.lower() in EXTENSIONS}
    image_files = [file for file in sorted(images.iterdir()) if file.suffix.lower() in EXTENSIONS]
    if not image_files:
        raise InputError(f"There are no images in {images}: PNG and TIFF files are read.")
    missing = [file.name for file in image_files if file.stem not in label_files]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(image_files)} images in {images} have no labels, {missing[0]} first: "
            f"add a file of the same stem to {labels}."
        )
    groups = _read_groups(path)
    return Dataset(
        path=path,
        items=tuple(
            DatasetItem(
                name=file.stem, image_file=file, label_file=label_files[file.stem], group=groups.get(file.stem, "")
            )
            for file in image_files
        ),
    )


def _read_groups(path: Path) -> dict[str, str]:
    for folder in (path, path.resolve().parent):
        index = folder / "index.csv"
        if index.is_file():
            with index.open(newline="") as stream:
                reader = csv.DictReader(stream)
                if {"id", "group"} <= set(reader.fieldnames or ()):
                    return {row["id"]: row["group"] for row in reader}
    return {}

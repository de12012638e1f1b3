"""Annotated data sets: a folder with `images/` and `labels/` of the same stems."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.io.csv_rows import CsvRow, read_csv_rows
from napari_sam.io.file_kind import READABLE, is_image
from napari_sam.io.images import read_image, stack_sides
from napari_sam.io.label_numbers import LARGEST_ID, read_labels

__all__ = ["Dataset", "DatasetItem", "list_dataset", "list_images", "read_dataset"]

LABEL_EXTENSIONS = (".png", ".tif", ".tiff")
EXTENSIONS = (*LABEL_EXTENSIONS, ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """Name one image and its labels.

    Parameters
    ----------
    name
        The files' stem; of a stack's plane with its indices: `volume-012`.
    group
        What kind of image it counts as ("" without an index).
    origin
        What it was cut from: images of the same origin show the same cells, or neighbours.
    plane
        Indices of the leading axes of a stack.
    """

    name: str
    image_file: Path
    label_file: Path
    group: str = ""
    origin: str = ""
    plane: tuple[int, ...] | None = None

    def read(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Return the image (H, W) or (H, W, C) and its (H, W) int32 instance labels, 0 background.

        Labels beyond int32 are numbered anew, 1 to n.

        Raises
        ------
        InputError
            If a file cannot be read or their sizes differ.
        """
        image, found = read_image(self.image_file, self.plane), read_labels(self.label_file, self.plane)
        labels = found.astype(np.int32) if found.max(initial=0) <= LARGEST_ID else _numbered_anew(found)
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
    """List a data set's items; of a stack (..., H, W), each plane is one.

    Groups come from an `index.csv` with the columns `id` and `group` in the folder or the one above; with a column
    `mosaic`, images that share its value have the same origin.

    Raises
    ------
    InputError
        If a folder is missing, there are no images, or an image has no labels.
    """
    dataset, problems = list_dataset(path)
    if problems:
        more = f" ({len(problems)} images of {path} have problems.)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    return dataset


def list_dataset(path: Path, every: int = 1) -> tuple[Dataset, list[str]]:
    """List what a data set holds, and say of each image that cannot be used why, in one sentence.

    Parameters
    ----------
    path
        See `read_dataset`.
    every
        Of stacks, the first plane and every so-many-th after it.

    Raises
    ------
    InputError
        If a folder is missing or there are no images.
    """
    images, labels = path / "images", path / "labels"
    for folder in (images, labels):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}: a data set holds images/ and labels/ with the same names.")
    label_files = {file.stem: file for file in _files(labels, LABEL_EXTENSIONS)}
    image_files = list_images(images)
    if not image_files:
        raise InputError(f"There are no images in {images}: {READABLE} files are read.")
    index = _read_index(path)
    items: list[DatasetItem] = []
    problems: list[str] = []
    for file in image_files:
        if file.stem not in label_files:
            problems.append(f"{file} has no labels: add a PNG or TIFF file of the same stem to {labels}.")
            continue
        try:
            items.extend(_planes(file, label_files[file.stem], index.get(file.stem, {}), every))
        except InputError as error:
            problems.append(str(error))
    return Dataset(path=path, items=tuple(items)), problems


def list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder by name; what they are is told by their content, or else their extension."""
    found = (file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return sorted(file for file in found if file.suffix.lower() in EXTENSIONS or is_image(file))


def _numbered_anew(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    _, dense = np.unique(np.append(labels, 0), return_inverse=True)  # 0 is there, so it stays 0
    return dense[:-1].reshape(labels.shape).astype(np.int32)


def _files(folder: Path, extensions: tuple[str, ...]) -> list[Path]:
    found = (file for file in folder.iterdir() if file.suffix.lower() in extensions)
    return sorted(file for file in found if not file.name.startswith("."))


def _planes(image_file: Path, label_file: Path, row: dict[str, str], every: int) -> Iterator[DatasetItem]:
    leading, _ = stack_sides(image_file)
    stack = max(leading, default=1) > 1
    if stack and (labelled := stack_sides(label_file)[0]) != leading:
        raise InputError(
            f"{image_file} is a stack of {leading} planes, its labels {label_file} of {labelled}: "
            "give as many planes of labels, and colours as the last axis."
        )
    whole = DatasetItem(
        name=image_file.stem,
        image_file=image_file,
        label_file=label_file,
        group=row.get("group") or "",
        origin=row.get("mosaic") or image_file.stem,
    )
    if not stack:
        yield whole
        return
    for plane in list(np.ndindex(leading))[::every]:
        name = "-".join([whole.name, *(f"{index:03d}" for index in plane)])
        yield replace(whole, name=name, plane=plane)


def _read_table(path: Path) -> tuple[list[str], list[CsvRow]]:
    try:
        return read_csv_rows(path.read_bytes())
    except (OSError, InputError, csv.Error) as error:
        raise InputError(f"Cannot read {path} ({str(error).rstrip('.')}): save it as CSV anew.") from error


def _read_index(path: Path) -> dict[str, dict[str, str]]:
    for folder in (path, path.resolve().parent):
        index = folder / "index.csv"
        if index.is_file():
            columns, rows = _read_table(index)
            if {"id", "group"} <= set(columns):
                return {row.cells["id"]: row.cells for row in rows if "id" in row.cells}
    return {}

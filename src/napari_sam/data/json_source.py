"""Masks in JSON files beside pictures: COCO's instances (one file for all) and SA-1B (one file a picture).

Their masks may overlap, a training sample is a label image: see `paint_masks` for who gets which pixel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.data.labelled_image import ImageFacts, LabelledImage, facts_of_areas
from napari_sam.errors import InputError
from napari_sam.io.coco_masks import annotation_record, coco_annotations
from napari_sam.io.images import read_image
from napari_sam.io.mask_entries import MaskEntries, gather, left_out
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.paths import local_path

__all__ = ["ListedImage", "list_json", "list_sa1b", "paint_masks"]


VISIBLE = 0.5  # of a mask, at least: what is hidden more is no object that a click on it could mean

Annotations = Sequence[Mapping[str, Any]]
Listing = tuple[list[LabelledImage], list[str]]


@dataclass(frozen=True, kw_only=True)
class ListedImage(LabelledImage):
    """Name a picture whose masks are entries of a file.

    Parameters
    ----------
    odd_entries
        Says in a sentence which of them are no masks and left out, "" for none.
    """

    odd_entries: Callable[[], str]


def list_json(path: Path, source: str, *, images: str = "", channels: tuple[int, ...] | None = None) -> Listing:
    """List the pictures of a COCO JSON of instances, or the one of an SA-1B JSON.

    Parameters
    ----------
    path
        The file.
    source
        Its name as the user gave it.
    images
        Folder of the pictures; "" looks beside the file, and in a folder `images` there or one above.
    channels
        See `select_channels`.

    Raises
    ------
    InputError
        If the file is neither.
    """
    content = _read_json(path)
    if isinstance(content, Mapping) and "image" in content and "annotations" in content:
        return [_sa1b_image(path, content, source, channels)], []
    if not isinstance(content, Mapping) or not {"images", "annotations"} <= set(content):
        raise InputError(f"{path} is no COCO or SA-1B JSON: it needs annotations, and images or image.")
    folders = [local_path(images)] if images else [path.parent, path.parent / "images", path.parent.parent / "images"]
    try:
        return _coco_images(content, path, folders, source, channels)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no COCO JSON of instances ({_reason(error)}): write it anew.") from error


def list_sa1b(path: Path, source: str, *, channels: tuple[int, ...] | None = None) -> Listing:
    """List the pictures of a folder with one SA-1B JSON beside each."""
    found: list[LabelledImage] = []
    problems: list[str] = []
    for file in sorted(path.glob("*.json")):
        try:
            content = _read_json(file)
            if not isinstance(content, Mapping) or not {"image", "annotations"} <= set(content):
                raise InputError(f"{file} is no SA-1B JSON: it needs image and annotations; name a COCO JSON itself.")
            found.append(_sa1b_image(file, content, source, channels))
        except InputError as error:
            problems.append(str(error))
    return found, problems


def paint_masks(records: Sequence[MaskRecord], shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Make masks that may overlap into (H, W) int32 labels 1 to n: the smaller one lies on top.

    A mask of which less than half would be seen is left out, and its pixels are background.
    """
    order = sorted(records, key=lambda record: -record.area)
    labels = np.zeros(shape, np.int32)
    for number, record in enumerate(order, start=1):
        labels[record.slices][record.patch] = number
    seen = np.bincount(labels.ravel(), minlength=len(order) + 1)
    enough = seen >= [np.inf] + [max(1, VISIBLE * record.area) for record in order]
    return np.where(enough, np.cumsum(enough), 0).astype(np.int32)[labels]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Cannot read {path} ({_reason(error)}): give a whole JSON file.") from error


def _coco_images(
    content: Mapping[str, Any], path: Path, folders: Sequence[Path], source: str, channels: tuple[int, ...] | None
) -> Listing:
    masks: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd"):  # a crowd is no object
            masks.setdefault(annotation["image_id"], []).append(annotation)
    found: list[LabelledImage] = []
    problems: list[str] = []
    for row in content["images"]:
        candidates = [folder / row["file_name"] for folder in folders]
        file = next((file for file in candidates if file.is_file()), None)
        if file is None:
            problems.append(f"{path} names {row['file_name']}, which is not there: give its folder by ?images=FOLDER.")
            continue
        own, shape = masks.pop(row["id"], []), (int(row["height"]), int(row["width"]))
        found.append(
            ListedImage(
                name=str(file),
                source=source,
                read_image=partial(read_image, file),
                read_labels=partial(_labels, own, shape, str(file)),
                odd_entries=partial(_odd, own, shape, str(file)),
                origin=file.name,
                channels=channels,
                facts=_facts(own, shape),
            )
        )
    if not content["images"]:
        problems.append(f"{path} names no images: write a COCO JSON of instances.")
    known = {row["id"] for row in content["images"]}
    strays = [image for image in masks if image not in known]
    if strays:
        problems.append(f"{path} has masks of {len(strays)} images that it does not name, id {strays[0]} first.")
    return found, problems


def _sa1b_image(path: Path, content: Mapping[str, Any], source: str, channels: tuple[int, ...] | None) -> LabelledImage:
    try:
        row = content["image"]
        shape = int(row["height"]), int(row["width"])
        picture = path.parent / row.get("file_name", f"{path.stem}.jpg")
        facts = _facts(content["annotations"], shape)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no SA-1B JSON ({_reason(error)}): fetch it anew.") from error
    if not picture.is_file():
        raise InputError(f"{path} is of {picture.name}, which is not beside it: put the picture there.")
    return ListedImage(
        name=str(picture),
        source=source,
        read_image=partial(read_image, picture),
        read_labels=partial(_sa1b_labels, path, shape),
        odd_entries=partial(_sa1b_odd, path, shape),
        origin=picture.name,
        channels=channels,
        facts=facts,
    )


def _facts(annotations: Annotations, shape: tuple[int, int]) -> ImageFacts:
    areas = [
        float(mask.get("area") or np.prod((mask.get("bbox") or (0, 0, 1, 1))[2:]))
        for mask in annotations
        if mask.get("segmentation")  # others are no objects
    ]
    return facts_of_areas(areas, shape)


def _sa1b_labels(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Read the file again when the picture is drawn: the masks of a whole data set would not fit in memory."""
    return _labels(_read_json(path)["annotations"], shape, str(path))


def _labels(annotations: Annotations, shape: tuple[int, int], name: str) -> npt.NDArray[np.int32]:
    return paint_masks(_entries(annotations, shape, name).records, shape)


def _odd(annotations: Annotations, shape: tuple[int, int], name: str) -> str:
    """Say which annotations of a picture are no masks, "" if all are."""
    return left_out(_entries(annotations, shape, name).problems, name)


def _sa1b_odd(path: Path, shape: tuple[int, int]) -> str:
    return _odd(_read_json(path)["annotations"], shape, str(path))


def _entries(annotations: Annotations, shape: tuple[int, int], name: str) -> MaskEntries:
    try:
        return gather(coco_annotations(annotations), lambda annotation: annotation_record(annotation, shape, {}))
    except InputError as error:
        raise InputError(f"Cannot use the masks of {name}: {str(error).rstrip('.')}.") from error


def _reason(error: Exception) -> str:
    what = f"no {error}" if isinstance(error, KeyError) else str(error)
    return what.split("\n")[0].rstrip(".")

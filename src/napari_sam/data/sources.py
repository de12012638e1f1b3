"""Where training images come from: folders, OME-Zarr, COCO JSON and SA-1B, each named by one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

from napari_sam.data.json_source import list_json, list_sa1b
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.zarr_source import list_zarr
from napari_sam.errors import InputError
from napari_sam.io.dataset import list_dataset
from napari_sam.io.images import read_image, read_labels

__all__ = ["SourceOptions", "list_images", "parse_source", "raise_problems"]

MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Hold what may follow a source's path, as in `stack.zarr?level=1&every=4`.

    Parameters
    ----------
    every
        Of stacks, the first plane and every so-many-th after it.
    channels
        Which channels the model sees; see `select_channels`.
    level
        Of an OME-Zarr pyramid, 0 the finest.
    labels
        Name of the OME-Zarr label image; may be left out if there is only one.
    images
        Folder of the pictures that a COCO JSON names.
    complete
        0 where some objects have no label, so that what has none is no background; such images teach prompts only.
    """

    every: int = 1
    channels: tuple[int, ...] | None = None
    level: int = 0
    labels: str = ""
    images: str = ""
    complete: int = 1


# Which options each kind of source knows.
KNOWN = {
    "a folder": ("every", "channels", "complete"),
    "an OME-Zarr": ("every", "channels", "level", "labels", "complete"),
    "a JSON file": ("channels", "images", "complete"),
    "an SA-1B folder": ("channels", "complete"),
}


def list_images(sources: Sequence[str | Path]) -> tuple[list[LabelledImage], list[str]]:
    """List the images of all sources in their order, and say of what cannot be used why, one sentence each.

    Only names, sizes and JSON files are read, no pixels.
    """
    images: list[LabelledImage] = []
    problems: list[str] = []
    for source in sources:
        try:
            found, bad = _list_source(str(source))
        except InputError as error:
            found, bad = [], [str(error)]
        complete = bool(parse_source(str(source))[1].complete) if found else True
        images += found if complete else [replace(image, complete=False) for image in found]
        problems += bad
    return images, problems


def raise_problems(problems: Sequence[str]) -> None:
    """Raise one `InputError` that lists problems, one a line, at most 20 lines, if there are any."""
    if not problems:
        return
    if len(problems) == 1:
        raise InputError(problems[0])
    shown = list(problems) if len(problems) < MOST_LINES else [*problems[: MOST_LINES - 2]]
    lines = [f"The training data has {len(problems)} problems:", *(f"- {' '.join(text.split())}" for text in shown)]
    if len(shown) < len(problems):
        lines.append(f"- And {len(problems) - len(shown)} more.")
    raise InputError("\n".join(lines))


def parse_source(text: str) -> tuple[Path, SourceOptions]:
    """Split a source into its path and its options.

    Raises
    ------
    InputError
        If an option is unknown or its value cannot be used.
    """
    if "?" not in text or Path(text).exists():
        return Path(text), SourceOptions()
    path, query = text.split("?", 1)
    names = [field.name for field in fields(SourceOptions)]
    options = SourceOptions()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in names:
            raise InputError(f"{text} has an unknown option {name}: use {', '.join(names)}.")
        options = _with_option(options, name, value, text)
    return Path(path), options


def _with_option(options: SourceOptions, name: str, value: str, text: str) -> SourceOptions:
    changed = {field.name: getattr(options, field.name) for field in fields(SourceOptions)}
    try:
        if name == "channels":
            changed[name] = tuple(int(part) for part in value.split(","))
        else:
            changed[name] = int(value) if name in ("every", "level", "complete") else value
    except ValueError as error:
        raise InputError(f"{text} has {name}={value}: give whole numbers.") from error
    if changed["every"] < 1 or changed["level"] < 0 or changed["complete"] not in (0, 1):
        raise InputError(f"{text} has {name}={value}: every is at least 1, level at least 0 and complete 0 or 1.")
    return SourceOptions(**changed)


def _list_source(source: str) -> tuple[list[LabelledImage], list[str]]:
    path, options = parse_source(source)
    if not path.exists():
        raise InputError(f"There is no training data at {path}: give an existing folder, OME-Zarr or JSON file.")
    name = str(path)
    if path.suffix.lower() == ".json":
        _check_options(options, "a JSON file", source)
        return list_json(path, name, images=options.images, channels=options.channels)
    if any((path / file).is_file() for file in ("zarr.json", ".zgroup", ".zattrs", ".zarray")):
        _check_options(options, "an OME-Zarr", source)
        return list_zarr(
            path, name, level=options.level, labels=options.labels, every=options.every, channels=options.channels
        )
    if not (path / "images").is_dir() and any(path.glob("*.json")):
        _check_options(options, "an SA-1B folder", source)
        return list_sa1b(path, name, channels=options.channels)
    _check_options(options, "a folder", source)
    return _list_folder(path, name, options)


def _check_options(options: SourceOptions, kind: str, source: str) -> None:
    for field in fields(SourceOptions):
        if getattr(options, field.name) != field.default and field.name not in KNOWN[kind]:
            allowed = ", ".join(KNOWN[kind])
            raise InputError(f"{source} is {kind}, which has no option {field.name}: use {allowed}, or leave it out.")


def _list_folder(path: Path, source: str, options: SourceOptions) -> tuple[list[LabelledImage], list[str]]:
    dataset, problems = list_dataset(path, options.every)
    images = [
        LabelledImage(
            name=f"{item.image_file}{'' if item.plane is None else ' plane ' + ','.join(map(str, item.plane))}",
            source=source,
            read_image=partial(read_image, item.image_file, item.plane),
            read_labels=partial(read_labels, item.label_file, item.plane),
            group=item.group,
            origin=item.origin,
            channels=options.channels,
        )
        for item in dataset.items
    ]
    return images, problems

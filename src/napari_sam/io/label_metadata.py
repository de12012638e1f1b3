"""OME-Zarr metadata of label images, versions 0.4 (Zarr v2) and 0.5 (Zarr v3)."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from napari_sam.io.label_pyramid import LevelPlan
from napari_sam.io.ome_metadata import ome_attributes

__all__ = [
    "add_colors",
    "describe_image",
    "describe_labels",
    "label_rgba",
    "level_count",
    "list_labels",
    "set_colors",
    "set_properties",
]

FOLDER = "labels/"
LISTED_COLORS = 1000


def level_count(group: Any) -> int | None:
    """Return how many levels the labels in a group have to have: as many as its image, any where it has none."""
    entries = ome_attributes(group).get("multiscales", [])
    return None if all(map(_of_labels, entries)) else len(entries[0]["datasets"])


def describe_image(
    group: Any,
    name: str,
    axes: Sequence[str],
    units: Sequence[str],
    levels: Sequence[LevelPlan],
    source: str = "",
) -> None:
    """Write the metadata of a label image to its group, in the OME-Zarr version of the group's Zarr format.

    Parameters
    ----------
    group
        Holds an array for each level: 0, 1, ...
    name
        Of the image.
    axes, units
        Name and unit of each axis; "" for no unit.
    levels
        Finest first.
    source
        Relative path to the image that was labelled, "" for none.
    """
    label: dict[str, Any] = {"version": _version(group)} | ({"source": {"image": source}} if source else {})
    _update(group, image_label=label, multiscales=[_multiscale(group, name, axes, units, levels)])


def describe_labels(
    group: Any,
    name: str,
    axes: Sequence[str],
    units: Sequence[str],
    levels: Sequence[LevelPlan],
    source: str = "",
) -> None:
    """Enter the label image `labels/NAME` in the metadata of a group, of its `labels` and last in its own.

    A group without an image of its own shows the first labels as such, so that viewers open it. Parameters are those
    of `describe_image`.
    """
    root = ome_attributes(group).get("multiscales", [])
    if not root or (_of_labels(root[0]) and root[0]["name"] == name):
        _update(group, multiscales=[_multiscale(group, name, axes, units, levels, f"{FOLDER}{name}/")])
    list_labels(group, name)
    describe_image(group[FOLDER + name], name, axes, units, levels, source)


def list_labels(group: Any, name: str) -> None:
    """Enter a name in the list of a group's labels, unless it is there."""
    listed = ome_attributes(group["labels"]).get("labels", [])
    if name not in listed:
        _update(group["labels"], labels=[*listed, name])


def set_colors(group: Any, count: int) -> None:
    """Give labels 1 to `count` colours, neighbouring ones far apart; none if there are more than 1000.

    Viewers colour the labels of an image without a list by themselves, and show no others than those of a list.
    """
    entry = {key: value for key, value in ome_attributes(group)["image-label"].items() if key != "colors"}
    if 0 < count <= LISTED_COLORS:
        entry["colors"] = [_color(label) for label in range(1, count + 1)]
    _update(group, image_label=entry)


def add_colors(group: Any, labels: Iterable[int]) -> None:
    """Give labels colours that have none, where the metadata list any.

    Viewers show no labels without a colour where others have some. A list of our own that grows beyond 1000 goes, as
    `set_colors` would leave it out.
    """
    entry = ome_attributes(group)["image-label"]
    listed = entry.get("colors", [])
    known = {color["label-value"] for color in listed}
    fresh = sorted(label for label in set(labels) - known if label > 0)
    if not listed or not fresh:
        return
    colors = [*listed, *map(_color, fresh)]
    if len(colors) > LISTED_COLORS and all(color == _color(color["label-value"]) for color in colors):
        set_colors(group, len(colors))
    else:
        _update(group, image_label={**entry, "colors": colors})


def label_rgba(label: int) -> tuple[int, int, int, int]:
    """Return a colour for a label, each part 0 to 255, neighbouring labels far apart."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618034 % 1, 0.75, 0.95)  # golden section
    return round(255 * red), round(255 * green), round(255 * blue), 255


def set_properties(group: Any, properties: Mapping[int, Mapping[str, Any]]) -> None:
    """Give labels properties, which replace those that were there; viewers show them as columns."""
    listed = [{"label-value": label, **values} for label, values in sorted(properties.items())]
    _update(group, image_label={**ome_attributes(group)["image-label"], "properties": listed})


def _color(label: int) -> dict[str, Any]:
    return {"label-value": label, "rgba": list(label_rgba(label))}


def _version(group: Any) -> str:
    return "0.4" if group.metadata.zarr_format == 2 else "0.5"


def _of_labels(entry: Any) -> bool:
    return all(dataset["path"].startswith(FOLDER) for dataset in entry["datasets"])


def _update(group: Any, **entries: Any) -> None:
    """Set entries of a group's OME-Zarr metadata in one write; `_` in their names stands for `-`, others stay."""
    content = {key.replace("_", "-"): value for key, value in entries.items()}
    if _version(group) == "0.4":
        group.attrs.update(content)
    else:
        group.attrs["ome"] = {**ome_attributes(group), "version": "0.5", **content}


def _multiscale(
    group: Any, name: str, axes: Sequence[str], units: Sequence[str], levels: Sequence[LevelPlan], folder: str = ""
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": "nearest"}
    if _version(group) == "0.4":
        entry["version"] = "0.4"
    entry["axes"] = [
        {"name": axis, "type": "time" if axis == "t" else "space"} | ({"unit": unit} if unit else {})
        for axis, unit in zip(axes, units, strict=True)
    ]
    entry["datasets"] = [
        {"path": f"{folder}{number}", "coordinateTransformations": _transformations(level)}
        for number, level in enumerate(levels)
    ]
    return entry


def _transformations(level: LevelPlan) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": [float(step) for step in level.scale]}]
    if any(level.translation):
        steps.append({"type": "translation", "translation": [float(shift) for shift in level.translation]})
    return steps

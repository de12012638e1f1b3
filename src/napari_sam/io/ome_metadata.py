"""What OME-Zarr groups (0.4 and 0.5) say of themselves: axes, levels, channels, plates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_sam.errors import InputError
from napari_sam.io.image_level import AXES, ImageLevel, ImageRecord, axis_name, check_axes
from napari_sam.io.output_place import inside
from napari_sam.io.zarr_location import refused, transport_errors

__all__ = ["is_plate", "ome_attributes", "read_ome_image", "well_paths"]


def ome_attributes(group: Any) -> dict[str, Any]:
    """Return the attributes that OME-Zarr defines, wherever its version keeps them."""
    attributes = dict(group.attrs)
    return dict(attributes.get("ome") or attributes)


def is_plate(group: Any) -> bool:
    """Return whether a group is an HCS plate."""
    return "plate" in ome_attributes(group)


def read_ome_image(group: Any, location: str) -> ImageRecord:
    """Read the metadata of a multiscale image; no pixels.

    Raises
    ------
    InputError
        If the metadata breaks the rules, an axis is none of t, c, z, y, x, or a level cannot be reached.
    """
    attributes = ome_attributes(group)
    steps = "coordinateTransformations"
    try:
        image = attributes["multiscales"][0]
        arrays = [group[inside(location, dataset["path"])] for dataset in image["datasets"]]
        rows = _axis_rows(image, arrays[0].ndim)
        axes = check_axes([axis_name(row["name"]) for row in rows], [tuple(array.shape) for array in arrays], location)
        levels = tuple(
            _level(array, rows, [*(dataset.get(steps) or []), *(image.get(steps) or [])])
            for array, dataset in zip(arrays, image["datasets"], strict=True)
        )
        channels = (attributes.get("omero") or {}).get("channels") or []
        names = tuple(str((channel or {}).get("label") or "") for channel in channels)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"The metadata of {location} is no OME-Zarr image ({type(error).__name__}: {error}): write it anew."
        ) from error
    except transport_errors() as error:
        raise refused(location, error) from error
    version = "0.5" if "ome" in dict(group.attrs) else "0.4"
    return ImageRecord(axes=axes, levels=levels, channel_names=names, version=version)


def well_paths(group: Any) -> list[str]:
    """Return the path of every well of a plate, in the plate's order."""
    return [str(well["path"]) for well in ome_attributes(group)["plate"]["wells"]]


def _axis_rows(image: Mapping[str, Any], ndim: int) -> list[dict[str, Any]]:
    axes: Sequence[Any] = image.get("axes") or AXES[-ndim:]  # before 0.3 they went without saying
    return [{"name": axis} if isinstance(axis, str) else dict(axis) for axis in axes]


def _level(array: Any, rows: Sequence[Mapping[str, Any]], transformations: Sequence[Mapping[str, Any]]) -> ImageLevel:
    """Apply a level's own transformations, then the whole image's."""
    scale, translation = [1.0] * array.ndim, [0.0] * array.ndim
    for step in transformations:
        if not step or step["type"] == "identity" or step.get(step["type"], 1) is None:  # null says nothing
            continue
        if step["type"] == "scale":
            factors = [float(factor) for factor in step["scale"]]
            scale = [old * factor for old, factor in zip(scale, factors, strict=True)]
            translation = [old * factor for old, factor in zip(translation, factors, strict=True)]
        elif step["type"] == "translation":
            translation = [old + float(by) for old, by in zip(translation, step["translation"], strict=True)]
    if min(scale) <= 0:
        raise ValueError(f"scale {scale} is not positive")
    return ImageLevel(array, tuple(scale), tuple(translation), tuple(str(row.get("unit") or "") for row in rows))

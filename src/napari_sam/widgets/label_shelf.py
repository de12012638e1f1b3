"""Where the labels of a large image are kept: found again, or made."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import write_whole
from napari_sam.io.image_level import ImageLevel
from napari_sam.io.journal import digest_array
from napari_sam.io.label_store import LabelStore, create_labels, labels_exist, open_labels
from napari_sam.io.large_image import LargeImage
from napari_sam.pipeline.large_planes import digest_image, is_large
from napari_sam.widgets.image_location import locate_image, source_location
from napari_sam.widgets.plane import Plane, PlaneView, base_level
from napari_sam.widgets.transforms import data_to_world_matrix, split_matrix

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.layers import Image

__all__ = ["PLACES", "LabelShelf", "is_shelved", "labels_folder", "remember_place", "remembered_place"]

NAME = "sam-prompts"
PLACES = ("beside", "inside")  # of an OME-Zarr image: where new labels of it go
CHUNKS, NO_SHARDS = (512, 512), (1, 1)  # a patch is written by writing whole files anew, so they are small
PLACE_FILE = "place-of-labels.json"  # which of them was chosen last
LONGEST_NAME = 120  # bytes of an image's name in that of a folder
LARGEST_VIEW = 8192  # a coarsest level with a longer side would be slow to show


def labels_folder() -> Path:
    """Return where labels are kept whose image cannot hold them: `NAPARI_SAM_LABELS`, or a folder of the user's."""
    chosen = os.environ.get("NAPARI_SAM_LABELS")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("napari-sam")) / "labels"


def remembered_place() -> str:
    """Return which of `PLACES` was chosen last, "beside" if none was: then nothing is written into the image."""
    with contextlib.suppress(OSError, ValueError):
        place = json.loads((labels_folder() / PLACE_FILE).read_text())
        return str(place) if place in PLACES else PLACES[0]
    return PLACES[0]


def remember_place(place: str) -> None:
    """Keep a choice among `PLACES` for later sessions; where that cannot be written it holds for this one."""
    with contextlib.suppress(OSError, InputError):
        labels_folder().mkdir(parents=True, exist_ok=True)
        write_whole(labels_folder() / PLACE_FILE, json.dumps(place).encode())


class LabelShelf:
    """Find and make the labels of one image layer.

    Of an OME-Zarr that can be written to and has a pyramid they go inside of it, or beside it into a Zarr of its name,
    as is chosen. Else they go into `labels_folder()`, into a Zarr named after the image and where it lies, or for an
    image that lies nowhere, after some of its pixels.

    Parameters
    ----------
    layer
        The image layer.
    """

    def __init__(self, layer: Image) -> None:
        self._layer = layer
        self._shape = tuple(int(side) for side in base_level(layer).shape[: layer.ndim])
        self._image = locate_image(layer)

    def find(self, shown: Collection[tuple[str, str]] = ()) -> LabelStore | None:
        """Open labels that were made before and are not among those shown (location, name); None if there are none."""
        for location in dict.fromkeys((*self._inside(), *self._beside(), str(self._apart()))):
            for name in self._names(location, made=True):
                store = open_labels(location, name) if (location, name) not in shown else None
                if store is not None and store.array.shape == self._shape:
                    return store
        return None

    @property
    def can_choose(self) -> bool:
        """Tell whether new labels could go into the image, so that there is something to choose."""
        return bool(self._inside())

    def make(self, place: str) -> LabelStore:
        """Make empty labels, inside of the image or beside it, else in the folder for all others.

        Raises
        ------
        InputError
            If the image has axes that OME-Zarr labels do not know, or no place can be written to.
        """
        for location in self._inside() if place == "inside" else self._beside():
            try:
                return self._create(location, self._image)
            except InputError:  # read-only, or full
                continue
        return self._create(str(self._apart()), None)

    def _create(self, location: str, image: LargeImage | None) -> LabelStore:
        (name,) = self._names(location, made=False)
        return create_labels(image or self._plain(), location, name, chunks=CHUNKS, shards=NO_SHARDS)

    def _names(self, location: str, *, made: bool) -> list[str]:
        """Return the names of the labels that were made there, or the next one."""
        names = [NAME]
        while labels_exist(location, names[-1]):
            names.append(f"{NAME}-{len(names) + 1}")
        return names[:-1] if made else names[-1:]

    def _beside(self) -> list[str]:
        """Return the place beside the Zarr that holds the image, if there could be one."""
        if self._image is None or not self._inside():
            return []
        root = Path(self._image.location)
        while any((root.parent / mark).is_file() for mark in ("zarr.json", ".zgroup")):  # of a plate, say
            root = root.parent
        inner = Path(self._image.location).relative_to(root).parts
        name = "-".join([_shortened(root.name.removesuffix(".zarr").removesuffix(".ome")), *inner, "labels.ome.zarr"])
        return [str(root.with_name(name))] if os.access(root.parent, os.W_OK) else []

    def _inside(self) -> list[str]:
        image = self._image
        if image is None or not image.version or image.level != 0 or ".zip" in image.location:
            return []
        coarsest = dict(zip(image.axes, image.levels[-1].array.shape, strict=True))
        fits = max(coarsest["y"], coarsest["x"]) <= LARGEST_VIEW and os.access(image.location, os.W_OK)
        return [image.location] if fits else []

    def _apart(self) -> Path:
        source = source_location(self._layer)
        stem = Path(source).name.split(".")[0] if source else self._layer.name
        kept = source or digest_image(PlaneView(base_level(self._layer), self._first_plane(), rgb=self._layer.rgb))
        told = digest_array(np.frombuffer(f"{kept} {self._shape}".encode(), np.uint8))
        plain = _shortened(re.sub(r"[^\w-]+", "-", stem)) or "image"
        return labels_folder() / f"{plain}-{told[-8:]}.zarr"

    def _first_plane(self) -> Plane:
        ndim = len(self._shape)
        return Plane((ndim - 2, ndim - 1), (0,) * ndim, (self._shape[-2], self._shape[-1]))

    def _plain(self) -> LargeImage:
        """Describe the layer as an image of one level, so that labels get a whole pyramid."""
        layer, ndim = self._layer, len(self._shape)
        if ndim > 4:
            raise InputError(f"The image {layer.name!r} has {ndim} axes: labels on disk have at most 4, t, z, y and x.")
        place = split_matrix(data_to_world_matrix(layer))
        scale = tuple(float(step) for step in place["scale"])
        units = tuple(_ome_unit(str(unit)) for unit in layer.units)
        level = ImageLevel(_Shape(self._shape), scale, tuple(float(at) for at in place["translate"]), units)
        return LargeImage("", "", tuple("tzyx"[4 - ndim :]), (level,), 0, ())


class _Shape:
    """Stands for an array of which only the shape is asked."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def is_shelved(layer: Image, largest: int) -> bool:
    """Tell whether the labels of an image belong on disk: a plane is large, or a pyramid's labels exceed `largest`."""
    shape: Any = base_level(layer).shape[: layer.ndim]
    return is_large(shape[-2:]) or (layer.multiscale and int(np.prod(shape, dtype=np.int64)) * 4 > largest)


def _shortened(name: str) -> str:
    """Return as much of a name as file systems, which count bytes, take with more behind it."""
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")


def _ome_unit(unit: str) -> str:
    return "" if unit in ("pixel", "dimensionless") else unit

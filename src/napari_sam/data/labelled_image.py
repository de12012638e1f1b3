"""One labelled image that is read when it is drawn, wherever it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.data.sample import Sample
from napari_sam.errors import InputError
from napari_sam.inference.normalization import apply_normalization, resolve_normalization

__all__ = ["ImageFacts", "LabelledImage", "facts_of_areas"]

LARGEST_LABEL = 2**20  # larger ones are numbered anew, since counting pixels by label takes memory up to the largest


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """Hold what is known of an image without keeping it.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    objects
        How many there are.
    diameter
        Median of 2 sqrt(area / pi) in pixels; 1 without objects.
    """

    shape: tuple[int, int]
    objects: int
    diameter: float


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """Name a plane and say how it is read.

    Parameters
    ----------
    name
        For messages: file and plane.
    source
        The folder or file that the user named.
    read_image
        Returns (H, W) or (H, W, C) of a real type.
    read_labels
        Returns (H, W) int32, 0 background. Both raise `InputError`.
    group
        What kind of image it is, within its source.
    origin
        What it was cut from, within its source: planes of one stack, pieces of one picture.
    channels
        See `select_channels`.
    facts
        Where they are known without reading the labels.
    complete
        Whether every object is labelled.
    """

    name: str
    source: str
    read_image: Callable[[], npt.NDArray[Any]]
    read_labels: Callable[[], npt.NDArray[np.int32]]
    group: str = ""
    origin: str = ""
    channels: tuple[int, ...] | None = None
    facts: ImageFacts | None = None
    complete: bool = True

    def read(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Return image and labels as they are kept.

        Raises
        ------
        InputError
            If they cannot be read or their sizes differ.
        """
        image, labels = self.read_image(), self.read_labels()
        if image.shape[:2] != labels.shape:
            raise InputError(f"{self.name} has {image.shape[:2]} pixels, its labels {labels.shape}: give equal sizes.")
        return image, labels

    def sample(self) -> Sample:
        """Return the image as the predictor normalises it, and its labels.

        Raises
        ------
        InputError
            As `read`.
        """
        image, labels = self.read()
        normalization = resolve_normalization(image, "auto", self.channels)
        if labels.max(initial=0) > LARGEST_LABEL:
            _, dense = np.unique(np.append(labels, 0), return_inverse=True)  # 0 is there, so it stays 0
            labels = dense[:-1].reshape(labels.shape).astype(np.int32)
        picture = apply_normalization(image, normalization, self.channels)
        return Sample(image=picture, labels=labels, complete=self.complete)

    def measure(self) -> ImageFacts:
        """Return the facts, reading the labels if they are not known.

        Raises
        ------
        InputError
            If the labels cannot be read.
        """
        if self.facts is not None:
            return self.facts
        labels = self.read_labels()
        if labels.max(initial=0) > LARGEST_LABEL:
            _, areas = np.unique(labels[labels > 0], return_counts=True)
        else:
            areas = np.bincount(labels.ravel())[1:]
        return facts_of_areas(areas, (labels.shape[0], labels.shape[1]))


def facts_of_areas(areas: npt.ArrayLike, shape: tuple[int, int]) -> ImageFacts:
    """Return the facts of objects of these areas in pixels; zeros are no objects."""
    sizes = np.asarray(areas, float)
    sizes = sizes[sizes > 0]
    diameter = float(2 * np.sqrt(np.median(sizes) / np.pi)) if len(sizes) else 1.0
    return ImageFacts(shape=shape, objects=len(sizes), diameter=diameter)

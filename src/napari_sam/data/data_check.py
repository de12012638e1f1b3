"""Looking through training data before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.data.json_source import ListedImage
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sources import list_images, raise_problems
from napari_sam.errors import InputError
from napari_sam.inference.normalization import resolve_normalization

__all__ = ["check_data"]

SMALLEST_IMAGE = 16  # pixels a side
SMALLEST_OBJECT = 4  # pixels of diameter
FEW = 3  # labels
PIECES = 5  # a label
PIECE = 9  # pixels
HUGE = 0.8  # of the image

# What a warning says of an image, or of several.
WARNINGS = {
    "empty": "no labelled object: it is never drawn",
    "semantic": "labels that lie in many separate pieces: if these are objects, give each a number of its own",
    "huge": f"a label that covers more than {HUGE:.0%} of the image: give the background 0",
    "tiny": f"objects of typically less than {SMALLEST_OBJECT} pixels: enlarge the images",
}


def check_data(sources: Sequence[str | Path]) -> list[str]:
    """Read every image and its labels once and report all that is wrong.

    Parameters
    ----------
    sources
        As for `load_samples`.

    Returns
    -------
    Warnings, one sentence each: what can be trained on, but hardly as meant.

    Raises
    ------
    InputError
        A list of all problems, one sentence a line, at most 20 lines: unreadable or missing files, sizes that differ,
        images too small, constant or not finite, labels that are no integers, no objects at all.
    """
    images, problems = list_images(sources)
    found: dict[tuple[str, str], list[str]] = {}
    odd: list[str] = []
    objects = 0
    for image in images:
        try:
            pixels, labels = image.read()
            _check_image(image, pixels, labels)
        except InputError as error:
            problems.append(str(error))
            continue
        objects += bool(labels.any())
        odd += [image.odd_entries()] if isinstance(image, ListedImage) else []
        for kind in _doubts(labels):
            found.setdefault((image.source, kind), []).append(image.name)
    if not problems and not objects:
        problems.append(f"None of the {len(images)} training images has a labelled object: check the labels.")
    raise_problems(problems)
    doubts = [_warning(names, kind, source, images) for (source, kind), names in found.items()]
    return [*filter(None, odd), *doubts]


def _check_image(image: LabelledImage, pixels: npt.NDArray[Any], labels: npt.NDArray[np.integer]) -> None:
    try:
        resolve_normalization(pixels, "auto", image.channels)
    except InputError as error:
        raise InputError(f"{image.name} cannot be used: {error}") from error
    if min(labels.shape) < SMALLEST_IMAGE:
        raise InputError(f"{image.name} has {labels.shape} pixels: give at least {SMALLEST_IMAGE} a side.")
    if labels.any():
        known = pixels[np.isfinite(pixels)]  # others count as missing
        if len(known) == 0 or known.min() == known.max():
            value = known[0] if len(known) else pixels.flat[0]
            raise InputError(f"{image.name} has labels but is {value} everywhere: restore the image.")


def _doubts(labels: npt.NDArray[np.integer]) -> list[str]:
    """Return the keys of `WARNINGS` that hold for (H, W) labels."""
    values, areas = np.unique(labels[labels > 0], return_counts=True)
    if len(values) == 0:
        return ["empty"]
    doubts = []
    if len(values) <= FEW:
        pieces, _ = ndimage.label(labels, np.ones((3, 3)))
        if np.count_nonzero(np.bincount(pieces.ravel())[1:] >= PIECE) >= PIECES * len(values):
            doubts.append("semantic")
    if areas.max() > HUGE * labels.size:
        doubts.append("huge")
    if 2 * np.sqrt(np.median(areas) / np.pi) < SMALLEST_OBJECT:
        doubts.append("tiny")
    return doubts


def _warning(names: list[str], kind: str, source: str, images: Sequence[LabelledImage]) -> str:
    total = sum(image.source == source for image in images)
    who = names[0] if len(names) == 1 else f"{len(names)} of {total} images of {source}, {names[0]} first,"
    return f"{who} {'has' if len(names) == 1 else 'have'} {WARNINGS[kind]}."

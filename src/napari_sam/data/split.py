"""Which images are held out: decided by a hash of their names, so that it stays when images are added."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sample_store import SampleStore
from napari_sam.errors import InputError

__all__ = ["held_out", "split_samples"]

UNITS = ("image", "group")
ENOUGH, LEAST = 10, 3  # of so many units at least so many are held out: one or two say little of the others


def split_samples(
    samples: SampleStore, fraction: float, by: str = "image", seed: int = 0
) -> tuple[SampleStore, SampleStore]:
    """Split images into those to train on and those held out.

    Parameters
    ----------
    fraction
        Of images or groups to hold out, met on average: each is decided for itself.
    by
        "image" keeps together what comes from one image (planes of a stack, pieces of a mosaic); "group" whole
        groups of an `index.csv`, and whole sources without one.
    seed
        Of the choice, which otherwise depends on nothing but names below the source's folder.

    Returns
    -------
    train, held_out
        Neither is empty.

    Raises
    ------
    InputError
        If the fraction is not between 0 and 1, `by` is unknown, or there is only one image or group.
    """
    if by not in UNITS:
        raise InputError(f"Cannot split by {by!r}: choose {' or '.join(UNITS)}.")
    out = held_out([_unit(image, by) for image in samples.images], fraction, seed, what=by)
    return samples.subset(np.flatnonzero(~out)), samples.subset(np.flatnonzero(out))


def held_out(units: Sequence[str], fraction: float, seed: int = 0, *, what: str = "image") -> npt.NDArray[np.bool_]:
    """Return (n,) bool: which of n images to hold out, all with the same unit alike.

    A unit is held out if its hash, a number from 0 to 1, is below `fraction`; if that is true of none or of all, the
    one with the lowest is held out, or the one with the highest trained on. Of ten units or more at least three are
    held out.

    Raises
    ------
    InputError
        If the fraction is not between 0 and 1, or all images have the same unit.
    """
    if not 0 < fraction < 1:
        raise InputError(f"The held-out fraction is {fraction}: give a number between 0 and 1.")
    places = {unit: _hash(unit, seed) for unit in set(units)}
    if len(places) < 2:
        raise InputError(f"The training data has {len(places)} {what}: at least two are needed to hold one out.")
    ordered = sorted(places, key=lambda unit: (places[unit], unit))
    least = LEAST if len(ordered) >= ENOUGH else 1
    chosen = {unit for unit in ordered if places[unit] < fraction} | {*ordered[:least]}
    chosen.discard(ordered[-1])
    return np.array([unit in chosen for unit in units], bool)


def _unit(image: LabelledImage, by: str) -> str:
    # the last part only: data may move to another folder or machine
    source = PurePath(image.source).name
    return f"{source}/{image.group}" if by == "group" else f"{source}/{image.origin or image.name}"


def _hash(unit: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}/{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64

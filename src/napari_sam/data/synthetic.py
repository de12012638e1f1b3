"""Seeded synthetic microscopy of many kinds, fast enough to feed training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_sam.data.sample import Sample
from napari_sam.data.scene import Drawing, Scene, finish
from napari_sam.data.scene_cells import draw_cells, draw_clumps, draw_fluorescence, draw_rods, draw_stained
from napari_sam.data.scene_contrast import draw_phase, draw_textures
from napari_sam.data.scene_em import draw_em
from napari_sam.data.scene_nuclei import draw_nuclei
from napari_sam.data.scene_tissue import draw_tissue
from napari_sam.errors import InputError

__all__ = ["KINDS", "synthetic_sample", "synthetic_scene"]

Recipe = Callable[[np.random.Generator, tuple[int, int], int | None], Drawing]

RECIPES: dict[str, Recipe] = {
    "cells": draw_cells,
    "rods": draw_rods,
    "stained": draw_stained,
    "fluorescence": draw_fluorescence,
    "clumps": draw_clumps,
    "textures": draw_textures,
    "tissue": draw_tissue,
    "em": draw_em,
    "phase": draw_phase,
}
KINDS = ("nuclei", *RECIPES)


def synthetic_sample(
    rng: np.random.Generator, size: tuple[int, int] = (256, 256), kind: str | None = None, count: int | None = None
) -> Sample:
    """Draw one scene without its parts; see `synthetic_scene`.

    Returns
    -------
    Sample
        An (H, W, 3) uint8 image and (H, W) int32 labels 1..n without gaps.
    """
    return synthetic_scene(rng, size, kind, count).sample


def synthetic_scene(
    rng: np.random.Generator, size: tuple[int, int] = (256, 256), kind: str | None = None, count: int | None = None
) -> Scene:
    """Draw one scene.

    Parameters
    ----------
    rng
        The only source of chance: the same state gives the same picture.
    size
        (H, W) in pixels.
    kind
        One of `KINDS`; None draws any but "nuclei", which is kept, bit for bit, for the pictures of documents and
        benchmarks, and is slow; "fluorescence" draws the like.
    count
        Objects tried, where the kind does not fill the plane; None draws a number that suits their size.

    Raises
    ------
    InputError
        If the kind is unknown.
    """
    kind = kind or str(rng.choice(KINDS[1:]))
    if kind == "nuclei":
        sample = draw_nuclei(rng, size, count)
        return Scene(sample=sample, parts=np.zeros(size, np.int32))
    if kind not in RECIPES:
        raise InputError(f"There is no synthetic scene {kind!r}: choose one of {', '.join(KINDS)}.")
    return finish(RECIPES[kind](rng, size, count))

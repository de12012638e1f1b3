"""Recipes of synthetic cells: fluorescent or stained blobs, cells with membranes and nuclei, rods, colonies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_sam.data.scene import Drawing
from napari_sam.data.scene_light import absorb, colour, expose, smooth_field
from napari_sam.data.scene_shapes import (
    blobs,
    depth,
    draw_count,
    draw_radius,
    nuclei_inside,
    place,
    rods,
    tessellate,
)

__all__ = ["draw_cells", "draw_clumps", "draw_fluorescence", "draw_rods", "draw_stained"]

Size = tuple[int, int]
Plane = npt.NDArray[np.float32]


def draw_fluorescence(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw bright blobs with some texture on a dark ground."""
    labels = _scattered(rng, size, count)
    return Drawing(labels=labels, picture=colour(rng, expose(rng, _solid(rng, labels))))


def draw_stained(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw dark, coloured blobs on bright paper."""
    labels = _scattered(rng, size, count)
    amount = expose(rng, _solid(rng, labels))
    stain = -np.log(rng.uniform(0.05, 0.7, 3))
    return Drawing(labels=labels, picture=absorb([(amount, stain)], rng.uniform(0.75, 1.0, 3)))


def draw_cells(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw cells with a bright membrane and, mostly, a nucleus: apart, or side by side without a gap."""
    radius = _radius_for(rng, size, count, 9, 40)
    if rng.random() < 0.4:
        labels = tessellate(rng, size, radius, irregular=rng.uniform(0.1, 0.7))
        labels = np.where(smooth_field(rng, size, 3 * radius) > rng.uniform(-2.5, 0), labels, 0)
    else:
        n = draw_count(rng, size, radius, count)
        shapes = blobs(rng, n, radius, stretch=rng.uniform(0.1, 0.6), wobble=rng.uniform(0.08, 0.3))
        labels = place(rng, size, shapes, clumps=rng.uniform(0, 0.8))
    inside = depth(labels)
    light = _levels(rng, labels) * (1 + rng.uniform(0.05, 0.3) * smooth_field(rng, size, rng.uniform(1, 5)))
    rim = np.exp(-inside / np.float32(rng.uniform(1.0, 2.5))) * rng.uniform(0.3, 1.2)
    light = light * (rng.uniform(0.2, 0.7) + rim)
    parts = None
    if rng.random() < 0.7:
        parts = nuclei_inside(rng, labels)
        level = rng.uniform(0.4, 1.2) if rng.random() < 0.75 else rng.uniform(-0.9, -0.6)
        shown = (parts > 0) * (1 + 0.2 * smooth_field(rng, size, 2))
        light = light + level * shown if level > 0 else light * (1 + level * shown)
    return Drawing(labels=labels, picture=colour(rng, expose(rng, light.astype(np.float32))), parts=parts)


def draw_rods(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw rods, like bacteria, apart and in rafts; bright, or with a bright wall."""
    width = _radius_for(rng, size, count, 2.5, 11, area=2.5)
    n = draw_count(rng, size, width * 1.8, count)
    labels = place(rng, size, rods(rng, n, width), clumps=rng.uniform(0, 0.9))
    light = _levels(rng, labels)
    inside = depth(labels)
    if rng.random() < 0.3:
        light = light * (0.3 + np.exp(-inside / np.float32(1.2)))
    else:
        light = light * np.minimum(1, 0.4 + 0.6 * inside / width)
    return Drawing(labels=labels, picture=colour(rng, expose(rng, light.astype(np.float32)), dark=0.3))


def draw_clumps(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw colonies: cells packed so that only thin seams tell them apart."""
    radius = _radius_for(rng, size, count, 8, 24)
    labels = tessellate(rng, size, radius, irregular=rng.uniform(0.1, 0.5))
    n = int(rng.integers(1, 5))
    colonies = place(rng, size, blobs(rng, n, min(size) * rng.uniform(0.15, 0.4), stretch=0.3), clumps=0.3)
    labels = np.where(colonies > 0, labels, 0)
    areas = np.bincount(labels.ravel())
    labels = np.where((areas >= 0.4 * np.pi * radius**2)[labels], labels, 0)  # no slivers at the colony's rim
    inside = depth(labels)
    seam = 1 - np.exp(-(inside + 0.3) / np.float32(rng.uniform(0.8, 2.5)))
    light = _levels(rng, labels, spread=rng.uniform(0.03, 0.25)) * (1 - rng.uniform(0.35, 0.9) * (1 - seam))
    light = light * (1 + rng.uniform(0.02, 0.2) * smooth_field(rng, size, rng.uniform(1, 6)))
    picture = expose(rng, light.astype(np.float32))
    if rng.random() < 0.3:
        stain = -np.log(rng.uniform(0.1, 0.8, 3))
        return Drawing(labels=labels, picture=absorb([(picture, stain)], rng.uniform(0.75, 1.0, 3)))
    return Drawing(labels=labels, picture=colour(rng, picture, dark=0.25))


def _radius_for(
    rng: np.random.Generator, size: Size, count: int | None, low: float, high: float, area: float = 1.0
) -> float:
    """Draw a radius; with a wanted count, not more than what lets so many objects of `area` circles fit."""
    if count is not None:
        high = min(high, max(low, (0.6 * size[0] * size[1] / (np.pi * area * max(1, count))) ** 0.5))
    return draw_radius(rng, size, low, high)


def _scattered(rng: np.random.Generator, size: Size, count: int | None) -> npt.NDArray[np.int32]:
    radius = _radius_for(rng, size, count, 5, 32)
    shapes = blobs(rng, draw_count(rng, size, radius, count), radius, stretch=rng.uniform(0.05, 0.4))
    return place(rng, size, shapes, clumps=rng.uniform(0, 0.7))


def _levels(rng: np.random.Generator, labels: npt.NDArray[np.int32], spread: float = 0.35) -> Plane:
    """Return how bright each object is, 0 outside."""
    levels = np.exp(rng.normal(-0.3, spread, int(labels.max()) + 1)).astype(np.float32)
    levels[0] = 0
    return levels[labels]


def _solid(rng: np.random.Generator, labels: npt.NDArray[np.int32]) -> Plane:
    """Return (H, W) light of objects with texture, at times a dome, at times spots."""
    size = labels.shape[0], labels.shape[1]
    light = _levels(rng, labels) * (1 + rng.uniform(0.05, 0.35) * smooth_field(rng, size, rng.uniform(1, 5)))
    if rng.random() < 0.5:
        light = light * (0.5 + 0.5 * np.minimum(1, depth(labels) / rng.uniform(2, 10)))
    if rng.random() < 0.25:  # nucleoli, or holes of them
        light = light * (1 + rng.uniform(-0.5, 0.8) * (smooth_field(rng, size, rng.uniform(1.5, 3)) > 1.6))
    return light.astype(np.float32)

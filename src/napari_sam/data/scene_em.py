"""Recipe of electron microscopy: cells with dark membranes and grey organelles, or axons in dark sheaths."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.data.scene import Drawing
from napari_sam.data.scene_light import add_noise, blur, smooth_field, stretch, uneven
from napari_sam.data.scene_shapes import blobs, depth, draw_count, draw_radius, place, tessellate

__all__ = ["draw_em"]

Size = tuple[int, int]
Plane = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

MOST_BODIES = 80 / 2**16  # a pixel


def draw_em(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw packed cells with organelles, which are their parts, or axons in sheaths, which are not labelled."""
    radius = draw_radius(rng, size, 9, 42)
    if rng.random() < 0.65:
        labels, light = _packed(rng, size, radius)
    else:
        labels, light = _axons(rng, size, radius, count)
    parts = _organelles(rng, labels, radius)
    light = _paint_organelles(rng, light, parts)
    light = light + rng.uniform(0.02, 0.1) * smooth_field(rng, size, rng.uniform(0.7, 1.5))
    light = blur(light.astype(np.float32), float(rng.uniform(0.4, 1.2))) * uneven(rng, size, rng.uniform(0, 0.12))
    light = light + rng.normal(0, rng.uniform(0, 0.02), (size[0], 1)).astype(np.float32)  # lines of the beam
    picture = stretch(add_noise(rng, light, float(rng.uniform(0.01, 0.1))))
    return Drawing(labels=labels, picture=1 - picture if rng.random() < 0.15 else picture, parts=parts)


def _packed(rng: np.random.Generator, size: Size, radius: float) -> tuple[Labels, Plane]:
    """Return cells and light; membranes are dark and belong to no cell."""
    cells = tessellate(rng, size, radius, irregular=rng.uniform(0.3, 1.0))
    width = rng.uniform(0.5, 2.5)
    inside = depth(cells)
    labels = np.where(inside > width, cells, 0)
    grey = rng.normal(0.65, 0.06, int(cells.max()) + 1).astype(np.float32)[cells]
    dark = np.exp(-np.maximum(inside - width / 2, 0) / np.float32(0.8))
    return labels, (grey - rng.uniform(0.25, 0.55) * dark).astype(np.float32)


def _axons(rng: np.random.Generator, size: Size, radius: float, count: int | None) -> tuple[Labels, Plane]:
    """Return axons and light: pale discs of many sizes, each in a dark sheath."""
    n = draw_count(rng, size, 1.3 * radius, count, most=0.9)
    sheath = rng.uniform(0.12, 0.35)
    outer = place(rng, size, blobs(rng, n, 1.2 * radius, spread=0.4, stretch=0.4, wobble=0.15), clumps=0.2)
    inside = depth(outer)
    deepest = ndimage.maximum(inside, outer, np.arange(int(outer.max()) + 1)).astype(np.float32)
    edge = np.maximum(1.5, sheath * deepest)[outer]
    labels = np.where(inside > edge, outer, 0)
    ground = np.float32(rng.uniform(0.4, 0.7)) + rng.uniform(0.03, 0.12) * smooth_field(rng, size, rng.uniform(2, 6))
    light = np.where(outer > 0, np.float32(rng.uniform(0.0, 0.15)), ground)
    return labels, np.where(labels > 0, np.float32(rng.uniform(0.6, 0.9)), light).astype(np.float32)


def _organelles(rng: np.random.Generator, labels: Labels, radius: float) -> Labels:
    """Return parts: long or round grey bodies wholly inside of cells."""
    size = labels.shape[0], labels.shape[1]
    small = max(2.5, radius * rng.uniform(0.12, 0.26))
    n = int(rng.uniform(0, min(0.15 / (np.pi * small**2), MOST_BODIES)) * labels.size)
    bodies = place(rng, size, blobs(rng, n, small, stretch=0.6))
    spread = ndimage.minimum_filter(labels, 3)  # 0 or another cell's number near the rim
    whole = np.ones(int(bodies.max()) + 1, bool)
    cell = ndimage.maximum(labels, bodies, np.arange(len(whole))).astype(np.int32)
    whole[np.unique(bodies[spread != cell[bodies]])] = False
    whole[0] = False
    return np.where(whole[bodies], bodies, 0)


def _paint_organelles(rng: np.random.Generator, light: Plane, parts: Labels) -> Plane:
    """Darken organelles, with a darker rim and fine stripes inside."""
    if not parts.any():
        return light
    inside = depth(parts)
    stripes = smooth_field(rng, (light.shape[0], light.shape[1]), (0.7, 3.0)) * rng.uniform(0, 0.06)
    level = rng.uniform(0.3, 0.5) + stripes - 0.18 * (inside <= 1)
    return np.where(parts > 0, level, light).astype(np.float32)

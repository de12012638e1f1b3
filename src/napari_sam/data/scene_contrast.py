"""Recipes of unstained pictures: phase contrast, slanting light, and objects that differ by texture only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.data.scene import Drawing
from napari_sam.data.scene_light import add_noise, blur, debris, smooth_field, stretch, uneven
from napari_sam.data.scene_shapes import blobs, depth, draw_count, draw_radius, nuclei_inside, place, tessellate

__all__ = ["draw_phase", "draw_textures"]

Size = tuple[int, int]
Plane = npt.NDArray[np.float32]


def draw_phase(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw transparent cells: grey with a bright halo as in phase contrast, or as a relief as in slanting light."""
    radius = draw_radius(rng, size, 8, 40)
    n = draw_count(rng, size, radius, count, most=0.5)
    shapes = blobs(rng, n, radius, stretch=rng.uniform(0.1, 0.9), wobble=rng.uniform(0.1, 0.4))
    labels = place(rng, size, shapes, clumps=rng.uniform(0, 0.7))
    parts = nuclei_inside(rng, labels, (0.3, 0.5), missing=0.2) if rng.random() < 0.6 else None
    thickness = np.minimum(1, (depth(labels) + (labels > 0)) / np.float32(0.4 * radius))
    if parts is not None:
        thickness = thickness + np.float32(rng.uniform(0.2, 0.6)) * (parts > 0)
    grains = (smooth_field(rng, size, rng.uniform(0.8, 1.6)) > 1.5) * (labels > 0)
    thickness = (thickness + rng.uniform(0, 0.6) * grains).astype(np.float32)
    light = _relief(rng, thickness) if rng.random() < 0.3 else _halo(rng, thickness, labels > 0, radius)
    if rng.random() < 0.4:
        light = debris(rng, light, float(rng.uniform(-1, 1)))
    light = blur(light, float(rng.uniform(0.4, 1.3))) + (uneven(rng, size, rng.uniform(0, 0.12)) - 1)
    picture = stretch(add_noise(rng, light, float(rng.uniform(0.01, 0.08))))
    return Drawing(labels=labels, picture=picture, parts=parts)


def draw_textures(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw objects as bright as their ground, known by the grain, direction or contrast of their texture."""
    radius = draw_radius(rng, size, 12, 48)
    if rng.random() < 0.3:
        labels = tessellate(rng, size, radius, irregular=rng.uniform(0.2, 0.8))
        labels = np.where((rng.random(int(labels.max()) + 1) < rng.uniform(0.3, 0.7))[labels], labels, 0)
    else:
        n = draw_count(rng, size, radius, count)
        labels = place(rng, size, blobs(rng, n, radius, stretch=0.3, wobble=0.2))
    labels = ndimage.label(labels > 0, np.ones((3, 3)), output=np.int32)[0]  # nothing would tell those that touch apart
    fine = float(rng.uniform(0.6, 1.2))
    coarse = fine * float(rng.uniform(2.5, 5))
    one, other = (fine, coarse) if rng.random() < 0.5 else (coarse, fine)
    if rng.random() < 0.4:  # stripes across each other
        ground, inside = smooth_field(rng, size, (coarse, fine)), smooth_field(rng, size, (fine, coarse))
    else:
        ground, inside = smooth_field(rng, size, one), smooth_field(rng, size, other)
    levels = rng.normal(rng.normal(0, 0.3), 0.15, int(labels.max()) + 1).astype(np.float32)
    contrast = np.float32(rng.uniform(0.7, 1.5))
    light = 0.5 + 0.15 * np.where(labels > 0, levels[labels] + contrast * inside, ground)
    if rng.random() < 0.3:  # a faint rim
        light = light + np.float32(rng.uniform(-0.3, 0.3)) * ((labels > 0) & (depth(labels) <= 1))
    seen = blur(light.astype(np.float32), float(rng.uniform(0.3, 0.7))) * uneven(rng, size, rng.uniform(0, 0.1))
    return Drawing(labels=labels, picture=stretch(add_noise(rng, seen, float(rng.uniform(0.005, 0.04)))))


def _halo(rng: np.random.Generator, thickness: Plane, cells: npt.NDArray[np.bool_], radius: float) -> Plane:
    """Return light that is lower in cells, and higher just around them."""
    around = blur(cells.astype(np.float32), float(np.clip(0.2 * radius, 1.5, 6)))
    bright = rng.uniform(0.3, 1.2) * np.where(cells, 0.25 * around, around)
    sign = -1 if rng.random() < 0.75 else 1
    return (0.5 + bright + sign * rng.uniform(0.2, 0.6) * thickness).astype(np.float32)


def _relief(rng: np.random.Generator, thickness: Plane) -> Plane:
    """Return the slope of the thickness along some direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, cols = np.gradient(blur(thickness, float(rng.uniform(1, 2))))
    return (0.5 + 3 * (np.sin(angle) * rows + np.cos(angle) * cols)).astype(np.float32)

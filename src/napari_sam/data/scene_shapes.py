"""Shapes of synthetic scenes: outlines of blobs and rods, put down apart or in clumps, and planes full of cells.

Outlines are (k, 2) float64 corners (row, col) relative to the object's middle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import Voronoi

from napari_sam.data.object_targets import interior
from napari_sam.data.scene_light import smooth_field

__all__ = ["blobs", "depth", "draw_count", "draw_radius", "middles", "nuclei_inside", "place", "rods", "tessellate"]

Outlines = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]

CORNERS = 36
FREE = 0.7  # of an object, at least, must not be taken by earlier ones


def draw_radius(rng: np.random.Generator, size: tuple[int, int], low: float = 5, high: float = 32) -> float:
    """Draw a typical radius in pixels, evenly on a log scale, at most a third of the picture's shorter side."""
    high = max(low, min(high, min(size) / 3))
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_count(
    rng: np.random.Generator, size: tuple[int, int], radius: float, count: int | None, most: float = 0.7
) -> int:
    """Return `count`, or else how many objects of a radius cover from a tenth to `most` of the picture."""
    if count is not None:
        return count
    full = size[0] * size[1] / (np.pi * radius**2)
    return int(np.clip(full * rng.uniform(0.1, most), 2, 150 * max(1, size[0] * size[1] / 2**16)))


def blobs(
    rng: np.random.Generator, n: int, radius: float, *, spread: float = 0.2, stretch: float = 0.18, wobble: float = 0.12
) -> Outlines:
    """Return (n, k, 2) outlines: ellipses whose radius wobbles with the angle.

    Parameters
    ----------
    radius
        Typical, in pixels.
    spread, stretch
        Standard deviations of the logarithms of the radius and of the ratio of the axes.
    wobble
        Of the radius.
    """
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    scale = radius * np.exp(rng.normal(0, spread, (n, 1)))
    for order in (2, 3, 4, 5):
        shift = rng.uniform(0, 2 * np.pi, (n, 1))
        scale = scale * (1 + rng.normal(0, wobble / order, (n, 1)) * np.cos(order * angle + shift))
    ratio = np.exp(rng.normal(0, stretch, (n, 1)) / 2)
    return _turned(rng, scale * np.sin(angle) / ratio, scale * np.cos(angle) * ratio)


def rods(rng: np.random.Generator, n: int, width: float) -> Outlines:
    """Return (n, k, 2) outlines of rods with round ends, half of their width given, straight or slightly bent."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    half = width * np.exp(rng.normal(0, 0.12, (n, 1)))
    length = half * rng.uniform(1.5, 5, (n, 1))
    x = length * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.5
    y = half * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.5
    return _turned(rng, y + rng.normal(0, 0.12, (n, 1)) * (x**2 / length - length / 2), x)


def place(
    rng: np.random.Generator,
    size: tuple[int, int],
    outlines: Outlines,
    *,
    clumps: float = 0.0,
    at: npt.NDArray[np.float64] | None = None,
) -> Labels:
    """Put objects down one after the other, each where at least 70 % of it is free, and return their labels.

    Parameters
    ----------
    outlines
        (n, k, 2).
    clumps
        How often an object is put beside an earlier one.
    at
        (n, 2) where to put them; None draws places.
    """
    labels = np.zeros(size, np.int32)
    reach = np.sqrt((outlines**2).sum(axis=-1)).mean(axis=1)
    centres = rng.uniform(0, size, (len(outlines), 2)) if at is None else at
    beside = rng.random(len(outlines)) < clumps
    angles = rng.uniform(0, 2 * np.pi, len(outlines))
    partners = rng.random(len(outlines))
    put: list[int] = []
    for i, outline in enumerate(outlines):
        if beside[i] and put:
            partner = put[int(partners[i] * len(put))]
            away = 0.97 * (reach[i] + reach[partner])
            centres[i] = centres[partner] + (away * np.sin(angles[i]), away * np.cos(angles[i]))
        window, patch = _fill(outline + centres[i], size)
        there = labels[window]
        free = patch & (there == 0)
        area = np.count_nonzero(patch)
        if area and np.count_nonzero(free) >= FREE * area:
            put.append(i)
            there[free] = len(put)
    return labels


def tessellate(rng: np.random.Generator, size: tuple[int, int], radius: float, *, irregular: float = 0.3) -> Labels:
    """Fill the plane with cells that touch, of a typical radius, with wavy borders: every pixel has a label.

    Parameters
    ----------
    irregular
        0 for honeycombs, 1 for cells of very different sizes.
    """
    step = radius * 1.9
    rows = np.arange(-2.5 * step, size[0] + 2.5 * step, step)
    cols = np.arange(-2.5 * step, size[1] + 2.5 * step, step)
    seeds = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1)
    seeds[1::2, :, 1] += step / 2
    points = seeds.reshape(-1, 2) + rng.normal(
        0, max(0.02, irregular) * step * 0.6, (seeds.shape[0] * seeds.shape[1], 2)
    )
    diagram = Voronoi(points)
    picture = Image.new("I", (size[1], size[0]))
    pen = ImageDraw.Draw(picture)
    for number, region in enumerate(diagram.point_region, start=1):
        corners = diagram.regions[region]
        if corners and -1 not in corners:
            pen.polygon(diagram.vertices[corners][:, ::-1].ravel().tolist(), fill=number)
    labels = np.asarray(picture).astype(np.int32)
    shift = [smooth_field(rng, size, 0.5 * radius) * np.float32(0.13 * radius) for _ in "yx"]
    row = np.clip(np.arange(size[0])[:, None] + shift[0], 0, size[0] - 1).astype(np.intp)
    col = np.clip(np.arange(size[1]) + shift[1], 0, size[1] - 1).astype(np.intp)
    return labels[row, col]


def depth(labels: Labels) -> npt.NDArray[np.float32]:
    """Return how many steps each pixel lies from its object's rim, 0 outside and where two objects meet."""
    return ndimage.distance_transform_cdt(interior(labels), "taxicab").astype(np.float32)


def middles(labels: Labels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the (n + 1, 2) centroids and the (n + 1,) radii sqrt(area / pi) of labels 0 to n."""
    flat = labels.ravel()
    areas = np.bincount(flat)
    rows = np.bincount(flat, np.repeat(np.arange(labels.shape[0]), labels.shape[1]))
    cols = np.bincount(flat, np.tile(np.arange(labels.shape[1]), labels.shape[0]))
    return np.stack([rows, cols], axis=1) / np.maximum(areas, 1)[:, None], np.sqrt(areas / np.pi)


def nuclei_inside(
    rng: np.random.Generator, labels: Labels, share: tuple[float, float] = (0.35, 0.55), missing: float = 0.1
) -> Labels:
    """Draw a nucleus near the middle of most objects and return the parts, each with its object's number.

    Parameters
    ----------
    share
        Smallest and largest radius of the nuclei in those of their objects.
    missing
        How many objects have none.
    """
    centres, radii = middles(labels)
    outlines = blobs(rng, len(radii), 1.0, spread=0.12) * (radii * rng.uniform(*share))[:, None, None]
    outlines += (centres + rng.normal(0, 0.12, centres.shape) * radii[:, None])[:, None]
    parts = np.zeros_like(labels)
    for number in np.flatnonzero((radii > 4) & (rng.random(len(radii)) >= missing)):
        if number:
            window, patch = _fill(outlines[number], (labels.shape[0], labels.shape[1]))
            parts[window][patch & (labels[window] == number)] = number
    return parts


def _turned(rng: np.random.Generator, y: Outlines, x: Outlines) -> Outlines:
    turn = rng.uniform(0, 2 * np.pi, (len(y), 1))
    return np.stack([y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)], axis=-1)


def _fill(outline: Outlines, size: tuple[int, int]) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Return the window of an outline inside the picture and the (h, w) bool pixels in it."""
    low = np.clip(np.floor(outline.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)) + 1, low, size).astype(int)
    height, width = (high - low).tolist()
    window = np.s_[low[0] : high[0], low[1] : high[1]]
    if height == 0 or width == 0:
        return window, np.zeros((height, width), bool)
    patch = Image.new("L", (width, height))
    ImageDraw.Draw(patch).polygon((outline - low)[:, ::-1].ravel().tolist(), fill=1)
    return window, np.asarray(patch).astype(bool)

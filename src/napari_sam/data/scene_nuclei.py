"""The first synthetic scenes, bright nuclei, kept bit for bit: pictures of documents and benchmarks are drawn by it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.data.object_targets import interior
from napari_sam.data.sample import Sample

__all__ = ["draw_nuclei"]


def draw_nuclei(rng: np.random.Generator, size: tuple[int, int], count: int | None) -> Sample:
    """Draw nuclei; see `synthetic_scene` for the parameters."""
    radius = float(np.exp(rng.uniform(np.log(5), np.log(32))))
    if count is None:
        full = size[0] * size[1] / (np.pi * radius**2)
        count = int(np.clip(full * rng.uniform(0.1, 0.7), 2, 120))
    labels = _place(rng, size, radius, count)
    return Sample(image=_photograph(rng, _paint(rng, labels)), labels=labels)


def _place(rng: np.random.Generator, size: tuple[int, int], radius: float, count: int) -> npt.NDArray[np.int32]:
    """Put objects down one after the other; half of them beside an earlier one, so that clumps form."""
    labels = np.zeros(size, np.int32)
    centres: list[tuple[float, float]] = []
    clumps = rng.uniform(0, 0.7)
    label = 0
    for _ in range(count):
        scale = radius * float(np.exp(rng.normal(0, 0.2)))
        if centres and rng.random() < clumps:
            angle = rng.uniform(0, 2 * np.pi)
            base = centres[int(rng.integers(len(centres)))]
            centre = (base[0] + 1.9 * scale * np.sin(angle), base[1] + 1.9 * scale * np.cos(angle))
        else:
            centre = (rng.uniform(0, size[0]), rng.uniform(0, size[1]))
        window, shape = _outline(rng, size, centre, scale)
        free = shape & (labels[window] == 0)
        if shape.sum() < 12 or free.sum() < 0.7 * shape.sum():
            continue
        label += 1
        labels[window][free] = label
        centres.append(centre)
    return labels


def _outline(
    rng: np.random.Generator, size: tuple[int, int], centre: tuple[float, float], scale: float
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Return a window and the bool shape inside it: an ellipse whose radius wobbles with the angle."""
    ratio = np.exp(rng.normal(0, 0.18))
    turn = rng.uniform(0, np.pi)
    reach = int(np.ceil(scale * max(ratio**0.5, ratio**-0.5) * 1.5)) + 2
    row0, col0 = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
    row1, col1 = min(size[0], int(centre[0]) + reach), min(size[1], int(centre[1]) + reach)
    row1, col1 = max(row0, row1), max(col0, col1)  # an empty window if the object lies wholly outside
    rows, cols = np.mgrid[row0:row1, col0:col1]
    y, x = rows - centre[0], cols - centre[1]
    u = (x * np.cos(turn) + y * np.sin(turn)) / ratio**0.5
    v = (-x * np.sin(turn) + y * np.cos(turn)) * ratio**0.5
    angle = np.arctan2(v, u)
    wobble = np.ones_like(angle)
    for order in (2, 3, 4, 5):
        wobble += rng.normal(0, 0.12 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return (slice(row0, row1), slice(col0, col1)), np.hypot(u, v) < scale * wobble


def _paint(rng: np.random.Generator, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Return how much light or stain each pixel holds, 0 to about 1."""
    n = int(labels.max())
    brightness = np.concatenate([[0], np.exp(rng.normal(-0.3, 0.35, n))]).astype(np.float32)
    light = brightness[labels]
    texture = _field(rng, labels.shape, rng.uniform(1, 5))
    light = light * (1 + np.float32(rng.uniform(0.05, 0.35)) * texture)
    distance = ndimage.distance_transform_edt(interior(labels)).astype(np.float32)
    if rng.random() < 0.6:  # a dome
        light = light * (0.5 + 0.5 * np.minimum(1, distance / np.float32(rng.uniform(2, 10))))
    return light


def _field(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> npt.NDArray[np.float32]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma)
    return (noise - noise.mean()) / (noise.std() + np.float32(1e-6))


def _photograph(rng: np.random.Generator, light: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Blur, light unevenly, add background, debris and noise, and stretch to 8 bits as the predictor does."""
    x = ndimage.gaussian_filter(light, rng.uniform(0.4, 1.6))
    uneven = _field(rng, light.shape, max(light.shape) / 4)
    x = x * (1 + np.float32(rng.uniform(0, 0.25)) * uneven)
    x = x + np.float32(rng.uniform(0, 0.3)) * (0.5 + 0.2 * _field(rng, light.shape, rng.uniform(4, 30)))
    x = x + np.float32(np.exp(rng.uniform(np.log(0.01), np.log(0.12)))) * rng.standard_normal(x.shape, dtype=np.float32)
    low, high = np.percentile(x, (0.1, 99.9))
    x = np.clip((x - low) / (high - low + 1e-6), 0, 1).astype(np.float32)
    if rng.random() < 0.1:  # dark, coloured objects on a bright ground
        paper = rng.uniform(0.75, 1.0, 3).astype(np.float32)
        stain = rng.uniform(0.05, 0.6, 3).astype(np.float32)
        rgb = paper + x[..., None] * (stain - paper)
    else:
        rgb = np.repeat(x[..., None], 3, axis=-1)
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)

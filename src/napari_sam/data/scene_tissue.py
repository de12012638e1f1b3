"""Recipe of stained tissue sections: nuclei between pink fibres and around glands, in the colours of common stains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_sam.data.scene import Drawing
from napari_sam.data.scene_light import absorb, add_noise, blur, smooth_field, uneven
from napari_sam.data.scene_shapes import blobs, depth, draw_count, draw_radius, place

__all__ = ["draw_tissue"]

# Optical densities for red, green and blue (Ruifrok and Johnston 2001, as in scikit-image's color.rgb2hed).
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.07, 0.99, 0.11])
DAB = np.array([0.27, 0.57, 0.78])

Size = tuple[int, int]
Plane = npt.NDArray[np.float32]


def draw_tissue(rng: np.random.Generator, size: Size, count: int | None) -> Drawing:
    """Draw haematoxylin-stained nuclei in eosin-stained tissue with fibres, glands and gaps; some with brown ones."""
    radius = draw_radius(rng, size, 4.5, 15)
    n = draw_count(rng, size, radius, count, most=0.5)
    shapes = blobs(rng, n, radius, spread=0.22, stretch=rng.uniform(0.2, 0.6))
    labels = place(rng, size, shapes, at=_places(rng, size, radius, n))
    nuclear = _nuclei(rng, labels)
    near = blur((labels > 0).astype(np.float32), radius)
    gaps = (smooth_field(rng, size, 3 * radius) > rng.uniform(0.9, 2.5)) & (near < 0.25)
    tissue = blur(np.where(gaps, np.float32(0.03), np.float32(1)), 1.0)
    pink = tissue * (rng.uniform(0.12, 0.4) + rng.uniform(0.05, 0.3) * _fibres(rng, size, radius)) * (1 - 0.5 * nuclear)
    purple = rng.uniform(0.7, 1.5) * nuclear + rng.uniform(0, 0.25) * near * tissue
    stains = [(pink, _vary(rng, EOSIN)), (purple, _vary(rng, HAEMATOXYLIN))]
    if rng.random() < 0.25:  # another stain marks some of the nuclei
        marked = np.append(False, rng.random(int(labels.max())) < rng.uniform(0.1, 0.6))[labels]
        stains.append((marked * nuclear * rng.uniform(0.5, 1.5), _vary(rng, DAB)))
        stains[0] = pink * 0.4, stains[0][1]
    picture = absorb([(amount.astype(np.float32), stain) for amount, stain in stains], rng.uniform(0.85, 1.0, 3))
    picture = blur(picture, float(rng.uniform(0.4, 1.1))) * uneven(rng, size, rng.uniform(0, 0.06))[..., None]
    return Drawing(labels=labels, picture=add_noise(rng, picture, float(rng.uniform(0.005, 0.03))))


def _places(rng: np.random.Generator, size: Size, radius: float, n: int) -> npt.NDArray[np.float64]:
    """Return (n, 2) places: anywhere, or for a share of them in a ring around the middle of a gland."""
    at = rng.uniform(0, size, (n, 2))
    if rng.random() < 0.6:
        glands = rng.uniform(0, size, (int(rng.integers(1, 5)), 2))
        around = glands[rng.integers(len(glands), size=n)]
        angle = rng.uniform(0, 2 * np.pi, n)
        reach = radius * rng.uniform(3, 7, len(glands))[rng.integers(len(glands), size=n)] + rng.normal(
            0, radius / 2, n
        )
        ring = around + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        at = np.where(rng.random((n, 1)) < rng.uniform(0.4, 0.9), ring, at)
    return at


def _nuclei(rng: np.random.Generator, labels: npt.NDArray[np.int32]) -> Plane:
    """Return how much stain each nucleus holds: clumped chromatin, a dark rim, paler and darker ones."""
    size = labels.shape[0], labels.shape[1]
    amounts = np.append(0, np.exp(rng.normal(0, 0.25, int(labels.max())))).astype(np.float32)
    chromatin = 1 + rng.uniform(0.1, 0.4) * smooth_field(rng, size, rng.uniform(1, 2.5))
    rim = 1 + rng.uniform(0, 0.6) * np.exp(-depth(labels) / 1.2)
    return np.clip(amounts[labels] * chromatin * rim, 0, 2.5).astype(np.float32)


def _fibres(rng: np.random.Generator, size: Size, radius: float) -> Plane:
    """Return waves along wandering lines, 0 to 1."""
    angle = rng.uniform(0, np.pi)
    rows, cols = np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)
    run = (rows * np.float32(np.sin(angle)) + cols * np.float32(np.cos(angle))) / np.float32(rng.uniform(1.5, 4))
    bend = smooth_field(rng, size, 2.5 * radius) * np.float32(rng.uniform(2, 10))
    strands = np.sin(run + bend) * np.clip(0.5 + 0.5 * smooth_field(rng, size, 1.5 * radius), 0, 1)
    return (0.5 + 0.3 * strands + 0.2 * smooth_field(rng, size, 1.2)).astype(np.float32)


def _vary(rng: np.random.Generator, stain: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return stain * np.exp(rng.normal(0, 0.15, 3)) + rng.uniform(0, 0.06, 3)

"""Light of synthetic scenes: smooth random fields, stains, and what a microscope adds to the light it gets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

__all__ = ["absorb", "add_noise", "blur", "colour", "debris", "expose", "smooth_field", "stretch", "uneven"]

Plane = npt.NDArray[np.float32]

COARSE = 1.5  # pixels: standard deviation of a field on the grid on which it is drawn
WIDE = 4.0  # pixels: standard deviation from which a blur is done by boxes


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], sigma: float | tuple[float, float]) -> Plane:
    """Return (H, W) float32 noise of mean 0 and standard deviation 1, smooth over `sigma` pixels along each axis.

    Drawn on a grid as coarse as smoothness allows and enlarged: the time does not depend on sigma.
    """
    sigmas = np.broadcast_to(np.asarray(sigma, float), (2,))
    steps = np.maximum(1, sigmas / COARSE)
    margin = 2
    coarse = np.ceil(np.array(shape) / steps).astype(int) + 2 * margin
    noise = ndimage.gaussian_filter(rng.standard_normal(tuple(coarse), dtype=np.float32), sigmas / steps)
    if (steps > 1).any():
        row, col = margin + rng.random(2)
        box = (col, row, col + shape[1] / steps[1], row + shape[0] / steps[0])
        noise = np.asarray(Image.fromarray(noise).resize(shape[::-1], Image.Resampling.BICUBIC, box=box))
    else:
        noise = noise[margin : margin + shape[0], margin : margin + shape[1]]
    return (noise - noise.mean()) / (noise.std() + np.float32(1e-6))


def uneven(rng: np.random.Generator, shape: tuple[int, int], strength: float) -> Plane:
    """Return the factor (H, W) of uneven lighting around 1; `strength` is its standard deviation."""
    return np.maximum(1 + np.float32(strength) * smooth_field(rng, shape, max(shape) / 3), 0.1).astype(np.float32)


def blur(values: Plane, sigma: float) -> Plane:
    """Return (H, W) or (H, W, C) values blurred along rows and columns."""
    if sigma > WIDE:  # two boxes do it, in a time that does not grow with sigma
        width = round(sigma * 6**0.5)
        once = ndimage.uniform_filter(values, (width, width, 0)[: values.ndim])
        return ndimage.uniform_filter(once, (width, width, 0)[: values.ndim])
    return ndimage.gaussian_filter(values, (sigma, sigma, 0)[: values.ndim], truncate=3)


def add_noise(rng: np.random.Generator, values: Plane, strength: float) -> Plane:
    """Add noise that grows with the square root of the light, as photons do, and some that does not."""
    noise = rng.standard_normal(values.shape, dtype=np.float32) * np.float32(strength)
    return values + noise * np.sqrt(0.3 + 0.7 * np.clip(values, 0, 2))


def debris(rng: np.random.Generator, light: Plane, strength: float) -> Plane:
    """Add a few specks, which no label knows, and out-of-focus dust."""
    specks = np.zeros_like(light)
    n = int(rng.poisson(6 * light.size / 2**16))
    at = rng.integers(0, light.shape, (n, 2))
    specks[at[:, 0], at[:, 1]] = rng.uniform(2, 12, n) * strength
    return light + blur(specks, float(rng.uniform(0.7, 1.6)))


def expose(rng: np.random.Generator, light: Plane) -> Plane:
    """Photograph (H, W) light of about 0 to 1: blur, uneven lighting, haze, noise; stretched to 0 to 1."""
    x = debris(rng, light, float(rng.uniform(-0.3, 1))) if rng.random() < 0.4 else light
    x = blur(x, float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.5:
        x = x * uneven(rng, (x.shape[0], x.shape[1]), float(rng.uniform(0, 0.3)))
    haze = smooth_field(rng, (x.shape[0], x.shape[1]), float(rng.uniform(4, 40)))
    x = x + np.float32(rng.uniform(0, 0.3)) * (0.5 + 0.2 * haze)
    return stretch(add_noise(rng, x, float(np.exp(rng.uniform(np.log(0.01), np.log(0.12))))))


def stretch(values: Plane) -> Plane:
    """Bring the 0.1 and 99.9 percentiles, of every 9th pixel, to 0 and 1."""
    low, high = np.percentile(values[::3, ::3], (0.1, 99.9))
    return np.clip((values - np.float32(low)) / np.float32(high - low + 1e-6), 0, 1)


def colour(rng: np.random.Generator, light: Plane, *, dark: float = 0.1, tinted: float = 0.1) -> Plane:
    """Return light as it is, at times (`dark`) inverted, or (`tinted`) as (H, W, 3) in the colour of a dye."""
    if rng.random() < dark:
        return 1 - light
    if rng.random() < tinted:
        dye = np.array([(0, 1, 0), (1, 0, 0), (0.1, 0.3, 1), (1, 0, 1), (0, 1, 1)][int(rng.integers(5))], np.float32)
        return light[..., None] * dye
    return light


def absorb(densities: list[tuple[Plane, npt.NDArray[np.floating]]], paper: npt.NDArray[np.floating]) -> Plane:
    """Return (H, W, 3) what stains leave of white light.

    Parameters
    ----------
    densities
        Amount (H, W) of each stain and its optical density (3,) for red, green and blue.
    paper
        (3,) colour where there is no stain.
    """
    total = sum(amount[..., None] * np.asarray(stain, np.float32) for amount, stain in densities)
    return np.asarray(paper, np.float32) * np.exp(-np.asarray(total, np.float32))

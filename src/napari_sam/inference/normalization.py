"""How pixel values become the 8-bit RGB picture that the model looks at; decided once an image and recorded."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError

__all__ = [
    "MISSING",
    "Normalization",
    "apply_normalization",
    "as_image",
    "check_image",
    "missing_pixels",
    "resolve_normalization",
    "select_channels",
]

PERCENTILES = (0.1, 99.9)
SAMPLE_PIXELS = 2**20  # about this many pixels decide the percentiles
SAMPLE_BLOCK = 64  # side of the blocks that are read of an image with more than MAX_READ pixels
MAX_READ = 2**26
RUN = 8  # pixels of a row that are averaged to tell structure from noise
MISSING = "Some pixels are NaN or infinite: they count as missing, are shown black and never labelled."


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """Record the values that become black and white, one pair a channel or one for all.

    Parameters
    ----------
    low, high
        In the image's own units; `low[i]` becomes 0 and `high[i]` becomes 255.
    channels
        Those that are looked at, where the image has others and nobody chose; None for all.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    channels: tuple[int, ...] | None = None


AS_IT_IS = Normalization(low=(0.0,), high=(255.0,))


def as_image(image: Any) -> Any:
    """Return array-likes with a NumPy type (NumPy, Zarr, Dask) untouched and anything else as a NumPy array.

    Raises
    ------
    InputError
        If it cannot become an array.
    """
    try:
        np.dtype(image.dtype)
        len(image.shape)
    except (AttributeError, TypeError):
        try:
            return np.asarray(image)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Cannot read the image, a {type(image).__name__}: give an array (H, W) or (H, W, C)."
            ) from error
    return image


def check_image(image: Any) -> None:
    """Check that an array-like is one plane: (H, W) or (H, W, C) of a real type, not empty.

    Raises
    ------
    InputError
        Naming the shape or type found and what is allowed.
    """
    shape = tuple(image.shape)
    dtype = np.dtype(image.dtype)
    if len(shape) not in (2, 3):
        raise InputError(f"The image has shape {shape}: give one plane, (H, W) or (H, W, C), of a stack.")
    if 0 in shape:
        raise InputError(f"The image is empty (shape {shape}): give at least one pixel and one channel.")
    if dtype.kind not in "buif":
        raise InputError(f"The image has values of type {dtype}: give booleans, integers or floats.")


def select_channels(pixels: npt.NDArray[Any], channels: tuple[int, ...] | None) -> npt.NDArray[Any]:
    """Pick channels of a (H, W, C) array.

    Parameters
    ----------
    pixels
        (H, W) or (H, W, C).
    channels
        One (gray), two (averaged) or three (red, green, blue) indices; None takes all.

    Returns
    -------
    array
        (H, W) or (H, W, C').

    Raises
    ------
    InputError
        If a channel does not exist, or more than three are asked for.
    """
    if channels is None:
        return pixels
    count = pixels.shape[-1] if pixels.ndim == 3 else 1
    if not 1 <= len(channels) <= 3:
        raise InputError(f"{len(channels)} channels chosen: choose one, two or three.")
    bad = [c for c in channels if not -count <= c < count]
    if bad:
        raise InputError(f"There is no channel {bad[0]}: the image has {count}, numbered 0 to {count - 1}.")
    return pixels[..., list(channels)] if pixels.ndim == 3 else pixels


def missing_pixels(image: Any, channels: tuple[int, ...] | None = None) -> npt.NDArray[np.bool_] | None:
    """Return where (H, W) an image has no value, NaN or infinite in all of its channels; None if nowhere."""
    if np.dtype(image.dtype).kind != "f":
        return None
    missing = ~np.isfinite(select_channels(np.asarray(image), channels))
    if missing.ndim == 3:
        missing = missing.all(axis=-1)
    return missing if missing.any() else None


def resolve_normalization(
    image: Any,
    normalization: str | tuple[float, float] | Normalization = "auto",
    channels: tuple[int, ...] | None = None,
) -> Normalization:
    """Decide which values become black and white.

    Parameters
    ----------
    image
        (H, W) or (H, W, C) array-like; of a large one only a sample is looked at.
    normalization
        "auto" stretches between the 0.1 and 99.9 percentiles unless the image is 8-bit RGB, which is taken as it is;
        "none" takes values as 0 to 255; (low, high) stretches that range; a recorded `Normalization` is checked.
    channels
        See `select_channels`. None takes gray and three channels as they are, and of others the one with most signal;
        a fourth that is the same everywhere says nothing and is left out.

    Raises
    ------
    InputError
        If the image or the normalisation cannot be used.

    Warns
    -----
    UserWarning
        If values are NaN or infinite, or a channel was chosen here.
    """
    check_image(image)
    sample = _sample(image)
    if isinstance(normalization, Normalization):
        pixels = select_channels(sample, normalization.channels if channels is None else channels)
        count = pixels.shape[-1] if pixels.ndim == 3 else 1
        if len(normalization.low) not in (1, count) or len(normalization.low) != len(normalization.high):
            raise InputError(
                f"The recorded normalization is for {len(normalization.low)} channels but the image has {count}: "
                "give the normalization and channels that were recorded together."
            )
        return normalization
    chosen = _choose_channels(sample) if channels is None else None
    pixels = select_channels(sample, chosen if channels is None else channels)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        warnings.warn(MISSING, UserWarning, stacklevel=2)
    return replace(_resolve(pixels, normalization), channels=chosen)


def _resolve(pixels: npt.NDArray[Any], normalization: str | tuple[float, float]) -> Normalization:
    if isinstance(normalization, str):
        if normalization not in ("auto", "none"):
            raise InputError(f'Unknown normalization {normalization!r}: choose "auto", "none" or a range (low, high).')
        if normalization == "none" or (pixels.dtype == np.uint8 and _is_rgb(pixels)):
            return AS_IT_IS
        return _percentiles(pixels)
    try:
        low, high = (float(value) for value in normalization)
    except (TypeError, ValueError) as error:
        raise InputError(f"Cannot use normalization {normalization!r}: give two numbers (low, high).") from error
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"Normalization range ({low:g}, {high:g}) is not rising: give a low below a high.")
    return Normalization(low=(low,), high=(high,))


def apply_normalization(
    image: Any, normalization: Normalization, channels: tuple[int, ...] | None = None
) -> npt.NDArray[np.uint8]:
    """Turn an image, or any part of it, into (H, W, 3) uint8 RGB; where values are NaN or infinite it is black.

    Parameters
    ----------
    image
        (H, W) or (H, W, C).
    normalization
        Of the whole image.
    channels
        Those that the normalisation was resolved with.
    """
    picked = select_channels(np.asarray(image), normalization.channels if channels is None else channels)
    if picked.ndim == 2:
        picked = picked[..., None]
    if picked.dtype == np.uint8 and normalization == AS_IT_IS:
        x = picked
    else:
        wide: Any = np.float64 if picked.dtype.itemsize >= 4 else np.float32
        low, high = np.asarray(normalization.low, wide), np.asarray(normalization.high, wide)
        span = np.where(high > low, high - low, 1)
        values = picked.astype(wide)
        if picked.dtype.kind == "f":
            values[~np.isfinite(values)] = -np.inf
        x = np.clip((values - low) / span, 0, 1)
        x = (x * 255 + 0.5).astype(np.uint8)
    if x.shape[-1] == 3:
        return np.ascontiguousarray(x)
    gray = x[..., 0] if x.shape[-1] == 1 else x.mean(axis=-1).round().astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=-1)


def _is_rgb(pixels: npt.NDArray[Any]) -> bool:
    return pixels.ndim == 3 and pixels.shape[-1] == 3


def _sample(image: Any) -> npt.NDArray[Any]:
    """Read about SAMPLE_PIXELS pixels that stand for all; which ones depends on nothing but the image's size."""
    height, width = image.shape[:2]
    if height * width <= MAX_READ:
        step = max(1, math.ceil(math.sqrt(height * width / SAMPLE_PIXELS)))
        return np.asarray(image[::step, ::step])
    # of arrays in chunks every step-th pixel would be every chunk, so take blocks from all over
    count = SAMPLE_PIXELS // SAMPLE_BLOCK**2
    across = min(max(1, round(math.sqrt(count * width / height))), count)
    tops, lefts = (
        np.linspace(0, max(0, side - SAMPLE_BLOCK), number).astype(int).tolist()
        for side, number in ((height, count // across), (width, across))
    )
    blocks = [np.asarray(image[r : r + SAMPLE_BLOCK, c : c + SAMPLE_BLOCK]) for r in tops for c in lefts]
    return np.concatenate([block.reshape(1, -1, *block.shape[2:]) for block in blocks], axis=1)


def _percentiles(pixels: npt.NDArray[Any]) -> Normalization:
    # colours are stretched together, other channels each on its own
    planes = [pixels] if pixels.ndim == 2 or _is_rgb(pixels) else [pixels[..., c] for c in range(pixels.shape[-1])]
    bounds = []
    for plane in planes:
        values = plane.astype(np.float64).ravel()
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, PERCENTILES) if len(values) else (0.0, 0.0)
        if low == high and len(values):  # a few bright pixels on an even ground, or a constant image
            low, high = values.min(), values.max()
        bounds.append((float(low), float(high)))
    return Normalization(low=tuple(low for low, _ in bounds), high=tuple(high for _, high in bounds))


def _choose_channels(sample: npt.NDArray[Any]) -> tuple[int, ...] | None:
    """Return which channels are looked at where nobody chose; None for all."""
    count = sample.shape[-1] if sample.ndim == 3 else 1
    if count in (1, 3):
        return None
    if count == 4 and (sample[..., 3] == sample.flat[3]).all():
        return 0, 1, 2
    best = int(np.argmax([_signal(sample[..., number]) for number in range(count)]))
    warnings.warn(
        f"The image has {count} channels, of which number {best} (from 0), the one with most signal, is looked at: "
        "choose one, two or three yourself (channels).",
        UserWarning,
        stacklevel=3,
    )
    return (best,)


def _signal(channel: npt.NDArray[Any]) -> float:
    """Return how much what neighbouring pixels have in common varies, beside how much they differ."""
    values = channel.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return 0.0
    values[~finite] = values[finite].min()
    run = min(RUN, values.shape[1])
    means = values[:, : values.shape[1] // run * run].reshape(len(values), -1, run).mean(axis=-1)
    low, high = np.percentile(means, PERCENTILES)
    noise = np.abs(np.diff(values, axis=1)).mean() if values.shape[1] > 1 else 0.0
    return float((high - low) / noise) if noise else 0.0

"""One training image with its instance labels, crops of it, and augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

__all__ = ["PAD_COLOUR", "Sample", "augment_intensity", "crop_around", "random_crop"]

LARGEST = (60, 130)  # pixels: diameter of typical objects at the smallest and the largest zoom, at most
ZOOMS = (1 / 8, 4.0)  # of crops around an object
PAD_COLOUR = (124, 116, 104)  # the pixel mean: what zero padding after normalisation looks like


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Hold an image (H, W, 3) uint8 and its labels (H, W) int32, 0 background.

    Parameters
    ----------
    complete
        Whether every object is labelled, so that what has no label is background.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    complete: bool = True

    @cached_property
    def boxes(self) -> npt.NDArray[np.int64]:
        """(n, 5): label, first row and column, last row and column (exclusive) of each object."""
        found = ndimage.find_objects(self.labels)
        rows = [(n, s[0].start, s[1].start, s[0].stop, s[1].stop) for n, s in enumerate(found, 1) if s is not None]
        return np.array(rows, np.int64).reshape(-1, 5)

    @cached_property
    def diameter(self) -> float:
        """Median of the objects' diameters 2 sqrt(area / pi) in pixels; 1 without objects."""
        areas = np.bincount(self.labels.ravel())[1:]
        return float(2 * np.sqrt(np.median(areas[areas > 0]) / np.pi)) if areas.any() else 1.0


def random_crop(sample: Sample, rng: np.random.Generator, size: int, scale: tuple[float, float]) -> Sample:
    """Cut a random square at a random zoom, flipped and turned at random.

    Parameters
    ----------
    size
        Side of the result in pixels; what lies outside of the image is `PAD_COLOUR`, below and right of it.
    scale
        Smallest and largest zoom, drawn evenly on a log scale; less where objects would come out too large.
    """
    limits = np.minimum(scale, np.array(LARGEST) / sample.diameter)
    zoom = float(np.exp(rng.uniform(*np.log(limits))))
    stretch = float(np.exp(rng.normal(0, 0.06)))  # a little out of proportion
    height, width = sample.labels.shape
    rows = min(height, max(8, round(size / zoom * stretch)))
    cols = min(width, max(8, round(size / zoom / stretch)))
    row, col = _crop_origin(sample.labels, rng, rows, cols)
    return _turn(_resized(sample, (row, col, rows, cols), (zoom / stretch, zoom * stretch), size), rng)


def crop_around(sample: Sample, rng: np.random.Generator, size: int, share: tuple[float, float]) -> tuple[Sample, int]:
    """Cut a random square around a random object, which then takes a random share of the square's side.

    Parameters
    ----------
    sample
        With at least one object.
    size
        Side of the result in pixels; what lies outside of the image is `PAD_COLOUR`, below and right of it.
    share
        Smallest and largest share, drawn evenly on a log scale. The zoom stays between `ZOOMS`.

    Returns
    -------
    The crop, and the label of its object, which may reach over the border.
    """
    label, top, left, bottom, right = (int(value) for value in sample.boxes[rng.integers(len(sample.boxes))])
    side = max(bottom - top, right - left)
    zoom = float(np.clip(np.exp(rng.uniform(*np.log(share))) * size / side, *ZOOMS))
    stretch = float(np.exp(rng.normal(0, 0.08)))
    height, width = sample.labels.shape
    rows = min(height, max(8, round(size / zoom * stretch)))
    cols = min(width, max(8, round(size / zoom / stretch)))
    row = _origin_around(rng, top, bottom, rows, height)
    col = _origin_around(rng, left, right, cols, width)
    crop = _resized(sample, (row, col, rows, cols), (zoom / stretch, zoom * stretch), size)
    return _turn(crop, rng), label


def _origin_around(rng: np.random.Generator, start: int, stop: int, length: int, limit: int) -> int:
    """Pick where a window begins that holds the object, or most of it, at any place."""
    slack = max(length - (stop - start), (stop - start) // 4)
    first = (start + stop - length) / 2 + rng.uniform(-0.5, 0.5) * slack
    return int(np.clip(round(first), 0, limit - length))


def _resized(sample: Sample, window: tuple[int, int, int, int], zoom: tuple[float, float], size: int) -> Sample:
    """Resize a window (row, column, rows, columns) of a sample into a square, filled up below and right of it."""
    row, col, rows, cols = window
    part = np.s_[row : row + rows, col : col + cols]
    out_rows = min(size, max(1, round(rows * zoom[0])))
    out_cols = min(size, max(1, round(cols * zoom[1])))
    image = np.empty((size, size, 3), np.uint8)
    image[:] = PAD_COLOUR
    labels = np.zeros((size, size), np.int32)
    picture = Image.fromarray(sample.image[part])
    image[:out_rows, :out_cols] = np.asarray(picture.resize((out_cols, out_rows), Image.Resampling.BILINEAR))
    at_row = np.minimum(((np.arange(out_rows) + 0.5) * rows / out_rows).astype(int), rows - 1)
    at_col = np.minimum(((np.arange(out_cols) + 0.5) * cols / out_cols).astype(int), cols - 1)
    labels[:out_rows, :out_cols] = sample.labels[part][at_row[:, None], at_col]
    return Sample(image=image, labels=labels, complete=sample.complete)


def _crop_origin(labels: npt.NDArray[np.int32], rng: np.random.Generator, rows: int, cols: int) -> tuple[int, int]:
    """Pick a window that holds an object if a few tries find one."""
    row = col = 0
    for _ in range(5):
        row = int(rng.integers(labels.shape[0] - rows + 1))
        col = int(rng.integers(labels.shape[1] - cols + 1))
        if labels[row : row + rows : 4, col : col + cols : 4].any():
            break
    return row, col


def _turn(sample: Sample, rng: np.random.Generator) -> Sample:
    image, labels = sample.image, sample.labels
    turns = int(rng.integers(4))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return Sample(image=np.ascontiguousarray(image), labels=np.ascontiguousarray(labels), complete=sample.complete)


def augment_intensity(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Change brightness, contrast, gamma, colours, sharpness and noise of a (H, W, 3) uint8 image at random."""
    x = image.astype(np.float32) / 255
    if rng.random() < 0.25:
        x = 1 - x
    if rng.random() < 0.2:
        x = np.repeat(x.mean(axis=-1, keepdims=True), 3, axis=-1)
    elif rng.random() < 0.3:
        x = x[..., rng.permutation(3)]
    if rng.random() < 0.3:  # another stain
        x = x * rng.uniform(0.7, 1.0, 3).astype(np.float32)
    if rng.random() < 0.5:
        x = x ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.6:
        x = x * np.float32(rng.uniform(0.5, 1.25)) + np.float32(rng.uniform(-0.1, 0.15))
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.6)
        x = ndimage.gaussian_filter(x, (sigma, sigma, 0))
    if rng.random() < 0.3:
        noise = rng.standard_normal((*x.shape[:2], 1), dtype=np.float32)
        x = x + noise * np.float32(rng.uniform(0.01, 0.1))
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)

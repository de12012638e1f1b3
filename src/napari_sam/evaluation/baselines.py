"""What classical methods of scikit-image reach with the same clicks, boxes and images: the least a model must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.segmentation import flood, slic, watershed

from napari_sam.errors import InputError
from napari_sam.evaluation.players import Click
from napari_sam.inference.normalization import apply_normalization, resolve_normalization
from napari_sam.types import BoolArray

__all__ = [
    "AUTO_BASELINES",
    "PROMPT_BASELINES",
    "BaselinePlayer",
    "BaselineSegmenter",
    "check_baselines",
    "otsu_labels",
    "otsu_watershed_labels",
]

SMOOTHING = 1.0  # pixels, against noise
LEAST_AREA = 10  # pixels of an object
SUPERPIXEL_AREA = 64  # pixels
REACH = 1.5  # of a correction, times its distance from the outline
Gray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]
Box = tuple[float, float, float, float]


def otsu_labels(image: npt.NDArray[Any]) -> Labels:
    """Return the connected components of the foreground by Otsu's threshold as (H, W) int32 labels."""
    return _without_specks(label(_foreground(_gray(image)), connectivity=1))


def otsu_watershed_labels(image: npt.NDArray[Any]) -> Labels:
    """Return the same foreground, split by a watershed of its distance transform (scikit-image's own example).

    Seeds are the maxima of the smoothed distance, at least half a typical radius apart.
    """
    foreground = _foreground(_gray(image))
    return _without_specks(_split(foreground))


class BaselineSegmenter:
    """Segment everything with one of `AUTO_BASELINES`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._method = AUTO_BASELINES[name]

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the (H, W) int32 labels of an image (H, W) or (H, W, C), 0 background."""
        return self._method(image)


class BaselinePlayer:
    """Play the prompt protocols with one of `PROMPT_BASELINES`.

    A click stands for the region around it. A correction adds or removes its region only near the click, within 1.5
    times the way to the outline of the mask so far: elsewhere it would often take the whole background. A box is a
    click on its centre, the region cut off at the box.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._prepare = PROMPT_BASELINES[name]

    def set_image(self, image: Any) -> None:
        """Take an image (H, W) or (H, W, C)."""
        self._region = self._prepare(_gray(np.asarray(image)))

    def first(self, click: Click) -> tuple[list[BoolArray], float | None]:
        """Return the region of the click; there is no estimate of its IoU."""
        self._mask = np.array(self._region(click[0]))
        return [self._mask], None

    def correct(self, clicks: Sequence[Click]) -> BoolArray:
        """Return the (H, W) mask before with the last of the clicks put right."""
        at, kind = clicks[-1]
        pixel = _pixel(at, self._mask.shape)
        others = np.argwhere(self._mask != self._mask[pixel])
        reach = REACH * float(np.hypot(*(others - pixel).T).min()) if len(others) else np.inf
        rows, cols = np.ogrid[: self._mask.shape[0], : self._mask.shape[1]]
        near = (rows - pixel[0]) ** 2 + (cols - pixel[1]) ** 2 <= reach**2
        changed = self._region(at) & near
        self._mask = self._mask | changed if kind == 1 else self._mask & ~changed
        return self._mask

    def boxed(self, box: Box) -> tuple[BoolArray, float | None]:
        """Return the region of the box's centre inside the box (row0, col0, row1, col1), exclusive ends."""
        row0, col0, row1, col1 = box
        mask = np.array(self._region(((row0 + row1 - 1) / 2, (col0 + col1 - 1) / 2)))
        inside = np.zeros_like(mask)
        inside[round(row0) : max(round(row1), round(row0) + 1), round(col0) : max(round(col1), round(col0) + 1)] = True
        return mask & inside, None


def check_baselines(names: Sequence[str], allowed: Sequence[str]) -> list[str]:
    """Return the names once each, in their order.

    Raises
    ------
    InputError
        If one is not among those allowed.
    """
    for name in names:
        if name not in allowed:
            raise InputError(f"There is no baseline {name!r} for this protocol: choose from {', '.join(allowed)}.")
    return list(dict.fromkeys(names))


Region = Callable[[Any], BoolArray]  # from (row, col) to a (H, W) mask


def _otsu_region(gray: Gray) -> Region:
    """Return the connected piece of the click's own side of Otsu's threshold, so bright and dark objects do alike."""
    pieces = label(_bright(gray).astype(np.uint8) + 1, connectivity=1, background=0)
    return lambda at: pieces == pieces[_pixel(at, gray.shape)]


def _otsu_watershed_region(gray: Gray) -> Region:
    """Return the piece of either side of Otsu's threshold, split by watershed, that was clicked."""
    bright = _bright(gray)
    pieces = _split(bright)
    pieces = np.where(bright, pieces, -_split(~bright))
    return lambda at: pieces == pieces[_pixel(at, gray.shape)]


def _flood_region(gray: Gray) -> Region:
    """Return what a flood from the click reaches within half the contrast of the two sides of Otsu's threshold."""
    tolerance = _contrast(gray) / 2
    return lambda at: flood(gray, _pixel(at, gray.shape), tolerance=tolerance)


def _slic_region(gray: Gray) -> Region:
    """Return the superpixel that was clicked, grown over neighbours of about its mean grey value as a flood does."""
    superpixels = slic(
        gray, n_segments=max(1, gray.size // SUPERPIXEL_AREA), compactness=0.1, channel_axis=None, start_label=0
    )
    means = np.bincount(superpixels.ravel(), gray.ravel()) / np.maximum(np.bincount(superpixels.ravel()), 1)
    return _flood_region(means[superpixels])


AUTO_BASELINES: dict[str, Callable[[npt.NDArray[Any]], Labels]] = {
    "otsu": otsu_labels,
    "otsu_watershed": otsu_watershed_labels,
}
PROMPT_BASELINES: dict[str, Callable[[Gray], Region]] = {
    "otsu": _otsu_region,
    "otsu_watershed": _otsu_watershed_region,
    "flood": _flood_region,
    "slic": _slic_region,
}


def _gray(image: npt.NDArray[Any]) -> Gray:
    """Return the (H, W) brightness, 0 to 1, that the model sees of an image, a little smoothed."""
    picture = apply_normalization(image, resolve_normalization(image))
    return gaussian(rgb2gray(picture), SMOOTHING, preserve_range=True)


def _bright(gray: Gray) -> BoolArray:
    return gray > threshold_otsu(gray) if np.ptp(gray) > 0 else np.zeros(gray.shape, bool)


def _foreground(gray: Gray) -> BoolArray:
    """Return the side of Otsu's threshold that covers less of the image: objects may be bright or dark."""
    bright = _bright(gray)
    return bright if bright.mean() <= 0.5 else ~bright


def _contrast(gray: Gray) -> float:
    bright = _bright(gray)
    return float(gray[bright].mean() - gray[~bright].mean()) if bright.any() else 0.0


def _split(foreground: BoolArray) -> Labels:
    """Return (H, W) int32 labels of a mask, split where it is narrow."""
    pieces, count = ndimage.label(foreground)
    if count == 0:
        return pieces
    distance = ndimage.distance_transform_edt(np.pad(foreground, 1))[1:-1, 1:-1]
    radius = float(np.median(ndimage.maximum(distance, pieces, np.arange(1, count + 1))))
    smooth = gaussian(distance, 1.0, preserve_range=True)
    peaks = peak_local_max(smooth, min_distance=max(1, round(radius / 2)), labels=pieces, exclude_border=False)
    seeds = np.zeros(foreground.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-smooth, seeds, mask=foreground).astype(np.int32)


def _without_specks(labels: npt.NDArray[Any]) -> Labels:
    areas = np.bincount(labels.ravel())
    return np.where(areas[labels] >= LEAST_AREA, labels, 0).astype(np.int32)


def _pixel(at: Sequence[float], shape: tuple[int, ...]) -> tuple[int, int]:
    row, col = (min(max(round(float(value)), 0), side - 1) for value, side in zip(at, shape, strict=True))
    return row, col

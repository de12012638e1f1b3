"""What an object looks like, measured: size, shape, brightness, texture, colour and crowding.

Between two values lies a margin in which an object has neither, so that no word is ever a matter of taste.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage.measure import regionprops

from napari_sam.data.captions import encode_values
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["describe", "equal_diameter"]

Image8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

GRAY = np.array([0.299, 0.587, 0.114], np.float32)
FEW = 4  # objects: fewer do not tell what is usual
SMALL, LARGE = 0.75, 1.33  # diameters as multiples of the usual one
SHAPELESS = 40  # pixels: a smaller object has no certain shape
IRREGULAR, COMPACT = 0.85, 0.91  # share of the convex hull that is filled
LONG, ROUND = 0.58, 0.82  # shorter by longer axis
THREAD = 0.25  # half of the greatest width by the root of the area, of a disc 0.56
THIN = 5.0  # squared outline by area, of a disc 1: a thread, however it is bent
DARK, BRIGHT = 80, 150  # gray levels of 255
GLOOM = 40  # gray levels of surroundings at most, where objects glow
SHADE = 40  # gray levels below its surroundings make a medium object dark
SMOOTH, ROUGH = 5.0, 10.0  # gray levels of standard deviation, fine structure only
PATCH = 32  # pixels: side at which texture is measured
LEAST_SIDE = 10  # pixels: smaller objects have no certain texture
COLOURLESS, COLOURED = 12, 28  # gray levels between the strongest and the weakest of red, green and blue
HUES = ((0.02, 0.13, "brown"), (0.22, 0.47, "green"), (0.53, 0.68, "blue"), (0.70, 0.89, "purple"))
PINK = 0.91  # and above
TOUCHED = 0.3  # share of the outline, of crowded objects
NEAR, CLOSE = 0.5, 2  # reach around an object as a share of its diameter, and in pixels


def equal_diameter(records: Sequence[MaskRecord]) -> float:
    """Return the median of 2 sqrt(area / pi) of records in pixels; 0 of fewer than four."""
    areas = [record.area for record in records]
    return float(2 * np.sqrt(np.median(areas) / np.pi)) if len(areas) >= FEW else 0.0


def describe(
    image: Image8,
    record: MaskRecord,
    *,
    usual: float = 0.0,
    taken: npt.NDArray[np.int32] | None = None,
    kind: str | None = None,
    modality: str | None = None,
) -> npt.NDArray[np.int8]:
    """Return the (f,) codes of one object; see `captions.encode_values`.

    Parameters
    ----------
    image
        (H, W, 3) uint8, normalised.
    usual
        Diameter of the image's objects in pixels (`equal_diameter`); 0 leaves the size open.
    taken
        (H, W) int32 labels of all objects, for crowding; None leaves it open.
    kind, modality
        Where they are known.
    """
    values: dict[str, str | None] = {"kind": kind, "modality": modality}
    window, mask = _surroundings(record, image.shape[:2])
    pixels = image[window]
    values["colour"] = _colour(pixels[mask].mean(axis=0))
    if kind != "background":
        gray = pixels.astype(np.float32) @ GRAY
        # on dark ground a dye is as bright as its channel: pure blue is no dark colour there
        glows = not mask.all() and float(np.median(gray[~mask])) <= GLOOM
        ratio = 2 * np.sqrt(record.area / np.pi) / usual if usual else 1
        values["size"] = "small" if ratio <= SMALL else "large" if ratio >= LARGE else None
        values["shape"] = _shape(record)
        values["brightness"] = _brightness(pixels.max(axis=-1).astype(np.float32) if glows else gray, mask)
        values["texture"] = _texture(gray, mask)
        if taken is not None:
            values["crowding"] = _crowding(taken[window], mask)
    return encode_values(values)


def _surroundings(record: MaskRecord, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Mask]:
    """Return a window that reaches half a diameter beyond the box, and the mask in it."""
    row0, col0, row1, col1 = record.box
    reach = CLOSE + 1 + int(NEAR * 2 * np.sqrt(record.area / np.pi))
    top, left = max(0, row0 - reach), max(0, col0 - reach)
    window = np.s_[top : min(shape[0], row1 + reach), left : min(shape[1], col1 + reach)]
    mask = np.zeros((window[0].stop - top, window[1].stop - left), bool)
    mask[row0 - top : row1 - top, col0 - left : col1 - left] = record.patch
    return window, mask


def _shape(record: MaskRecord) -> str | None:
    patch = record.patch
    if record.area < SHAPELESS or min(patch.shape) < 3:
        return None
    found = regionprops(np.pad(patch, 1).astype(np.uint8))[0]
    solidity, longer = float(found.solidity), float(found.axis_major_length)
    ratio = float(found.axis_minor_length) / longer if longer else 1.0
    if float(found.perimeter) ** 2 / (4 * np.pi * record.area) >= THIN and solidity < IRREGULAR:
        return "elongated" if _is_thread(patch) else "irregular"
    if solidity < IRREGULAR:
        return "irregular"
    if solidity < COMPACT:
        return None
    return "round" if ratio >= ROUND else "elongated" if ratio <= LONG else None


def _is_thread(patch: Mask) -> bool:
    """Tell whether a mask is as thin all over, as filaments are and neurons are not."""
    depth = ndimage.distance_transform_edt(np.pad(patch, 1))
    return bool(depth.max() <= THREAD * patch.sum() ** 0.5)


def _brightness(gray: npt.NDArray[np.float32], mask: Mask) -> str | None:
    level = float(gray[mask].mean())
    around = gray[~mask]
    difference = level - float(np.median(around)) if around.size else 0.0
    if level >= BRIGHT and difference > -SHADE:
        return "bright"
    return "dark" if level <= DARK or (difference <= -SHADE and level <= BRIGHT) else None


def _texture(gray: npt.NDArray[np.float32], mask: Mask) -> str | None:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    if min(mask[box].shape) < LEAST_SIDE:
        return None
    side = PATCH, PATCH
    patch = np.asarray(Image.fromarray(gray[box]).resize(side, Image.Resampling.BOX))
    inner = ndimage.binary_erosion(np.asarray(Image.fromarray(mask[box]).resize(side)), iterations=3)
    if inner.sum() < 30:
        return None
    weight = ndimage.gaussian_filter(inner.astype(np.float32), 3)
    coarse = ndimage.gaussian_filter(np.where(inner, patch, 0), 3) / np.maximum(weight, 1e-6)
    rough = float((patch - coarse)[inner].std())
    return "smooth" if rough <= SMOOTH else "textured" if rough >= ROUGH else None


def _colour(mean: npt.NDArray[np.float64]) -> str | None:
    chroma = float(mean.max() - mean.min())
    if chroma <= COLOURLESS:
        return "gray"
    if chroma < COLOURED:
        return None
    hue = colorsys.rgb_to_hsv(*(mean / 255))[0]
    if hue >= PINK or hue < HUES[0][0]:
        return "pink"
    return next((name for low, high, name in HUES if low <= hue <= high), None)


def _crowding(taken: npt.NDArray[np.int32], mask: Mask) -> str | None:
    own = np.bincount(taken[mask]).argmax()
    others = (taken > 0) & (taken != own) & ~mask
    rim = ndimage.binary_dilation(mask, iterations=CLOSE) & ~mask
    if np.count_nonzero(others & rim) >= TOUCHED * np.count_nonzero(rim):
        return "crowded"
    return None if others.any() else "isolated"

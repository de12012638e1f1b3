"""Pictures of the best, the median and the worst image, with outlines of the truth and of what was found."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.segmentation import find_boundaries

from napari_sam.evaluation.report import image_means
from napari_sam.evaluation.scores import ImageResult, Score
from napari_sam.inference.normalization import apply_normalization, resolve_normalization
from napari_sam.io.dataset import DatasetItem

__all__ = ["BOTH_COLOUR", "FOUND_COLOUR", "TRUTH_COLOUR", "Gallery", "Picture", "outline_picture"]

TRUTH_COLOUR, FOUND_COLOUR, BOTH_COLOUR = (0, 190, 255), (255, 140, 0), (255, 255, 255)
LONG_SIDE = 560  # about, of a picture


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Hold a PNG and what it shows: which rank, which image, and how good it is."""

    rank: str
    image: str
    group: str
    value: float
    png: bytes


class Gallery:
    """Keep what was found in every image, compressed, until it is known which images are worth showing."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[DatasetItem, bytes]] = {}

    def add(self, result: ImageResult) -> None:
        """Keep the labels of one image."""
        self._kept[result.item.name] = result.item, zlib.compress(result.labels.tobytes(), 1)

    def pictures(self, scores: Sequence[Score], measure: str) -> list[Picture]:
        """Return the best, the median and the worst image by the mean of a measure; of fewer images, all of them."""
        ranked = image_means(scores, measure)[::-1]
        last = len(ranked) - 1
        places = {0: "best", last // 2: "median", last: "worst"}
        if len(ranked) == 1:
            places = {0: "only image"}
        elif len(ranked) == 2:
            places = {0: "best", 1: "worst"}
        return [self._picture(places[place], *ranked[place]) for place in sorted(places)]

    def _picture(self, rank: str, name: str, value: float) -> Picture:
        item, packed = self._kept[name]
        image, truth = item.read()
        found = np.frombuffer(zlib.decompress(packed), np.int32).reshape(truth.shape)
        png = outline_picture(image, truth, found)
        return Picture(rank=rank, image=name, group=item.group, value=value, png=png)


def outline_picture(image: npt.NDArray[Any], truth: npt.NDArray[np.integer], found: npt.NDArray[np.integer]) -> bytes:
    """Return a PNG of an image (H, W) or (H, W, C) with the outlines of two (H, W) label images.

    Small images are enlarged, large ones shrunk; outlines are one pixel of the picture wide.
    """
    picture = Image.fromarray(apply_normalization(image, resolve_normalization(image)))
    factor = LONG_SIDE / max(picture.size)
    factor = max(1.0, round(factor)) if factor >= 1 else factor
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    pixels = np.array(picture.resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX))
    there, seen = (_outlines(labels, size) for labels in (truth, found))
    pixels[there], pixels[seen], pixels[there & seen] = TRUTH_COLOUR, FOUND_COLOUR, BOTH_COLOUR
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _outlines(labels: npt.NDArray[np.integer], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    resized = Image.fromarray(labels.astype(np.int32)).resize(size, Image.Resampling.NEAREST)
    return find_boundaries(np.asarray(resized), connectivity=1, mode="inner").astype(bool)

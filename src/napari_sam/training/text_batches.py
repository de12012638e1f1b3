"""Batches of crops and captions: all that is random follows from the seed and the step's number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.config.text_training import TextTrainingConfig
from napari_sam.data.caption_crops import CaptionCrops, apply_view
from napari_sam.data.captions import UNKNOWN, draw_caption, judge

__all__ = ["TextBatch", "make_text_batch"]


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """Hold n crops and t captions.

    Parameters
    ----------
    images
        (n, size, size, 3) uint8.
    texts
        t sentences; the first is true of the first image, and so on.
    truth
        (n, t) uint8: `captions.FALSE`, `UNDECIDED` or `TRUE`.
    """

    images: npt.NDArray[np.uint8]
    texts: list[str]
    truth: npt.NDArray[np.uint8]


def make_text_batch(
    crops: CaptionCrops, weights: npt.NDArray[np.float64], config: TextTrainingConfig, step: int
) -> TextBatch:
    """Draw the batch of a step."""
    rng = np.random.default_rng((config.seed, 2, step))
    rows = rng.choice(len(crops), config.batch, p=weights)
    codes = crops.codes[rows]
    rows, codes = _speakable_first(rows, codes)
    rarity = _rarity(codes)
    captions = [draw_caption(codes[i], rng, rarity[i]) for i in range(config.texts) if (codes[i] != UNKNOWN).any()]
    images = np.stack([_picture(crops.pixels[row], config, rng) for row in rows])
    truth = np.stack([judge(codes, caption.claims) for caption in captions], axis=1)
    return TextBatch(images=images, texts=[caption.text for caption in captions], truth=truth)


def _speakable_first(
    rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Put those of which nothing is known last: there is no caption for them."""
    order = np.argsort(~(codes != UNKNOWN).any(axis=1), kind="stable")
    return rows[order], codes[order]


def _rarity(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Return (n, f) weights by which rare values are spoken of more often than common ones."""
    rarity = np.ones(codes.shape)
    for facet in range(codes.shape[1]):
        own = codes[:, facet]
        counts = np.bincount(own[own != UNKNOWN], minlength=1)
        known = own != UNKNOWN
        rarity[known, facet] = (counts[own[known]] / max(1, known.sum())) ** -0.5
    return rarity


def _picture(
    crop: npt.NDArray[np.uint8], config: TextTrainingConfig, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return a crop seen one of three ways, flipped and turned at random, with a little noise."""
    chance = rng.random()
    view = "zero" if chance < config.zeroed else "blur" if chance < config.zeroed + config.blurred else "keep"
    image = np.rot90(apply_view(crop, view), int(rng.integers(4)))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if config.noise:
        gray = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32) * rng.random() * config.noise
        shift = rng.normal(0, config.noise / 2)
        image = np.clip(image + gray + shift + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)

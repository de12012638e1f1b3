"""Batches of pre-training; step k of a seed is always the same, so runs resume anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from napari_sam.config.pretraining import PretrainingConfig
from napari_sam.data.sample import Sample, augment_intensity, random_crop
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.training.batches import stream_steps

__all__ = ["MaskedBatch", "make_masked_batch", "stream_masked_batches"]


@dataclass(frozen=True, kw_only=True)
class MaskedBatch:
    """Hold B crops and what is hidden of each.

    Parameters
    ----------
    images
        (B, S, S, 3) uint8.
    hidden
        (B, S / patch, S / patch) bool, as many True in each.
    """

    images: npt.NDArray[np.uint8]
    hidden: npt.NDArray[np.bool_]


def make_masked_batch(
    samples: Sequence[Sample], weights: npt.NDArray[np.float64], config: PretrainingConfig, size: int, step: int
) -> MaskedBatch:
    """Make the batch of one step.

    Parameters
    ----------
    samples, weights
        The images and how often each is drawn; both may be empty where all crops are synthetic.
    size
        Side S of the crops, the model's input.
    step
        Number of the step.
    """
    grid = size // config.patch
    count = min(max(round(config.mask_ratio * grid**2), 1), grid**2 - 1)
    images, hidden = [], []
    for index in range(config.batch):
        rng = np.random.default_rng([config.seed, step, index])
        if rng.random() < config.synthetic:
            crop = synthetic_sample(rng, (size, size))
        else:
            crop = random_crop(samples[int(rng.choice(len(samples), p=weights))], rng, size, config.scale)
        images.append(augment_intensity(crop.image, rng) if rng.random() < config.augment else crop.image)
        hidden.append((rng.permutation(grid**2) < count).reshape(grid, grid))
    return MaskedBatch(images=np.stack(images), hidden=np.stack(hidden))


def stream_masked_batches(
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    config: PretrainingConfig,
    size: int,
    steps: range,
) -> Iterator[tuple[int, MaskedBatch]]:
    """Yield the number and the batch of each step, in order; `config.workers` processes work ahead, where set."""
    yield from stream_steps(partial(make_masked_batch, samples, weights, config, size), steps, config.workers)

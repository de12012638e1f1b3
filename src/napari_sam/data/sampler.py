"""Batches of crops with the masks to be prompted; step k of a seed is always the same, so runs resume anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.config.training import TrainingConfig
from napari_sam.data.object_targets import object_targets
from napari_sam.data.sample import Sample, augment_intensity, crop_around, random_crop
from napari_sam.data.synthetic import synthetic_sample
from napari_sam.errors import InputError

__all__ = ["Batch", "make_batch"]

LARGEST_CLUMP = 0.4  # of the crop
MIN_AREA = 16  # pixels of a crop: smaller pieces of objects are not prompted


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Hold B crops and P masks of each.

    Parameters
    ----------
    images
        (B, S, S, 3) uint8.
    masks
        (B, P, S, S) bool; a crop with fewer objects repeats some.
    objects
        (B, 3, S / 2, S / 2) float32 targets of the object head, see `object_targets`.
    complete
        (B,) bool: whether the crop's objects are all labelled; else the object head learns nothing from it.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    objects: npt.NDArray[np.float32]
    complete: npt.NDArray[np.bool_]

    def crops(self, first: int, count: int) -> Batch:
        """Return some of the crops."""
        some = slice(first, first + count)
        return Batch(
            images=self.images[some],
            masks=self.masks[some],
            objects=self.objects[some],
            complete=self.complete[some],
        )


def make_batch(
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    config: TrainingConfig,
    size: int,
    step: int,
    crops: range | None = None,
) -> Batch:
    """Make the batch of one step.

    Parameters
    ----------
    samples, weights
        The images and how often each is drawn; both may be empty where all crops are synthetic.
    size
        Side S of the crops, the model's input.
    step
        Number of the step.
    crops
        Which of the step's crops to make; None for all.
    """
    images, masks, objects, complete = [], [], [], []
    for index in range(config.batch) if crops is None else crops:
        rng = np.random.default_rng([config.seed, step, index])
        crop, meant = _crop_with_objects(samples, weights, config, size, rng)
        images.append(augment_intensity(crop.image, rng))
        masks.append(_choose_masks(crop.labels, config.prompts, config.clumps, rng, meant))
        objects.append(object_targets(crop.labels, size // 2))
        complete.append(crop.complete)
    return Batch(images=np.stack(images), masks=np.stack(masks), objects=np.stack(objects), complete=np.array(complete))


def _crop_with_objects(
    samples: Sequence[Sample],
    weights: npt.NDArray[np.float64],
    config: TrainingConfig,
    size: int,
    rng: np.random.Generator,
) -> tuple[Sample, int]:
    """Return a crop, and the label of the object that it was cut around; 0 for none."""
    for _ in range(50):
        meant = 0
        if rng.random() < config.synthetic:
            crop = synthetic_sample(rng, (size, size))
        else:
            sample = samples[int(rng.choice(len(samples), p=weights))]
            if config.focus and rng.random() < config.focus and len(sample.boxes):
                crop, meant = crop_around(sample, rng, size, config.share)
            else:
                crop = random_crop(sample, rng, size, config.scale)
        areas = np.bincount(crop.labels.ravel(), minlength=meant + 2)
        if areas[1:].max() >= MIN_AREA:
            return crop, meant if areas[meant] >= MIN_AREA else 0
    raise InputError(
        f"Fifty crops in a row held no object of at least {MIN_AREA} pixels: check the labels, or raise the scale."
    )


def _choose_masks(
    labels: npt.NDArray[np.int32], count: int, clumps: float, rng: np.random.Generator, meant: int = 0
) -> npt.NDArray[np.bool_]:
    """Draw the objects to be prompted; the one that the crop was cut around is a third of them."""
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    ids = np.flatnonzero(areas >= MIN_AREA)
    chosen = rng.permutation(ids)[:count]
    if len(chosen) < count:
        chosen = np.concatenate([chosen, rng.choice(ids, count - len(chosen))])
    if meant:
        chosen[: max(1, count // 3)] = meant
    masks = labels[None] == chosen[:, None, None]
    if clumps:
        parts, _ = ndimage.label(ndimage.binary_dilation(labels > 0))
        for i in np.flatnonzero(rng.random(count) < clumps):
            clump = (parts == parts[masks[i]][0]) & (labels > 0)
            if clump.mean() < LARGEST_CLUMP:
                masks[i] = clump
    return masks

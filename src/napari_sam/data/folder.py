"""Training images from folders with `images/` and `labels/`, held in memory as 8-bit RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_sam.data.sample import Sample
from napari_sam.inference.normalization import apply_normalization, resolve_normalization
from napari_sam.io.dataset import read_dataset

__all__ = ["load_samples"]


def load_samples(folders: Sequence[str | Path]) -> tuple[list[Sample], npt.NDArray[np.float64]]:
    """Read all images of some data sets, normalised as the predictor does.

    Returns
    -------
    samples
        One for each image, in the order of folders and names.
    weights
        How often to draw each (they sum to 1). Groups of an `index.csv` beside or above the data count with the square
        root of their size, so that a rare kind of image is seen more often than its share.
    """
    samples: list[Sample] = []
    groups: list[str] = []
    for folder in folders:
        dataset = read_dataset(Path(folder))
        for item in dataset.items:
            image, labels = item.read()
            rgb = apply_normalization(image, resolve_normalization(image, "auto"))
            samples.append(Sample(image=rgb, labels=labels.astype(np.int32)))
            groups.append(f"{folder}/{item.group}")
    if not samples:
        return [], np.zeros(0)
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = counts[inverse] ** -0.5
    return samples, weights / weights.sum()

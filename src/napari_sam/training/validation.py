"""How good a model in training is on images that were held out: one click on each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_sam.data.sample import Sample
from napari_sam.inference.predictor import Predictor
from napari_sam.model.sam import Sam
from napari_sam.ops.points import inner_point

__all__ = ["score_samples"]


def score_samples(model: Sam, samples: Sequence[Sample], *, objects: int = 20, seed: int = 0) -> float:
    """Return the mean IoU of the best-scored mask for one click in the middle of each object.

    Parameters
    ----------
    model
        Left in evaluation mode.
    samples
        Images with labels.
    objects
        At most so many of an image, drawn with `seed`.
    """
    predictor = Predictor(model.eval())
    ious: list[float] = []
    for number, sample in enumerate(samples):
        ids = np.unique(sample.labels)
        ids = ids[ids > 0]
        if len(ids) > objects:
            ids = np.random.default_rng([seed, number]).choice(ids, objects, replace=False)
        predictor.set_image(sample.image, normalization="none")
        for label in ids:
            truth = sample.labels == label
            mask = predictor.predict([inner_point(truth)], multimask=True).masks[0]
            ious.append(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth))
    return float(np.mean(ious)) if ious else 0.0

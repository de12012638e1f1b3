"""How well a model segments held-out images: one click and one box an object, as users give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.data.sample import Sample
from napari_sam.inference.predictor import Predictor
from napari_sam.model.sam import Sam
from napari_sam.ops.boxes import mask_to_box, noisy_box
from napari_sam.ops.points import inner_point
from napari_sam.types import BoolArray, Prediction, Prompts

__all__ = ["HeldOutScore", "mean_score", "score_images"]

Ious = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class HeldOutScore:
    """Hold mean IoU over objects: for a click in the middle, for a noisy box, and of how many objects."""

    one_click: float
    box: float
    objects: int

    @property
    def mean(self) -> float:
        """What is compared when the best weights are chosen."""
        return (self.one_click + self.box) / 2


def score_images(model: Sam, samples: Sequence[Sample], *, max_objects: int, seed: int) -> Iterator[Ious]:
    """Yield, for each image, the IoU of one click (the mask of the highest score) and of a box for its objects.

    Parameters
    ----------
    model
        As it is now: nothing of earlier weights is remembered.
    samples
        Images and labels.
    max_objects
        At most so many objects an image, drawn at random, always the same ones for a seed.
    seed
        Of the draw and of the noise of boxes.
    """
    model._fingerprint = None  # the weights may have changed since it was computed
    predictor = Predictor(model)
    for number, sample in enumerate(samples):
        rng = np.random.default_rng([seed, number])
        predictor.cache.clear()
        predictor.set_image(sample.image, normalization="none")
        ids = np.unique(sample.labels)
        ids = rng.permutation(ids[ids > 0])[:max_objects]
        yield [_score(predictor, sample.labels == label, rng) for label in ids]


def mean_score(ious: Sequence[tuple[float, float]]) -> HeldOutScore:
    """Return the means over at least one object."""
    one_click, box = np.mean(np.asarray(ious, dtype=np.float64), axis=0)
    return HeldOutScore(one_click=float(one_click), box=float(box), objects=len(ious))


def _score(predictor: Predictor, truth: BoolArray, rng: np.random.Generator) -> tuple[float, float]:
    box = noisy_box(mask_to_box(truth), rng, truth.shape)
    click = predictor.predict_prompts(Prompts(points=(inner_point(truth),), labels=(1,)), True)
    return _iou(click, truth), _iou(predictor.predict_prompts(Prompts(box=box), False), truth)


def _iou(prediction: Prediction, truth: npt.NDArray[np.bool_]) -> float:
    """IoU of the best mask over the whole image, counted inside the window."""
    patch, inside = prediction.patches[0], truth[prediction.window.slices]
    both = int(np.count_nonzero(patch & inside))
    return both / (int(np.count_nonzero(patch)) + int(np.count_nonzero(truth)) - both)

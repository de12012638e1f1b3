"""The point protocol: simulated clicks and boxes on every object of a data set (SAM, section 7.1 and appendix D)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.inference.predictor import Predictor
from napari_sam.io.dataset import Dataset
from napari_sam.ops.boxes import mask_to_box, noisy_box
from napari_sam.ops.points import correction_click, inner_point
from napari_sam.types import BoolArray, Prediction, Prompts

__all__ = ["MEASURES", "ObjectScore", "evaluate_points", "score_object"]

CLICKS = 3
# what is measured for each object, in the order of reports
MEASURES = ("one_click", "best_of_three", "three_clicks", "box")


@dataclass(frozen=True, kw_only=True)
class ObjectScore:
    """Hold the IoU of one object under each way of prompting.

    Parameters
    ----------
    image, group, label, area
        Which object it is; area in pixels.
    one_click
        The highest-scored mask for a click at the maximum of the object's distance transform.
    best_of_three
        The best of the three candidates for that click (oracle).
    three_clicks
        After two corrections, each in the middle of the largest error.
    box
        For a box whose corners are off by noise (standard deviation 10 % of the side, at most 20 pixels).
    predicted
        The score that the model gave the chosen mask.
    """

    image: str
    group: str
    label: int
    area: int
    one_click: float
    best_of_three: float
    three_clicks: float
    box: float
    predicted: float


def evaluate_points(
    predictor: Predictor, dataset: Dataset, *, limit: int | None = None, max_objects: int | None = None, seed: int = 0
) -> Iterator[tuple[int, int, list[ObjectScore]]]:
    """Score every object, one image at a time.

    Parameters
    ----------
    predictor
        With the model to be judged.
    dataset
        Images and instance labels.
    limit
        Only so many images, spread evenly over the data set.
    max_objects
        At most so many objects an image, drawn at random.
    seed
        Of box noise and of the draw.

    Yields
    ------
    tuple
        Images done, images in all, and the scores of the image just done.
    """
    items = dataset.items
    if limit is not None and limit < len(items):
        items = tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))
    for number, item in enumerate(items):
        rng = np.random.default_rng([seed, number])
        image, labels = item.read()
        predictor.set_image(image)
        ids = np.unique(labels)
        ids = ids[ids > 0]
        if max_objects is not None and len(ids) > max_objects:
            ids = np.sort(rng.choice(ids, max_objects, replace=False))
        scores = [
            score_object(predictor, labels == label, rng, image=item.name, group=item.group, label=int(label))
            for label in ids
        ]
        yield number + 1, len(items), scores


def score_object(
    predictor: Predictor, truth: BoolArray, rng: np.random.Generator, *, image: str, group: str, label: int
) -> ObjectScore:
    """Play the protocol on one (H, W) object of the predictor's image."""
    click = inner_point(truth)
    first = predictor.predict_prompts(Prompts(points=(click,), labels=(1,)), True)
    candidates = [_iou(first, i, truth) for i in range(len(first.scores))]
    box = predictor.predict_prompts(Prompts(box=noisy_box(mask_to_box(truth), rng, truth.shape)), False)
    return ObjectScore(
        image=image,
        group=group,
        label=label,
        area=int(truth.sum()),
        one_click=candidates[0],
        best_of_three=max(candidates),
        three_clicks=_correct(predictor, truth, first, click),
        box=_iou(box, 0, truth),
        predicted=float(first.scores[0]),
    )


def _correct(predictor: Predictor, truth: BoolArray, prediction: Prediction, click: tuple[float, float]) -> float:
    """Add corrective clicks and return the IoU after the last."""
    points, labels = [click], [1]
    for _ in range(CLICKS - 1):
        found = correction_click(prediction.masks[0], truth)
        if found is None:
            break
        points.append(found[0])
        labels.append(found[1])
        prompts = Prompts(points=tuple(points), labels=tuple(labels), mask=prediction.logits[0])
        prediction = predictor.predict_prompts(prompts, False, mask_window=prediction.window)
    return _iou(prediction, 0, truth)


def _iou(prediction: Prediction, index: int, truth: npt.NDArray[np.bool_]) -> float:
    """IoU over the whole image, counted inside the window."""
    inside = truth[prediction.window.slices]
    patch = prediction.patches[index]
    both = int(np.count_nonzero(patch & inside))
    return both / (int(np.count_nonzero(patch)) + int(np.count_nonzero(truth)) - both)

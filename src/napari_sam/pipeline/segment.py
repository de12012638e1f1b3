"""One label image from the prompts of many objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.text_prompts import require_text_head
from napari_sam.pipeline.label_editor import LabelEditor
from napari_sam.types import Prompts

__all__ = ["ObjectResult", "segment_each", "segment_objects"]


@dataclass(frozen=True, kw_only=True)
class ObjectResult:
    """Report one object: its label, predicted IoU and area in pixels, or why it failed."""

    label: int
    score: float = 0.0
    area: int = 0
    problem: str = ""


def segment_objects(
    predictor: Predictor, prompts: Mapping[int, Prompts], *, overwrite: bool = False
) -> npt.NDArray[np.int32]:
    """Segment every object on the predictor's image; see `segment_each`.

    Returns
    -------
    labels
        (H, W) int32, each object under its number.

    Raises
    ------
    InputError
        If an object's prompts cannot be used, or there are texts and the model has no text head.
    """
    labels, results = segment_each(predictor, prompts, overwrite=overwrite)
    failed = [result for result in results if result.problem]
    if failed:
        raise InputError(f"Object {failed[0].label}: {failed[0].problem}")
    return labels


def segment_each(
    predictor: Predictor, prompts: Mapping[int, Prompts], *, overwrite: bool = False
) -> tuple[npt.NDArray[np.int32], list[ObjectResult]]:
    """Segment what can be segmented and say what cannot.

    Parameters
    ----------
    predictor
        With an image.
    prompts
        What is said of each object, by the label that it gets (1 or more).
    overwrite
        Whether later objects take pixels of earlier ones; else the earlier ones keep them.

    Returns
    -------
    labels
        (H, W) int32, the best mask of each object.
    results
        One for each object, in order.

    Raises
    ------
    InputError
        If there are texts and the model has no text head.
    """
    if any(what.text for what in prompts.values()):
        require_text_head(predictor.model)  # once, rather than for each object
    labels = np.zeros(predictor.image_shape, np.int32)
    editor = LabelEditor(labels)
    results = []
    for label, what in prompts.items():
        try:
            prediction = predictor.predict_prompts(what)
            if what.text and prediction.scores[0] == 0:  # of words that nobody taught
                raise InputError(f"No word of {what.text!r} is known: say it in other words, or by a point or box.")
            patch = prediction.patches[0]
            edit = editor.commit(patch, prediction.window.slices, label=label, overwrite=overwrite)
        except InputError as error:
            results.append(ObjectResult(label=label, problem=str(error)))
            continue
        area = int(np.count_nonzero(edit.changed))
        results.append(ObjectResult(label=label, score=float(prediction.scores[0]), area=area))
    return labels, results

"""Who plays the prompt protocols: the model behind its predictor; baselines do so in their own module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from napari_sam.evaluation.scores import MODEL
from napari_sam.inference.predictor import Predictor
from napari_sam.types import BoolArray, Prediction, Prompts

__all__ = ["Click", "ModelPlayer", "Player"]

Click = tuple[tuple[float, float], int]  # (row, col), and 1 (object) or 0 (not)
Box = tuple[float, float, float, float]


class Player(Protocol):
    """Answer prompts on one image after another with (H, W) bool masks."""

    name: str

    def set_image(self, image: Any) -> None:
        """Take an image (H, W) or (H, W, C)."""

    def first(self, click: Click) -> tuple[list[BoolArray], float | None]:
        """Begin an object; return one or more candidates, the preferred one first, and its predicted IoU."""

    def correct(self, clicks: Sequence[Click]) -> BoolArray:
        """Go on with the same object, given all its clicks so far."""

    def boxed(self, box: Box) -> tuple[BoolArray, float | None]:
        """Return the object in a box (row0, col0, row1, col1), exclusive ends, and its predicted IoU."""


class ModelPlayer:
    """Let a model play; every correction feeds back the logits of the mask before (SAM, appendix A)."""

    def __init__(self, predictor: Predictor, name: str = MODEL) -> None:
        self.name = name
        self._predictor = predictor
        self._last: Prediction | None = None

    def set_image(self, image: Any) -> None:
        """Take an image."""
        self._predictor.set_image(image)
        self._last = None

    def first(self, click: Click) -> tuple[list[BoolArray], float | None]:
        """Return the three masks for one click, the highest score first."""
        found = self._predictor.predict_prompts(Prompts(points=(click[0],), labels=(click[1],)), True)
        self._last = found
        return [_mask(found, index) for index in range(len(found.scores))], float(found.scores[0])

    def correct(self, clicks: Sequence[Click]) -> BoolArray:
        """Return one mask for all clicks and the mask before."""
        before = self._last
        logits, window = (None, None) if before is None else (before.logits[0], before.window)
        prompts = Prompts(points=tuple(at for at, _ in clicks), labels=tuple(kind for _, kind in clicks), mask=logits)
        self._last = self._predictor.predict_prompts(prompts, False, mask_window=window)
        return _mask(self._last, 0)

    def boxed(self, box: Box) -> tuple[BoolArray, float | None]:
        """Return one mask for a box alone."""
        found = self._predictor.predict_prompts(Prompts(box=box), False)
        return _mask(found, 0), float(found.scores[0])


def _mask(prediction: Prediction, index: int) -> BoolArray:
    full = np.zeros(prediction.image_shape, bool)
    full[prediction.window.slices] = prediction.patches[index]
    return full

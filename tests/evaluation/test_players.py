"""The model as a player: which prompts it gets, and what becomes of its answers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.evaluation.players import ModelPlayer
from napari_sam.inference.predictor import Predictor
from napari_sam.types import Prediction, Window

WINDOW = Window(row=10, col=20, height=16, width=16, input_height=16, input_width=16)


class Recorder:
    """Answers with full patches and keeps the prompts."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def set_image(self, image: np.ndarray) -> None:
        self.shape = image.shape

    def predict_prompts(self, prompts, multimask=None, *, mask_window=None) -> Prediction:
        self.calls.append((prompts, multimask, mask_window))
        n = 3 if multimask else 1
        return Prediction(
            logits=np.full((n, 4, 4), len(self.calls), np.float32),
            scores=np.linspace(0.9, 0.1, n).astype(np.float32),
            patches=np.ones((n, 16, 16), bool),
            window=WINDOW,
            image_shape=self.shape,
        )


def test_corrections_feed_back_the_last_logits():
    recorder = Recorder()
    player = ModelPlayer(recorder)  # type: ignore[arg-type]
    player.set_image(np.zeros((40, 50)))
    masks, predicted = player.first(((12.0, 22.0), 1))
    assert len(masks) == 3
    assert predicted == pytest.approx(0.9)
    assert masks[0].shape == (40, 50)
    assert masks[0][10:26, 20:36].all()
    assert masks[0].sum() == 256
    player.boxed((10, 20, 30, 40))
    player.correct([((12.0, 22.0), 1), ((14.0, 23.0), 0)])
    player.correct([((12.0, 22.0), 1), ((14.0, 23.0), 0), ((15.0, 24.0), 1)])
    (first, multi, _), (box, single, _), (second, _, window), (third, _, _) = recorder.calls
    assert first.mask is None
    assert (multi, single) == (True, False)
    assert box.box == (10, 20, 30, 40)
    assert not box.points
    assert second.labels == (1, 0)
    assert window == WINDOW
    assert (second.mask == 1).all()  # the logits of the click, not those of the box
    assert third.points[2] == (15.0, 24.0)
    assert (third.mask == 3).all()


def test_a_real_model_plays(tiny_cell_model):
    player = ModelPlayer(Predictor(tiny_cell_model))
    image = np.random.default_rng(0).integers(0, 255, (70, 90)).astype(np.uint8)
    player.set_image(image)
    masks, predicted = player.first(((30.0, 40.0), 1))
    assert [mask.shape for mask in masks] == [(70, 90)] * 3
    assert predicted is not None
    mask = player.correct([((30.0, 40.0), 1), ((50.0, 60.0), 0)])
    assert mask.dtype == bool
    assert player.boxed((20, 20, 50, 60))[0].shape == (70, 90)

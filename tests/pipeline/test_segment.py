"""Prompts of many objects become one label image; what fails is named and the rest is done."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.model.load import load_model
from napari_sam.pipeline.segment import segment_each, segment_objects
from napari_sam.types import Prompts


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    image = np.random.default_rng(0).normal(30, 3, (120, 130)).astype(np.float32)
    rows, cols = np.mgrid[:120, :130]
    for row, col in ((30, 30), (30, 90), (85, 60)):
        image[(rows - row) ** 2 + (cols - col) ** 2 < 14**2] += 120
    predictor = Predictor(load_model("cells"))
    predictor.set_image(image)
    return predictor


def test_every_object_gets_its_number(predictor):
    labels = segment_objects(
        predictor, {5: Prompts(points=((30.0, 30.0),), labels=(1,)), 2: Prompts(box=(70, 45, 100, 75))}
    )
    assert set(np.unique(labels)) == {0, 2, 5}
    assert labels[30, 30] == 5
    assert labels[85, 60] == 2
    assert labels.shape == (120, 130)
    assert labels.dtype == np.int32


def test_failures_are_named_and_the_rest_is_done(predictor):
    what = {1: Prompts(points=((30.0, 30.0),), labels=(1,)), 2: Prompts(points=((500.0, 3.0),), labels=(1,))}
    labels, results = segment_each(predictor, what)
    assert labels[30, 30] == 1
    assert results[0].problem == ""
    assert results[0].area == (labels == 1).sum()
    assert "(500, 3)" in results[1].problem
    with pytest.raises(InputError, match="Object 2"):
        segment_objects(predictor, what)


def test_earlier_objects_keep_their_pixels(predictor):
    twice = Prompts(points=((30.0, 90.0),), labels=(1,))
    first, results = segment_each(predictor, {1: twice, 2: twice})
    assert results[1].problem
    assert set(np.unique(first)) == {0, 1}
    second, _ = segment_each(predictor, {1: twice, 2: twice}, overwrite=True)
    assert set(np.unique(second)) == {0, 2}

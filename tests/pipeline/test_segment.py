"""Prompts of many objects become one label image; what fails is named and the rest is done."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.model.clip import build_clip
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


@pytest.fixture
def named(tiny_cell_model) -> Predictor:
    """Predict with a model that has a text head."""
    clip, model = build_clip(), copy.deepcopy(tiny_cell_model)
    clip.vocabulary = frozenset(["bright", "nuclei"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_text_head(clip.width).belong_to(clip.fingerprint)
    predictor = Predictor(model, clip=clip)
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (80, 110), np.uint8))
    return predictor


def test_texts_say_what_objects_are(named):
    point = {"points": ((40.0, 50.0),), "labels": (1,)}
    labels, results = segment_each(named, {2: Prompts(**point, text="bright nuclei")})
    expected = named.predict(points=[(40, 50)], text="bright nuclei")
    np.testing.assert_array_equal(labels, np.where(expected.masks[0], 2, 0))
    assert results[0].score == expected.scores[0]
    alone, _ = segment_each(named, {3: Prompts(text="bright nuclei")})
    np.testing.assert_array_equal(alone, np.where(named.predict(text="bright nuclei").masks[0], 3, 0))


def test_unknown_words_make_no_object(named):
    with pytest.warns(UserWarning, match="never trained on"):
        labels, results = segment_each(
            named, {1: Prompts(text="zxqv blorp"), 2: Prompts(points=((40.0, 50.0),), labels=(1,), text="zxqv blorp")}
        )
    assert not labels.any()
    assert all("No word of 'zxqv blorp' is known" in result.problem for result in results)


def test_texts_need_a_text_head_even_if_only_one_object_has_one(tiny_cell_model):
    plain = Predictor(tiny_cell_model)
    plain.set_image(np.zeros((80, 110), np.uint8))
    point = Prompts(points=((40.0, 50.0),), labels=(1,))
    for act in (segment_each, segment_objects):
        with pytest.raises(InputError, match=r"^The model .*no text head"):
            act(plain, {1: point, 2: Prompts(text="nuclei")})

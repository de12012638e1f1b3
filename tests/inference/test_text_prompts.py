"""Texts as prompts: alone, beside points, and what is said where a model cannot take them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from napari_sam.errors import InputError
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.text_prompts import TextTokens
from napari_sam.model.clip import Clip, build_clip
from napari_sam.model.sam import Sam
from napari_sam.types import Prompts


@pytest.fixture(scope="module")
def clip() -> Clip:
    return build_clip()


def with_head(model: Sam, clip: Clip) -> Sam:
    own = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own.add_text_head(clip.width).belong_to(clip.fingerprint)
    return own


@pytest.fixture(params=["whole", "windows"])
def predictor(request, tiny_vit_model, tiny_cell_model, clip) -> Predictor:
    model = with_head(tiny_vit_model if request.param == "whole" else tiny_cell_model, clip)
    predictor = Predictor(model, clip=clip)
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (80, 110, 3), np.uint8))
    return predictor


def test_a_text_alone_is_asked_of_the_whole_image(predictor):
    found = predictor.predict(text="bright nuclei")
    assert found.masks.shape == (3, 80, 110)
    assert (found.window.height, found.window.width) == (80, 110)
    assert (np.diff(found.scores) <= 0).all()
    again = predictor.predict(text="bright nuclei")
    np.testing.assert_array_equal(found.logits, again.logits)
    other = predictor.predict(text="debris")
    assert np.abs(found.logits - other.logits).max() > 1e-5
    assert predictor.predict(text="debris", multimask=False).logits.shape[0] == 1


def test_a_text_and_a_point_make_one_mask_that_depends_on_both(predictor):
    point = predictor.predict(points=[(40, 50)], multimask=False)
    both = predictor.predict(points=[(40, 50)], text="bright nuclei")
    assert both.logits.shape[0] == 1
    elsewhere = predictor.predict(points=[(10, 20)], text="bright nuclei", window=both.window)
    for other in (point, elsewhere):
        assert other.window != both.window or np.abs(other.logits - both.logits).max() > 1e-5


def test_a_record_of_prompts_carries_its_text(predictor):
    point = predictor.predict_prompts(Prompts(points=((40, 50),), labels=(1,)), False)
    both = predictor.predict_prompts(Prompts(points=((40, 50),), labels=(1,), text="bright nuclei"))
    expected = predictor.predict(points=[(40, 50)], text="bright nuclei")
    np.testing.assert_array_equal(both.logits, expected.logits)
    assert both.window == expected.window
    assert point.window != both.window or np.abs(point.logits - both.logits).max() > 1e-5
    alone = predictor.predict_prompts(Prompts(text="bright nuclei"))
    np.testing.assert_array_equal(alone.logits, predictor.predict(text="bright nuclei").logits)


def test_the_masks_of_a_text_can_be_refined_by_a_click(predictor):
    alone = predictor.predict(text="bright nuclei")
    refined = predictor.predict(points=[(40, 50)], text="bright nuclei", mask=alone.logits[0])
    assert refined.window == alone.window


def test_words_that_were_never_trained_have_no_score(predictor, monkeypatch, clip):
    sure = predictor.predict(text="bright blorps").scores
    monkeypatch.setattr(clip, "vocabulary", frozenset(["bright", "nuclei"]))
    with pytest.warns(UserWarning, match="never trained on 'blorps'"):
        np.testing.assert_allclose(predictor.predict(text="bright blorps").scores, sure / 4, rtol=1e-6)
    for beside in ({}, {"points": [(40, 50)]}, {"box": (20, 20, 60, 70)}):
        with pytest.warns(UserWarning, match="never trained on"):
            assert (predictor.predict(text="zxqv blorp", **beside).scores == 0).all()


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_refused(predictor, text):
    with pytest.raises(InputError, match="is empty"):
        predictor.predict(text=text)


def test_a_model_without_a_text_head_says_what_is_left(tiny_cell_model, clip):
    with pytest.raises(InputError, match=r"no text head.*segment_text"):
        TextTokens(tiny_cell_model, clip)("nuclei")


def test_the_head_of_another_clip_is_refused(tiny_cell_model, clip):
    tokens = TextTokens(with_head(tiny_cell_model, clip), build_clip(seed=1))
    with pytest.raises(InputError, match="not trained with the CLIP"):
        tokens("nuclei")


def test_texts_that_are_known_are_not_read_again(tiny_cell_model, clip, monkeypatch):
    tokens = TextTokens(with_head(tiny_cell_model, clip), clip)
    first = tokens(["nuclei", "debris", "nuclei"])
    assert first.shape == (3, 32)
    monkeypatch.setattr(clip, "encode_texts", lambda texts: pytest.fail(f"read {texts}"))
    torch.testing.assert_close(tokens(["debris"])[0], first[1])

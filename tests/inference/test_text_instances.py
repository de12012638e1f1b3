"""Maps of what a text names, over windows, and the masks that lie in them."""

from __future__ import annotations

import copy
from itertools import pairwise
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from napari_sam.inference.picture import open_picture
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.text_instances import named_maps, named_scores
from napari_sam.inference.text_prompts import TextTokens
from napari_sam.model.clip import build_clip
from napari_sam.model.sam import Sam
from napari_sam.ops.mask_record import MaskRecord


def equipped(model: Sam) -> tuple[Sam, TextTokens]:
    clip = build_clip()
    own = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own.add_text_head(clip.width).belong_to(clip.fingerprint)
    return own, TextTokens(own, clip)


@pytest.mark.parametrize("shape", [(50, 60), (150, 100)])
def test_maps_cover_the_image_and_differ_by_text(tiny_cell_model, tiny_vit_model, shape):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    for model, tokens in map(equipped, (tiny_cell_model, tiny_vit_model)):
        seen = Mock()
        maps = named_maps(
            model,
            tokens,
            open_picture(image, "none", None),
            ["nuclei", "debris"],
            progress=seen,
        )
        assert maps.shape == (2, *shape)
        assert maps.dtype == np.float32
        assert (maps > 0).all()
        assert (maps < 1).all()
        assert np.abs(maps[0] - maps[1]).max() > 1e-5
        told = [call.args for call in seen.call_args_list]
        begins = [number for number, (done, _) in enumerate(told) if done == 0]
        # first windows that settle the scale, several at once, where the model sees objects
        assert len(begins) == 1 + (model.object_head is not None)
        total = told[-1][1]
        assert told[begins[-1] :] == [(done, total) for done in range(total + 1)]
        assert told == [pair for start, end in pairwise([*begins, len(told)]) for pair in sorted(told[start:end])]


def test_a_map_is_what_the_prediction_of_a_single_window_says(tiny_vit_model):
    model, tokens = equipped(tiny_vit_model)
    image = np.random.default_rng(1).integers(0, 255, (64, 40, 3), np.uint8)
    maps = named_maps(model, tokens, open_picture(image, "none", None), ["nuclei"])
    predictor = Predictor(model, clip=tokens.clip)
    predictor.set_image(image, normalization="none")
    assert ((maps[0] > 0.5) == predictor.predict(text="nuclei").masks[0]).mean() > 0.99


def test_only_the_region_is_looked_at(tiny_cell_model):
    model, tokens = equipped(tiny_cell_model)
    image = np.random.default_rng(0).integers(0, 255, (150, 100, 3), np.uint8)
    region = (20, 30, 120, 90)
    maps = named_maps(model, tokens, open_picture(image, "none", None), ["nuclei"], region=region)
    inside = np.zeros((150, 100), bool)
    inside[20:120, 30:90] = True
    assert (maps[0, inside] > 0).all()
    assert not maps[0, ~inside].any()


def test_a_mask_has_the_mean_of_the_map_and_unknown_words_lower_it():
    maps = np.zeros((2, 10, 10), np.float32)
    maps[0, :5] = 1
    patch = np.ones((4, 4), bool)
    records = [
        MaskRecord.from_patch(patch, (0, 0), image_shape=(10, 10)),
        MaskRecord.from_patch(patch, (3, 3), image_shape=(10, 10)),
        MaskRecord.from_patch(~patch, image_shape=(10, 10)),
    ]
    scores = named_scores(records, maps, ["round nuclei", "nuclei"], frozenset({"round", "nuclei"}))
    np.testing.assert_allclose(scores, [[1, 0], [0.5, 0], [0, 0]])
    assert named_scores(records, maps, ["blorptastic nuclei", "nuclei"], frozenset({"nuclei"}))[0, 0] < 0.5
    assert named_scores([], maps, ["a", "b"], frozenset()).shape == (0, 2)

"""Prompts in, sorted candidates out; embeddings are computed once; mistakes get one sentence."""

from __future__ import annotations

import dataclasses

import dask.array
import numpy as np
import pytest
import torch
import zarr
from scipy import ndimage

from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference import predictor as predictor_module
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.predictor import Predictor
from napari_sam.model.build import build_from_spec
from napari_sam.types import Prompts, Window

SMALL = np.random.default_rng(0).integers(0, 4000, (50, 60)).astype(np.uint16)
LARGE = np.random.default_rng(1).integers(0, 4000, (200, 300)).astype(np.uint16)


@pytest.fixture(params=["vit", "cell"])
def model(request, tiny_vit_model, tiny_cell_model):
    return tiny_vit_model if request.param == "vit" else tiny_cell_model


@pytest.fixture
def encoded(model, monkeypatch):
    """Every call of the encoder, as the shape of its input."""
    calls = []
    encode = type(model).encode

    def counting(self, pixels):
        calls.extend(tuple(one.shape) for one in ([pixels] if isinstance(pixels, torch.Tensor) else pixels))
        return encode(self, pixels)

    monkeypatch.setattr(type(model), "encode", counting)
    return calls


def ready(model, image=SMALL, **how):
    predictor = Predictor(model)
    predictor.set_image(image, **how)
    return predictor


def same(a, b):
    np.testing.assert_array_equal(a.logits, b.logits)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.masks, b.masks)
    assert a.window == b.window


@pytest.mark.parametrize("image", [SMALL, LARGE], ids=["small", "large"])
def test_shapes_types_and_order_of_the_candidates(model, image):
    result = ready(model, image).predict(points=[(20, 30)])
    assert result.masks.shape == (3, *image.shape)
    assert result.masks.dtype == bool
    assert result.scores.shape == (3,)
    assert result.scores.dtype == np.float32
    assert result.logits.shape == (3, model.mask_size, model.mask_size)
    assert result.logits.dtype == np.float32
    assert (np.diff(result.scores) <= 0).all()


def test_masks_and_logits_are_sorted_along_with_the_scores(tiny_vit_model):
    """A later candidate of the model's order is best for some point; masks must have moved with it."""
    predictor = ready(tiny_vit_model)
    for point in [(r, c) for r in range(2, 50, 12) for c in range(2, 60, 12)]:
        result = predictor.predict(points=[point])
        refined = [(logit > 0).mean() for logit in result.logits]
        filled = [mask.mean() for mask in result.masks]
        assert np.argsort(refined).tolist() == np.argsort(filled).tolist() or np.ptp(filled) < 0.05


@pytest.mark.parametrize(
    ("prompt", "multimask", "count"),
    [
        ({"points": [(5, 5)]}, None, 3),
        ({"points": [(5, 5), (20, 20)]}, None, 1),
        ({"points": [(5, 5)], "box": (1, 1, 30, 30)}, None, 1),
        ({"box": (1, 1, 30, 30)}, None, 1),
        ({"mask": SMALL > 2000}, None, 1),
        ({"points": [(5, 5)], "mask": SMALL > 2000}, None, 1),
        ({"box": (1, 1, 30, 30)}, True, 3),
        ({"points": [(5, 5)]}, False, 1),
    ],
)
def test_how_many_candidates(model, prompt, multimask, count):
    assert len(ready(model).predict(**prompt, multimask=multimask).masks) == count


def test_every_kind_of_prompt_changes_the_answer(model):
    predictor = ready(model)
    point = predictor.predict(points=[(20, 30)], multimask=False)
    others = [
        predictor.predict(points=[(20, 30)], point_labels=[0], multimask=False),
        predictor.predict(points=[(40, 30)], multimask=False),
        predictor.predict(points=[(20, 30)], box=(5, 5, 40, 50), multimask=False),
        predictor.predict(points=[(20, 30)], mask=SMALL > 2000, multimask=False),
        predictor.predict(points=[(20, 30)], mask=point.logits[0], multimask=False),
    ]
    for other in others:
        assert np.abs(other.logits - point.logits).max() > 1e-4


def test_prompts_record_gives_the_same(model):
    predictor = ready(model)
    prompts = Prompts(points=((20, 30), (4, 4)), labels=(1, 0), box=(2, 3, 30, 40))
    same(predictor.predict_prompts(prompts), predictor.predict([(20, 30), (4, 4)], [1, 0], (2, 3, 30, 40)))


def test_a_forced_window_repeats_a_prediction(tiny_cell_model):
    predictor = ready(tiny_cell_model, LARGE)
    first = predictor.predict(points=[(100, 150)])
    predictor.predict(points=[(10, 10)])
    same(predictor.predict(points=[(100, 150)], window=first.window), first)
    fed = predictor.predict(points=[(100, 150)], mask=first.logits[0], mask_window=first.window)
    assert fed.window == first.window


def test_feedback_without_points_stays_in_the_window_it_came_from(tiny_cell_model):
    predictor = ready(tiny_cell_model, LARGE)
    first = predictor.predict(points=[(150, 250)])
    assert predictor.predict(mask=first.logits[0]).window == first.window


def test_windows_keep_the_scale_of_large_images(tiny_cell_model, tiny_vit_model, encoded):
    whole = ready(tiny_vit_model, LARGE)
    assert whole.predict(box=(90, 90, 110, 110)).window.height == 200
    encoded.clear()
    predictor = ready(tiny_cell_model, LARGE)
    assert encoded == []  # nothing is encoded before it is looked at
    first = predictor.predict(points=[(100, 150)], window=Window(
        row=64, col=128, height=64, width=64, input_height=64, input_width=64
    ))  # fmt: skip
    assert encoded == [(1, 3, 64, 64)]
    assert not first.masks[:, :64].any()
    assert first.masks[:, 64:128, 128:192].any()
    np.testing.assert_array_equal(first.masks[:, 64:128, 128:192], first.patches)


def test_further_prompts_and_earlier_images_cost_no_encoding(model, encoded):
    predictor = ready(model)
    first = predictor.predict(points=[(20, 30)])
    predictor.predict(box=(1, 1, 30, 30))
    assert len(encoded) == 1
    predictor.set_image(SMALL.T)
    predictor.predict(points=[(20, 30)])
    assert len(encoded) == 2
    predictor.set_image(SMALL.copy())
    same(predictor.predict(points=[(20, 30)]), first)
    assert len(encoded) == 2
    predictor.set_image(SMALL, normalization=(0, 9000))
    assert len(encoded) == 3


def test_a_full_cache_encodes_again_and_gives_the_same(model, encoded):
    predictor = Predictor(model, cache=EmbeddingCache(max_bytes=1))
    predictor.set_image(SMALL)
    first = predictor.predict(points=[(20, 30)])
    predictor.cache.clear()
    same(predictor.predict(points=[(20, 30)]), first)
    assert len(encoded) == 2


def test_one_cache_serves_models_of_the_same_weights_only(tiny_spec_vit, tiny_vit_model, encoded):
    cache = EmbeddingCache()
    for seed in (0, 0, 1):
        Predictor(build_from_spec(tiny_spec_vit, seed=seed), cache=cache).set_image(SMALL)
    assert len(encoded) == 2
    twin = build_from_spec(tiny_spec_vit, seed=0)
    twin.precision = "bfloat16"
    Predictor(twin, cache=cache).set_image(SMALL)
    assert len(encoded) == 3


def test_progress_counts_up_to_all_steps_and_is_told_to_who_asked_only(model):
    seen = []
    total = len(model.encoder_steps())
    for number in range(3):  # however often: one hook a step
        seen.clear()
        ready(model, SMALL + number, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(done, total) for done in range(total + 1)]
        assert all(len(step._forward_hooks) == 1 for step in model.encoder_steps())
    seen.clear()
    ready(model, SMALL + 3, progress=None)
    assert seen == []


def test_cancelling_leaves_the_earlier_image_usable(model):
    predictor = ready(model)
    first = predictor.predict(points=[(20, 30)])

    def stop(done, total):
        if done == 1:
            raise OperationCancelled("stop")

    with pytest.raises(OperationCancelled):
        predictor.set_image(SMALL.T + 1, progress=stop)
    assert predictor.image_shape == (50, 60)
    same(predictor.predict(points=[(20, 30)]), first)
    predictor.set_image(SMALL.T + 1)  # nobody stops it any more
    assert predictor.image_shape == (60, 50)


@pytest.mark.parametrize("image", [SMALL, LARGE, np.stack([LARGE] * 4, axis=-1)], ids=["small", "large", "channels"])
def test_zarr_and_dask_give_what_numpy_gives(model, image):
    chunks = (32, 32, 1)[: image.ndim]
    stored = zarr.create_array({}, shape=image.shape, dtype=image.dtype, chunks=chunks)
    stored[:] = image
    channels = (2, 0) if image.ndim == 3 else None
    want = ready(model, image, channels=channels).predict(points=[(40, 30)])
    for array in (stored, dask.array.from_array(image, chunks=chunks)):
        same(ready(model, array, channels=channels).predict(points=[(40, 30)]), want)


def test_recorded_normalization_repeats_a_prediction(model):
    predictor = ready(model)
    first = predictor.predict(points=[(20, 30)])
    recorded = predictor.normalization
    assert isinstance(recorded, Normalization)
    same(ready(model, normalization=recorded).predict(points=[(20, 30)]), first)
    with pytest.raises(InputError, match="recorded normalization is for 2 channels"):
        ready(model, normalization=Normalization(low=(0.0, 0.0), high=(1.0, 1.0)))


def test_medsam_models_see_the_whole_square(tiny_spec_vit):
    model = build_from_spec(dataclasses.replace(tiny_spec_vit, preprocess="medsam"))
    result = ready(model, LARGE).predict(box=(20, 30, 120, 200))
    assert (result.window.input_height, result.window.input_width) == (64, 64)
    assert result.masks.shape == (1, 200, 300)


def test_reset_and_state(model):
    predictor = Predictor(model)
    assert not predictor.is_image_set
    for ask in (lambda: predictor.image_shape, lambda: predictor.normalization, lambda: predictor.predict([(1, 1)])):
        with pytest.raises(InputError, match="set_image first"):
            ask()
    predictor.set_image(SMALL)
    assert predictor.is_image_set
    assert predictor.image_shape == SMALL.shape
    predictor.reset()
    assert not predictor.is_image_set


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ({}, "No prompt"),
        ({"text": "nuclei"}, "no text head"),
        (
            {"points": [(1, 1)], "window": Window(row=0, col=0, height=99, width=9, input_height=9, input_width=9)},
            "part",
        ),
        (
            {"points": [(1, 1)], "window": Window(row=0, col=0, height=9, width=9, input_height=9, input_width=99)},
            "large",
        ),
        ({"points": [(1, 1)], "mask": np.zeros((5, 5))}, "shape"),
    ],
)
def test_unusable_prompts_get_one_sentence(model, prompt, says):
    with pytest.raises(InputError, match=says) as caught:
        ready(model).predict(**prompt)
    assert "\n" not in str(caught.value)


def test_logits_need_an_earlier_prediction(model):
    predictor = ready(model)
    logits = np.zeros((model.mask_size, model.mask_size), np.float32)
    with pytest.raises(InputError, match="nothing was predicted"):
        predictor.predict(mask=logits)
    predictor.predict(points=[(20, 30)])
    predictor.predict(mask=logits)
    predictor.set_image(SMALL.T)
    with pytest.raises(InputError, match="nothing was predicted"):
        predictor.predict(mask=logits)


def test_missing_pixels_that_the_sample_did_not_meet_are_dark_in_their_window(tiny_cell_model):
    image = np.random.default_rng(0).random((1500, 1500)).astype(np.float32)
    dark = image.copy()
    image[1, 1], dark[1, 1] = np.nan, 0  # between the pixels of the sample
    found = [ready(tiny_cell_model, one, normalization=(0, 1)).predict(points=[(5, 5)]) for one in (image, dark)]
    np.testing.assert_allclose(found[0].logits, found[1].logits, atol=1e-5)


def test_a_model_of_windows_gives_the_piece_that_was_asked_for(tiny_cell_model, tiny_vit_model):
    point = (20, 30)
    pieces = {}
    for model in (tiny_cell_model, tiny_vit_model):
        predictor = ready(model)
        alone = [predictor.predict(points=[point]), predictor.predict(box=(10, 20, 30, 44))]
        pieces[model] = [ndimage.label(mask, np.ones((3, 3)))[1] for one in alone for mask in one.masks]
    assert max(pieces[tiny_cell_model]) == 1
    assert max(pieces[tiny_vit_model]) > 1  # as the authors do


def test_a_mask_alone_keeps_all_its_pieces(tiny_cell_model, monkeypatch):
    mask = np.zeros(SMALL.shape, bool)
    mask[5:15, 5:15] = mask[30:40, 40:50] = True
    asked = []
    monkeypatch.setattr(predictor_module, "keep_pieces", lambda patch, points: asked.append(points) or patch)
    ready(tiny_cell_model).predict(mask=mask)
    assert asked == []
    ready(tiny_cell_model).predict(mask=mask, points=[(8, 8), (20, 20)], point_labels=[1, 0], multimask=False)
    assert asked[-1] == [(8, 8)]

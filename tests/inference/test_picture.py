"""A picture is checked and normalised once, and every window of it is encoded once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference import picture as module
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.picture import open_picture, view_of
from napari_sam.model.build import build_from_spec
from napari_sam.types import Window

IMAGE = np.random.default_rng(0).integers(0, 4000, (50, 60)).astype(np.uint16)


@pytest.fixture
def encoded(tiny_vit_model, monkeypatch):
    """Every call of the encoder, as the shape of its input."""
    calls = []
    encode = type(tiny_vit_model).encode

    def counting(self, pixels):
        calls.extend(tuple(one.shape[-2:]) for one in ([pixels] if isinstance(pixels, torch.Tensor) else pixels))
        return encode(self, pixels)

    monkeypatch.setattr(type(tiny_vit_model), "encode", counting)
    return calls


def test_a_window_is_encoded_once_and_asked_again_from_the_cache(tiny_vit_model, encoded):
    picture, cache = open_picture(IMAGE, "auto", None), EmbeddingCache()
    window = view_of(tiny_vit_model, (0, 0, 50, 60))
    first = picture.look(tiny_vit_model, window, cache)
    assert picture.look(tiny_vit_model, window, cache) is first
    assert open_picture(IMAGE.copy(), "auto", None).look(tiny_vit_model, window, cache) is first
    assert encoded == [(53, 64)]
    cache.clear()
    assert picture.look(tiny_vit_model, window, cache) is not first
    assert len(encoded) == 2


def test_several_windows_at_once_are_the_same_as_one_by_one(tiny_vit_model, encoded):
    picture, cache = open_picture(IMAGE, "auto", None), EmbeddingCache()
    views = [view_of(tiny_vit_model, box) for box in ((0, 0, 50, 60), (0, 0, 20, 60), (30, 10, 50, 25))]
    alone = [picture.look(tiny_vit_model, view, EmbeddingCache()).embedding.features for view in views]
    second = picture.look(tiny_vit_model, views[1], cache)
    encoded.clear()
    together = picture.look_at_all(tiny_vit_model, views, cache)
    assert together[1] is second
    assert len(encoded) == 2  # only what is new
    for one, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(one.embedding.features, expected, rtol=1e-4, atol=1e-5)
    assert [id(one) for one in picture.look_at_all(tiny_vit_model, views[::-1], cache)] == list(map(id, together[::-1]))
    assert picture.look_at_all(tiny_vit_model, [], cache) == []
    assert len(encoded) == 2


def test_equal_pixels_elsewhere_are_the_same_embedding(tiny_vit_model, encoded):
    twice = np.hstack([IMAGE, IMAGE])
    picture, cache = open_picture(twice, "none", None), EmbeddingCache()
    views = [view_of(tiny_vit_model, (0, col, 50, col + 60)) for col in (0, 60)]
    assert len({id(picture.look(tiny_vit_model, view, cache)) for view in views}) == 1
    assert len(encoded) == 1
    assert picture.look(tiny_vit_model, view_of(tiny_vit_model, (0, 3, 50, 63)), cache) is not None
    assert len(encoded) == 2


def test_the_size_shown_and_the_model_tell_embeddings_apart(tiny_vit_model, tiny_spec_vit, encoded):
    picture, cache = open_picture(IMAGE, "auto", None), EmbeddingCache()
    window = view_of(tiny_vit_model, (0, 0, 50, 60))
    picture.look(tiny_vit_model, window, cache)
    picture.look(tiny_vit_model, replace(window, input_height=40), cache)
    assert len(encoded) == 2
    open_picture(IMAGE, "auto", None).look(build_from_spec(tiny_spec_vit, seed=1), window, cache)
    assert len(encoded) == 3


def test_normalisation_is_of_the_whole_image():
    image = IMAGE.copy()
    image[:10] = 60_000
    picture = open_picture(image, "auto", None)
    assert picture.shape == (50, 60)
    assert picture.normalization.high[0] > 50_000
    recorded = Normalization(low=(1.0,), high=(7.0,))
    assert open_picture(image, recorded, None).normalization is recorded


@pytest.mark.parametrize(
    ("image", "normalization", "channels", "names"),
    [
        (np.zeros((2, 3, 4, 5)), "auto", None, "shape"),
        (np.zeros((0, 4)), "auto", None, "empty"),
        (np.zeros((4, 4), complex), "auto", None, "complex"),
        (np.zeros((4, 4)), "strong", None, "strong"),
        (np.zeros((4, 4, 3)), "auto", (5,), "channel 5"),
        ([[1, 2], [3]], "auto", None, "image"),
    ],
)
def test_bad_images_are_refused_at_once(image, normalization, channels, names):
    with pytest.raises(InputError, match=names):
        open_picture(image, normalization, channels)


def test_too_many_pixels_at_once_are_refused_before_they_are_read(tiny_vit_model, monkeypatch, encoded):
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="50 x 60"):
        open_picture(IMAGE, "auto", None).look(
            tiny_vit_model, view_of(tiny_vit_model, (0, 0, 50, 60)), EmbeddingCache()
        )
    assert not encoded


def test_a_cancelled_encoding_is_heard_no_more_and_leaves_nothing_in_the_cache(tiny_vit_model):
    heard = []

    def stop(done, total):
        heard.append(done)
        if done == 1:
            raise OperationCancelled

    picture, cache = open_picture(IMAGE, "auto", None), EmbeddingCache()
    window = view_of(tiny_vit_model, (0, 0, 50, 60))
    with pytest.raises(OperationCancelled):
        picture.look(tiny_vit_model, window, cache, stop)
    assert len(cache) == 0
    picture.look(tiny_vit_model, window, EmbeddingCache())
    assert heard == [0, 1]
    steps = []
    picture.look(tiny_vit_model, window, cache, lambda done, total: steps.append((done, total)))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_threads_that_encode_with_one_model_each_hear_of_their_own_steps(tiny_vit_model):
    window = view_of(tiny_vit_model, (0, 0, 50, 60))

    def encode(_):
        steps = []
        for _ in range(10):
            open_picture(IMAGE, "auto", None).look(
                tiny_vit_model, window, EmbeddingCache(), lambda done, _: steps.append(done)
            )
        return steps

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(encode, range(4))) == [[0, 1, 2, 3] * 10] * 4


@pytest.mark.parametrize(
    ("box", "input_shape"),
    [
        ((0, 0, 64, 64), (64, 64)),
        ((10, 20, 42, 84), (32, 64)),
        ((5, 5, 6, 6), (64, 64)),
        ((0, 0, 1, 500), (1, 64)),
        ((0, 0, 300, 200), (64, 43)),
    ],
)
def test_views_of_a_part_fill_the_long_side(box, input_shape, tiny_vit_model):
    view = view_of(tiny_vit_model, box)
    assert (view.row, view.col, view.row + view.height, view.col + view.width) == box
    assert (view.input_height, view.input_width) == input_shape


def test_medsam_sees_everything_square(tiny_spec_vit):
    model = build_from_spec(replace(tiny_spec_vit, preprocess="medsam"))
    assert view_of(model, (3, 4, 33, 14)) == Window(row=3, col=4, height=30, width=10, input_height=64, input_width=64)

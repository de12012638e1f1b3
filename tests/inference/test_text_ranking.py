"""Ranking by texts on images with known answers, with a CLIP that knows colours only; what is kept; what it needs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from clip_helpers import ColourClip, discs
from napari_sam.config.text import TextSettings
from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference.text_ranking import MaskEmbeddings, TextRanker
from napari_sam.ops.label_records import labels_to_records
from napari_sam.ops.mask_record import MaskRecord

RED, GREEN, BLUE = [0, 1], [2], [3]


@pytest.fixture
def scene() -> tuple[list[MaskRecord], np.ndarray]:
    image, labels = discs()
    return labels_to_records(labels), image


def test_objects_go_to_the_text_that_names_their_colour(scene):
    ranker = TextRanker(ColourClip())
    scores = ranker.score(ranker.embed(*scene), ["red discs", "the green one", "blue"])
    assert scores.shape == (4, 3)
    assert scores.dtype == np.float32
    chosen = ranker.assign(scores)
    assert [np.flatnonzero(chosen[:, i]).tolist() for i in range(3)] == [RED, GREEN, BLUE]
    assert (scores[chosen] > 0.9).all()
    assert (scores[~chosen] < 0.1).all()


def test_a_text_competes_with_its_contrasts_and_the_negatives(scene):
    clip = ColourClip()
    ranker = TextRanker(clip, templates=("{}",), negatives=("background", "small red debris"))
    embeddings = ranker.embed(*scene)
    alone = TextRanker(clip, templates=("{}",), contrasts=False, negatives=())
    clip.sentences.clear()
    ranker.score(embeddings, ["blue rods"])
    assert {"background", "blue", "brown", "green", "rods", "nuclei", "small red debris"} <= {*clip.sentences}
    scores = ranker.score(embeddings, ["blue"])
    assert scores[3, 0] > scores[2, 0]
    assert (alone.score(embeddings, ["blue rods"]) == 1).all()  # nothing to be weighed against


def test_the_least_certain_claim_is_the_score(scene):
    ranker = TextRanker(ColourClip())
    embeddings = ranker.embed(*scene)
    blue, rods = (ranker.score(embeddings, [text])[:, 0] for text in ("blue", "rods"))
    np.testing.assert_allclose(ranker.score(embeddings, ["blue rods"])[:, 0], np.minimum(blue, rods), rtol=1e-5)


def test_not_ranks_the_other_way_round(scene):
    ranker = TextRanker(ColourClip())
    scores = {text: ranker.score(ranker.embed(*scene), [text])[:, 0] for text in ("red", "not red", "things, not red")}
    assert scores["red"][RED].min() > 0.9 > 0.1 > scores["red"][GREEN + BLUE].max()
    for text in ("not red", "things, not red"):
        assert scores[text][RED].max() < 0.5 < scores[text][GREEN + BLUE].min()
    both = ranker.assign(ranker.score(ranker.embed(*scene), ["red", "not red"]))
    assert [np.flatnonzero(both[:, i]).tolist() for i in range(2)] == [RED, GREEN + BLUE]


def test_a_negative_that_is_asked_for_is_no_negative(scene):
    clip = ColourClip()
    ranker = TextRanker(clip, templates=("{}",), negatives=("background", "debris"))
    ranker.score(ranker.embed(*scene), ["dark Debris"])
    assert "debris" not in clip.sentences
    assert "background" in clip.sentences


def test_texts_that_say_the_same_do_not_weaken_each_other(scene):
    ranker = TextRanker(ColourClip())
    embeddings = ranker.embed(*scene)
    both = ranker.score(embeddings, ["red", "red ones"])
    np.testing.assert_allclose(both[:, :1], ranker.score(embeddings, ["red"]), atol=1e-6)


def test_exclusive_gives_an_object_to_one_text_only(scene):
    ranker = TextRanker(ColourClip(), threshold=0.2)
    texts = ["red", "red or green"]
    assert ranker.assign(ranker.score(ranker.embed(*scene), texts)).sum(axis=1).max() == 1
    ranker = TextRanker(ColourClip(), threshold=0.2, exclusive=False)
    chosen = ranker.assign(ranker.score(ranker.embed(*scene), texts))
    assert chosen[RED].all()


def test_threshold_and_top_k(scene):
    scores = np.array([[0.9], [0.6], [0.7], [0.1]], np.float32)
    assert TextRanker(ColourClip(), threshold=0.6).assign(scores)[:, 0].tolist() == [True, True, True, False]
    assert TextRanker(ColourClip(), top_k=2).assign(scores)[:, 0].tolist() == [True, False, True, False]
    assert TextRanker(ColourClip(), top_k=9).assign(scores).sum() == 3
    nothing = np.zeros((4, 1), np.float32)
    assert not TextRanker(ColourClip(), threshold=0.0).assign(nothing).any()


def test_a_higher_temperature_is_less_sure(scene):
    values = []
    for temperature in (4.0, 8.0, 16.0):
        ranker = TextRanker(ColourClip(), temperature=temperature)
        values.append(ranker.score(ranker.embed(*scene), ["red"])[0, 0])
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("text", ["zxqv blorp", "flibbertigibbet", "the of and", "細胞", "🦠", "!!!", "red blorp"])
def test_words_that_were_never_trained_are_never_found_with_confidence(scene, text):
    ranker = TextRanker(ColourClip(vocabulary=["red", "green", "blue", "background", "debris"]))
    scores = ranker.score(ranker.embed(*scene), [text])
    assert scores.max() <= 0.25
    assert not ranker.assign(scores).any()
    assert ranker.hints([text, "red"])[0]
    assert ranker.hints(["red"]) == [""]


def test_hints_say_which_words_and_what_to_do():
    ranker = TextRanker(ColourClip(vocabulary=["red"]))
    (hint,) = ranker.hints(["red zebra"])
    assert "'zebra'" in hint
    assert "models fetch clip_vit_b_16" in hint
    assert "only its beginning counts" in ranker.hints(["red " * 2500])[0]
    assert len(ranker.hints(["red " * 2500])[0]) < 200
    assert "names nothing" in ranker.hints(["the of"])[0]


@pytest.mark.parametrize("texts", [[], [""], ["red", " "], [None]])
def test_no_text_is_refused(scene, texts):
    ranker = TextRanker(ColourClip())
    with pytest.raises(InputError):
        ranker.score(ranker.embed(*scene), texts)


def test_no_mask_gives_no_score(scene):
    ranker = TextRanker(ColourClip())
    scores = ranker.score(ranker.embed([], scene[1]), ["red", "green"])
    assert scores.shape == (0, 2)
    assert ranker.assign(scores).shape == (0, 2)


def test_views_are_averaged(scene):
    image = scene[1].copy()
    image[(image == 0).all(axis=-1)] = (0, 0, 90)  # all around is blue
    vectors = {}
    for views in (("zero",), ("keep",), ("keep", "zero")):
        ranker = TextRanker(ColourClip(), views=views)
        vectors[views] = ranker.embed(scene[0], image).vectors
    mean = vectors["keep",] + vectors["zero",]
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors["keep", "zero"], mean, atol=1e-6)
    assert vectors["zero",][0, 2] < 0.1 < vectors["keep",][0, 2]


def test_masks_are_encoded_once_and_new_ones_only(scene):
    records, image = scene
    clip = ColourClip()
    ranker = TextRanker(clip, views=("zero",))
    first = ranker.embed(records[:3], image)
    assert clip.image_batches == [3]
    ranker.score(first, ["red"])
    ranker.score(first, ["green"])
    ranker.settings = ranker.settings.changed(threshold=0.9, negatives=())
    again = ranker.embed(records, image)
    assert clip.image_batches == [3, 1]
    np.testing.assert_array_equal(again.vectors[:3], first.vectors)
    ranker.embed(records, 255 - image)
    assert clip.image_batches == [3, 1, 4]
    ranker.settings = ranker.settings.changed(expansion=2.0)
    ranker.embed(records, image)
    assert clip.image_batches == [3, 1, 4, 4]


def test_vectors_do_not_depend_on_the_batch(scene):
    records, image = scene
    several = [TextRanker(ColourClip(size_cue=0.5), batch_size=size).embed(records, image) for size in (1, 3, 0)]
    np.testing.assert_array_equal(several[0].vectors, several[1].vectors)
    np.testing.assert_array_equal(several[0].vectors, several[2].vectors)


def test_a_cancelled_embedding_keeps_what_is_done(scene):
    records, image = scene
    clip = ColourClip()
    ranker = TextRanker(clip, views=("zero",), batch_size=1)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise OperationCancelled

    with pytest.raises(OperationCancelled):
        ranker.embed(records, image, progress=stop)
    told: list[tuple[int, int]] = []
    ranker.embed(records, image, progress=lambda done, total: told.append((done, total)))
    assert len(clip.image_batches) == 4
    assert told[-1] == (2, 2)


def test_five_thousand_masks_need_no_memory_for_their_crops():
    side, image = 8, np.zeros((800, 800, 3), np.uint8)
    patch = np.ones((side, side), bool)
    places = [(row, col) for row in range(0, 720, 10) for col in range(0, 720, 10)][:5000]
    records = [MaskRecord.from_patch(patch, place, image_shape=(800, 800)) for place in places]
    clip = ColourClip()
    clip.image_size = 64  # all crops together would be 61 MB a view
    ranker = TextRanker(clip, views=("keep",))
    tracemalloc.start()
    embeddings = ranker.embed(records, image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(embeddings) == 5000
    assert max(clip.image_batches) <= 64
    assert peak < 15e6


def test_the_embeddings_tell_which_clip_made_them(scene):
    found = TextRanker(ColourClip()).embed(*scene)
    assert isinstance(found, MaskEmbeddings)
    assert found.clip == ColourClip.fingerprint
    assert TextSettings() == TextRanker(ColourClip()).settings

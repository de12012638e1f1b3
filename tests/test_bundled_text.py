"""The bundled CLIP works offline, knows what it was taught, and is not fooled by nonsense."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.config.caption_words import FACETS, vocabulary
from napari_sam.evaluation.text_protocol import evaluate_retrieval, scene_objects
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.model.clip import Clip
from napari_sam.sample_data import nuclei, stroma

WEIGHTS = Path(ns.__file__).parent / "weights"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return ns.load_clip(device="cpu")


def test_it_is_small_and_on_its_card(clip: Clip) -> None:
    assert (WEIGHTS / "text.safetensors").stat().st_size < 12_000_000
    assert clip.vocabulary == vocabulary()
    card = (WEIGHTS / "text.md").read_text()
    assert clip.fingerprint in card
    head = ns.load_model("cells", device="cpu")
    assert head.text_head is not None
    assert head.text_head.clip_fingerprint == clip.fingerprint
    assert head.text_fingerprint in card


def test_texts_segment_without_a_network_and_nonsense_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    image = stroma()[:192, :192]
    with pytest.warns(UserWarning, match="never trained on 'zxqv', 'blorp'"):
        nuclei, nonsense = ns.segment_text(image, ["nuclei", "zxqv blorp"])
    assert nuclei.max() >= 3
    assert nonsense.max() == 0


def test_a_text_prompts_the_bundled_model() -> None:
    """Asked for what is not there the model finds nothing, and beside a point a text leaves the object there."""
    sample = nuclei((192, 192))
    predictor = ns.Predictor(ns.load_model("cells", device="cpu"))
    predictor.set_image(sample.image)
    everything, true = predictor.predict(text="nuclei").masks[0], sample.labels > 0
    assert (everything & true).sum() / (everything | true).sum() > 0.6
    row, col = np.argwhere(sample.labels == np.bincount(sample.labels.ravel())[1:].argmax() + 1).mean(axis=0)
    one, truth = (
        predictor.predict([(row, col)], text="nucleus").masks[0],
        sample.labels == sample.labels[int(row), int(col)],
    )
    assert (one & truth).sum() / (one | truth).sum() > 0.6


def test_it_ranks_objects_of_new_scenes_by_words(clip: Clip) -> None:
    scores = list(evaluate_retrieval(TextRanker(clip), scene_objects(20, seed=7)))
    for facet in ("size", "shape", "brightness", "colour"):
        values = [score.values["average_precision"] for score in scores if score.group == facet]
        assert np.mean(values) > 0.8, facet


def test_not_round_means_the_others(clip: Clip) -> None:
    ranker, facet = TextRanker(clip), list(FACETS).index("shape")
    found: dict[bool, list[float]] = {True: [], False: []}
    for _, objects in scene_objects(4, seed=3):
        embeddings = ranker.embed(objects.records, objects.image)
        one, other = (
            ranker.score(embeddings, [text])[:, 0] for text in ("round objects", "objects that are not round")
        )
        shape = objects.codes[:, facet]
        found[True] += (one - other)[shape == FACETS["shape"].index("round")].tolist()
        found[False] += (one - other)[shape > FACETS["shape"].index("round")].tolist()
    assert np.mean(found[True]) > 0.7
    assert np.mean(found[False]) < -0.7

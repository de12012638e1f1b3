"""Captions are true of their objects, and it is known of which others they are true."""

from __future__ import annotations

import re

import numpy as np
import pytest

from napari_sam.config.caption_words import ADJECTIVES, COMPATIBLE, FACETS, NOUNS, PLACES, vocabulary
from napari_sam.data.captions import FALSE, TRUE, UNDECIDED, UNKNOWN, Claim, draw_caption, encode_values, judge
from napari_sam.inference.text_contrasts import contrasting_texts, unknown_words

NAMES = list(FACETS)


def claim(facet: str, value: str, negated: bool = False) -> Claim:
    return Claim(NAMES.index(facet), FACETS[facet].index(value), negated)


def random_codes(rng: np.random.Generator) -> np.ndarray:
    codes = np.array([rng.integers(-1, len(values)) for values in FACETS.values()], np.int8)
    return codes if (codes != UNKNOWN).any() else encode_values({"size": "small"})


CODES = np.stack(
    [
        encode_values({"shape": "round", "kind": "nucleus"}),
        encode_values({"shape": "irregular", "kind": "cell"}),
        encode_values({"kind": "debris"}),
    ]
)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([claim("shape", "round")], [TRUE, FALSE, UNDECIDED]),
        ([claim("shape", "round", True)], [FALSE, TRUE, UNDECIDED]),
        ([claim("kind", "nucleus")], [TRUE, UNDECIDED, FALSE]),  # a nucleus may be called a cell
        ([claim("kind", "nucleus", True)], [FALSE, UNDECIDED, TRUE]),
        ([claim("shape", "round"), claim("kind", "nucleus")], [TRUE, FALSE, FALSE]),  # one false claim is enough
        ([claim("shape", "irregular"), claim("kind", "nucleus")], [FALSE, UNDECIDED, FALSE]),
        ([], [TRUE, TRUE, TRUE]),
    ],
)
def test_truth_of_claims(claims, expected):
    assert judge(CODES, claims).tolist() == expected


def test_what_is_drawn_is_true_and_said_in_known_words():
    rng = np.random.default_rng(0)
    known = vocabulary()
    negated = things = 0
    for _ in range(2000):
        codes = random_codes(rng)
        caption = draw_caption(codes, rng)
        assert judge(codes[None], caption.claims).tolist() == [TRUE]
        assert unknown_words(caption.text, known) == []
        assert caption.text == " ".join(caption.text.split())
        assert len(caption.text.split()) < 26  # fits the context
        negated += " not " in f" {caption.text} "
        things += caption.claims[-1] == claim("kind", "background", True)
        denied = any(own.negated for own in caption.claims if own != claim("kind", "background", True))
        assert denied <= (" not " in f" {caption.text} ")
    assert 100 < negated < 400
    assert things > 100


def test_every_claim_of_a_caption_can_be_read_from_it():
    rng = np.random.default_rng(1)
    said = {value: [*ADJECTIVES.get(value, ()), *PLACES.get(value, ()), *(w for p in NOUNS.get(value, ()) for w in p)]
            for values in FACETS.values() for value in values}  # fmt: skip
    for _ in range(1000):
        caption = draw_caption(random_codes(rng), rng)
        for facet, value, negated in caption.claims:
            name = FACETS[NAMES[facet]][value]
            if not (negated and name == "background"):
                words = [re.escape(re.sub("^an? ", "", word)) for word in said[name]]
                assert re.search(rf"\b({'|'.join(words)})\b", caption.text), caption


def test_objects_are_never_background():
    rng = np.random.default_rng(2)
    background = encode_values({"colour": "gray", "kind": "background"})
    texts = [draw_caption(background, rng).text for _ in range(300)]
    assert not any("object" in text or "particle" in text for text in texts)
    bright = encode_values({"brightness": "bright"})
    captions = [draw_caption(bright, rng) for _ in range(300)]
    for caption in captions:
        if "object" in caption.text:
            assert judge(background[None], caption.claims).tolist() == [FALSE]


def test_rare_values_are_spoken_of_more_often_on_request():
    codes = encode_values({"size": "small", "shape": "round"})
    rarity = np.ones(len(FACETS))
    rarity[NAMES.index("shape")] = 20

    def share(weights) -> float:
        rng = np.random.default_rng(3)
        drawn = [draw_caption(codes, rng, weights) for _ in range(300)]
        return float(np.mean([caption.claims[0].facet == NAMES.index("shape") for caption in drawn]))

    assert share(rarity) > 0.85
    assert 0.35 < share(None) < 0.65


def test_every_value_has_words():
    for facet, values in FACETS.items():
        for value in values:
            assert (NOUNS if facet == "kind" else ADJECTIVES)[value]
    for facet, pairs in COMPATIBLE.items():
        assert {value for pair in pairs for value in pair} <= {*FACETS[facet]}


def test_no_word_stands_for_two_values_of_a_facet():
    for facet, values in FACETS.items():
        if facet == "kind":
            said = [{word for pair in NOUNS[value] for word in pair} for value in values]
        else:
            said = [{*ADJECTIVES[value], *PLACES.get(value, ())} for value in values]
        assert sum(map(len, said)) == len(set().union(*said))


def test_what_texts_are_contrasted_with_is_known():
    for text in ("small", "round", "dark", "smooth", "dense", "brown", "brightfield", "in phase contrast", "nuclei"):
        rivals = contrasting_texts(text).rivals
        assert rivals
        assert [unknown_words(rival, vocabulary()) for rival in rivals if unknown_words(rival, vocabulary())] == []

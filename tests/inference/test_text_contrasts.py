"""What texts are weighed against, and which words are known."""

from __future__ import annotations

import pytest

from napari_sam.errors import InputError
from napari_sam.inference.text_contrasts import (
    check_texts,
    content_words,
    contrasting_texts,
    familiarity,
    separate_claims,
    unknown_words,
)


def test_one_word_at_a_time_is_turned_into_what_it_is_not():
    assert contrasting_texts("Small round things") == (
        [],
        ["large round things", "Small elongated things", "Small irregular things"],
    )


def test_case_plural_and_the_rest_of_the_text_are_left_alone():
    rivals = contrasting_texts("the bright Nuclei, please").rivals
    assert "the bright rods, please" in rivals
    assert "the dark Nuclei, please" in rivals
    assert "a rod" in contrasting_texts("an axon").rivals
    assert "an irregular cell" in contrasting_texts("a round cell").rivals
    assert "cells in phase contrast" in contrasting_texts("cells in fluorescence").rivals


def test_values_without_a_line_between_them_are_not_set_against_each_other():
    assert not any("cell" in rival for rival in contrasting_texts("nuclei").rivals)
    assert not any("stained" in rival for rival in contrasting_texts("brightfield").rivals)
    assert contrasting_texts("purple").rivals == ["brown", "green", "gray"]


def test_two_words_of_one_group_are_not_set_against_each_other():
    assert "nuclei and debris" in contrasting_texts("rods and debris").rivals
    assert "clumps and clumps" not in contrasting_texts("rods and clumps").rivals
    assert contrasting_texts("small and large") == ([], [])


def test_a_phrase_is_one_word():
    assert contrasting_texts("densely packed") == ([], ["isolated"])
    assert "rod" in contrasting_texts("clump of nuclei").rivals


def test_a_word_within_a_word_is_no_word():
    assert contrasting_texts("smallish") == ([], [])


def test_what_is_denied_is_a_rival_and_what_is_left_speaks_for_it():
    assert contrasting_texts("not round") == (["elongated", "irregular"], ["round"])
    allies, rivals = contrasting_texts("rods that are not bright")
    assert allies == ["rods that are dark"]
    assert "rods that are bright" in rivals
    assert "nuclei that are not bright" in rivals
    assert contrasting_texts("not blorp") == ([], ["blorp"])


def test_a_text_is_taken_apart_into_its_claims():
    assert separate_claims("all the bright nuclei that are not round") == ["not round", "bright", "nuclei"]
    assert separate_claims("Small") == ["Small"]
    assert separate_claims("densely packed cells in stained tissue") == ["densely packed", "stained tissue", "cells"]
    assert separate_claims("red or green") == ["red or green"]  # one of two
    assert separate_claims("bright mitotic cells") == ["bright", "cells", "bright mitotic cells"]
    assert separate_claims("zebra") == ["zebra"]


def test_words_that_say_nothing_are_left_out():
    assert content_words("Find ALL of the bright, round_nuclei!") == ["bright", "round", "nuclei"]
    assert content_words("the of and with") == []
    assert content_words("細胞 🦠 Größe") == ["細胞", "größe"]


def test_familiarity_is_the_share_of_known_words():
    known = {"bright", "nuclei", "cell"}
    assert familiarity("the bright nuclei", known) == 1
    assert familiarity("bright cells", known) == 1  # the plural
    assert familiarity("bright blorps", known) == 0.5
    assert familiarity("zxqv blorp", known) == 0
    assert familiarity("of the", known) == 0
    assert familiarity("zxqv blorp", ()) == 1  # nothing is known of the vocabulary
    assert unknown_words("bright zxqv blorp", known) == ["zxqv", "blorp"]


@pytest.mark.parametrize("texts", [[], "", ["nuclei", "  \n"], [3], [None]])
def test_what_is_no_text_is_refused(texts):
    with pytest.raises(InputError, match="round nuclei"):
        check_texts(texts)


def test_one_text_may_come_as_it_is():
    assert check_texts("nuclei") == ["nuclei"]
    assert check_texts(("a", "b")) == ["a", "b"]

"""What texts are weighed against, and which words are known."""

from __future__ import annotations

import pytest

from napari_sam.errors import InputError
from napari_sam.inference.text_contrasts import (
    check_texts,
    content_words,
    contrasting_texts,
    familiarity,
    unknown_words,
)


def test_one_word_at_a_time_is_turned_into_what_it_is_not():
    found = contrasting_texts("Small round things")
    assert found == ["large round things", "Small elongated things", "Small irregular things"]


def test_case_plural_and_the_rest_of_the_text_are_left_alone():
    assert "the bright rods, please" in contrasting_texts("the bright Nuclei, please")
    assert "the dark Nuclei, please" in contrasting_texts("the bright Nuclei, please")


def test_two_words_of_one_group_are_not_set_against_each_other():
    found = contrasting_texts("clump of nuclei")
    assert "rods of nuclei" in found
    assert not any("clump" in text for text in found)
    assert contrasting_texts("small and large") == []


def test_a_word_within_a_word_is_no_word():
    assert contrasting_texts("smallish") == []


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

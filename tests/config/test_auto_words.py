"""Settings of automatic masks have one plain name, the same in form, help and documentation."""

from __future__ import annotations

from dataclasses import fields

import pytest

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.config.auto_words import AUTO_WORDS, setting_help
from napari_sam.errors import InputError


def test_every_setting_has_a_name_of_its_own():
    assert set(AUTO_WORDS) == {field.name for field in fields(AutoSettings)}
    assert len({words.name for words in AUTO_WORDS.values()}) == len(AUTO_WORDS)


def test_the_word_for_zero_is_taken_for_it():
    assert load_auto_settings("cells", overrides={"object_size": "automatic"}).object_size == 0
    assert AutoSettings(max_area=9).changed(max_area="any").max_area == 0
    with pytest.raises(InputError, match="object_size is 'big'"):
        AutoSettings().changed(object_size="big")


def test_the_help_says_when_a_setting_counts():
    assert setting_help("object_size").startswith("Object size: Usual diameter")
    assert "only when it searches by objects" in setting_help("object_size")
    assert "no limit" in setting_help("max_area")

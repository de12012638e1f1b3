"""What a text is weighed against, and how much of it a CLIP can know."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from napari_sam.config.text import CONTRASTS, STOP_WORDS
from napari_sam.errors import InputError

__all__ = ["check_texts", "content_words", "contrasting_texts", "familiarity", "unknown_words"]


def check_texts(texts: Sequence[str] | str) -> list[str]:
    """Return the texts as a list; one alone may come as it is.

    Raises
    ------
    InputError
        If there is none, one is empty, or one is no text.
    """
    given = [texts] if isinstance(texts, str) else list(texts)
    if not given:
        raise InputError("There is no text: say what to segment, such as bright round nuclei.")
    for text in given:
        if not isinstance(text, str):
            raise InputError(f"A text is {text!r}, a {type(text).__name__}: give words, such as bright round nuclei.")
        if not text.strip():
            raise InputError(f"The text {text!r} is empty: say what to segment, such as bright round nuclei.")
    return given


def content_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without those that say nothing of an object ("the", "all")."""
    return [word for word in re.findall(r"[^\W_]+", text.lower()) if word not in STOP_WORDS]


def unknown_words(text: str, vocabulary: Collection[str]) -> list[str]:
    """Return the content words that are not in the vocabulary, in one number or the other."""
    known = frozenset(vocabulary)
    return [word for word in content_words(text) if known.isdisjoint((word, word + "s", word.removesuffix("s")))]


def familiarity(text: str, vocabulary: Collection[str]) -> float:
    """Return the share of a text's content words that a CLIP was trained with; 1 where the vocabulary is not known.

    A text without content words says nothing: 0.
    """
    words = content_words(text)
    if not words:
        return 0.0
    return 1 - len(unknown_words(text, vocabulary)) / len(words) if vocabulary else 1.0


def contrasting_texts(text: str) -> list[str]:
    """Return the text with one word at a time replaced by what an object would be instead.

    "small round nuclei" gives "large round nuclei", "small elongated nuclei", "small round rods" and so on.
    """
    words = content_words(text)
    found: list[str] = []
    for group in CONTRASTS:
        mine = [word for word in words if any(word in alternative for alternative in group)]
        if mine:  # of "clump of nuclei" the first word is the thing
            others = [alternative[0] for alternative in group if not {*mine} & {*alternative}]
            found += [re.sub(rf"\b{mine[0]}\b", other, text, flags=re.IGNORECASE) for other in others]
    return list(dict.fromkeys(found))

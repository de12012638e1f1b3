"""What a text is weighed against, and how much of it a CLIP can know."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from napari_sam.config.caption_words import ADJECTIVES, COMPATIBLE, FACETS, NOUNS, PLACES
from napari_sam.config.text import STOP_WORDS
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.model.clip import Clip

__all__ = [
    "Contrasts",
    "check_texts",
    "content_words",
    "contrasting_texts",
    "familiarity",
    "separate_claims",
    "text_hint",
    "unknown_words",
]

NOT = re.compile(r"\bnot\s+(an?\s+)?$", re.IGNORECASE)
# Words that large CLIPs know and the bundled one was not taught.
MORE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("smaller", "smallest"),
    "large": ("larger", "largest"),
    "round": ("oval",),
    "bright": ("brighter", "brightest"),
    "dark": ("darker", "darkest"),
}


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


def text_hint(text: str, clip: Clip) -> str:
    """Return one sentence about why a CLIP may find little by a text, or "" where there is nothing to say."""
    short = text if len(text) <= 60 else text[:57] + "..."
    if not content_words(text):
        return f"The text {short!r} names nothing: say what to segment, such as bright round nuclei."
    unknown = list(dict.fromkeys(unknown_words(text, clip.vocabulary))) if clip.vocabulary else []
    if unknown:
        some = ", ".join(map(repr, unknown[:3])) + (" and more" if len(unknown) > 3 else "")
        return (
            f"The CLIP {clip.name!r} was never trained on {some}: use words such as round, bright, purple or "
            "nuclei, or a larger CLIP, such as clip_vit_b_16 (`napari-sam models fetch clip_vit_b_16`)."
        )
    if clip.is_cut(text):
        return f"The text {short!r} is longer than what {clip.name!r} reads: only its beginning counts."
    return ""


class Contrasts(NamedTuple):
    """Hold what speaks for a text and what against it.

    Parameters
    ----------
    allies
        Texts that say a part of what it says: "elongated nuclei" for "nuclei that are not round".
    rivals
        Texts that it excludes.
    """

    allies: list[str]
    rivals: list[str]


def contrasting_texts(text: str) -> Contrasts:
    """Return the text with one word at a time replaced by what an object would be instead.

    "small round nuclei" has the rivals "large round nuclei", "small elongated nuclei", "small round rods" and so on.
    "not round" has the rival "round" and the allies "elongated" and "irregular". Values between which there is no line
    (a nucleus is a cell) are not set against each other.
    """
    allies: list[str] = []
    rivals: list[str] = []
    for facet, pattern in _PATTERNS.items():
        found = [_WORDS[facet][match.group().lower()] for match in pattern.finditer(text)]
        match = pattern.search(text)
        if match is None:
            continue
        value, form = found[0]  # of "nuclei and clumps" the first is the thing
        named = {value for value, _ in found}
        others = [other for other in FACETS[facet] if other not in named and not _is_akin(facet, value, other)]
        before = NOT.sub("", text[: match.start()])
        instead = [_with_articles(before + _stand_in(facet, other, form) + text[match.end() :]) for other in others]
        denied = len(before) < match.start()
        (allies if denied else rivals).extend(instead)
    plain = _without_not(text)
    if plain != text:
        rivals.append(plain)
    return Contrasts(list(dict.fromkeys(allies)), list(dict.fromkeys(rivals)))


def separate_claims(text: str) -> list[str]:
    """Return what a text claims one by one: "bright", "not round", "nuclei" for "bright nuclei that are not round".

    A small CLIP understands words better than whole sentences. The text itself is among them if it has words that
    `contrasting_texts` knows no opposite of, or names two values that exclude each other.
    """
    claims: list[str] = []
    rest = text
    for facet, pattern in _PATTERNS.items():
        found = list(pattern.finditer(text))
        named = {_WORDS[facet][match.group().lower()][0] for match in found}
        if len(named) == 1:
            before = text[: found[0].start()]
            claims.append(("not " if NOT.search(before) else "") + found[0].group())
            rest = pattern.sub(" ", rest)
    return claims if claims and not content_words(rest) else [*claims, text]


def _without_not(text: str) -> str:
    """Return a text that says the opposite where it denies something: without its first "not"."""
    return re.sub(r"\bnot\s+", "", text, count=1, flags=re.IGNORECASE)


def _with_articles(text: str) -> str:
    return re.sub(r"\b(a)n? (?=([a-z]))", lambda m: "an " if m[2] in "aeiou" else "a ", text)


def _is_akin(facet: str, one: str, other: str) -> bool:
    pairs = COMPATIBLE.get(facet, ())
    return (one, other) in pairs or (other, one) in pairs


def _stand_in(facet: str, value: str, form: int) -> str:
    """Return the usual word for a value: a noun as one (0) or many (1), an adjective (0) or a place (1)."""
    if facet == "kind":
        return NOUNS[value][0][form]
    return PLACES[value][0] if form and value in PLACES else ADJECTIVES[value][0]


def _words_of(facet: str) -> dict[str, tuple[str, int]]:
    """Return value and form by word or phrase."""
    found: dict[str, tuple[str, int]] = {}
    for value in FACETS[facet]:
        if facet == "kind":
            found |= {word: (value, form) for pair in NOUNS[value] for form, word in reversed([*enumerate(pair)])}
            continue
        found |= {word.removeprefix("an ").removeprefix("a "): (value, 1) for word in PLACES.get(value, ())}
        found |= dict.fromkeys((*ADJECTIVES[value], *MORE_WORDS.get(value, ())), (value, 0))
    return found


_WORDS = {facet: _words_of(facet) for facet in FACETS}
_PATTERNS = {
    facet: re.compile(rf"\b({'|'.join(sorted(map(re.escape, words), key=len, reverse=True))})\b", re.IGNORECASE)
    for facet, words in _WORDS.items()
}

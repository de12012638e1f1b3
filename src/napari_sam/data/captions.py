"""Captions of objects: claims about them, sentences for the claims, and which objects a claim is true of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from napari_sam.config.caption_words import ADJECTIVES, COMPATIBLE, FACETS, NOUNS, PLACES, PREFIXES, THINGS

__all__ = ["FALSE", "TRUE", "UNDECIDED", "UNKNOWN", "Caption", "Claim", "draw_caption", "encode_values", "judge"]

Codes = npt.NDArray[np.int8]
T = TypeVar("T")

UNKNOWN = -1  # in codes: no value of the facet is certain
FALSE, UNDECIDED, TRUE = 0, 1, 2

NAMES = tuple(FACETS)
KIND = NAMES.index("kind")
COUNTS = (0.5, 0.3, 0.15, 0.05)  # how often a caption makes one, two, three, four claims
INTEREST = np.array([1.6, 1.8, 1.0, 0.8, 0.7, 0.6, 0.9, 1.1])  # how often each facet is spoken of
NEGATED = 0.12
PREFIXED = 0.35


class Claim(NamedTuple):
    """Say that an object has a value of a facet, both by number, or that it does not."""

    facet: int
    value: int
    negated: bool = False


class Caption(NamedTuple):
    """Hold a sentence and what it claims."""

    text: str
    claims: tuple[Claim, ...]


def encode_values(values: dict[str, str | None]) -> Codes:
    """Return the (f,) int8 codes of an object from its values by facet; facets left out are `UNKNOWN`."""
    codes = np.full(len(NAMES), UNKNOWN, np.int8)
    for facet, value in values.items():
        if value is not None:
            codes[NAMES.index(facet)] = FACETS[facet].index(value)
    return codes


def judge(codes: Codes, claims: Sequence[Claim]) -> npt.NDArray[np.uint8]:
    """Tell of n objects whether all claims are true.

    Parameters
    ----------
    codes
        (n, f) int8: the number of each facet's value, or `UNKNOWN`.

    Returns
    -------
    array
        (n,) uint8: `FALSE`, `UNDECIDED` or `TRUE`; one false claim makes the whole false.
    """
    found = np.full(len(codes), TRUE, np.uint8)
    for claim in claims:
        own = codes[:, claim.facet]
        table = _TABLES[claim.facet][claim.value]  # by code, the unknown one last
        truth = table[own]
        found = np.minimum(found, TRUE - truth if claim.negated else truth)
    return found


def draw_caption(codes: Codes, rng: np.random.Generator, rarity: npt.NDArray[np.float64] | None = None) -> Caption:
    """Draw a caption that is true of an object.

    Parameters
    ----------
    codes
        (f,) of the object, at least one known.
    rarity
        (f,) how much more often than usual each of its values shall be spoken of; None is 1.
    """
    known = np.flatnonzero(codes != UNKNOWN)
    weights = INTEREST[known] * (1 if rarity is None else rarity[known])
    count = min(len(known), 1 + int(rng.choice(len(COUNTS), p=COUNTS)))
    chosen = rng.choice(known, count, replace=False, p=weights / weights.sum())
    claims = [Claim(int(facet), int(codes[facet])) for facet in chosen]
    if rng.random() < NEGATED:
        claims[0] = _negation(claims[0], rng) or claims[0]
    thing = not any(claim.facet == KIND for claim in claims) and codes[KIND] != _BACKGROUND and rng.random() < 0.5
    text = _sentence(claims, thing, rng)
    if thing:  # whoever speaks of objects does not mean background
        claims.append(Claim(KIND, _BACKGROUND, True))
    return Caption(text, tuple(claims))


def _negation(claim: Claim, rng: np.random.Generator) -> Claim | None:
    """Return a claim that an object is not what it certainly is not."""
    others = np.flatnonzero(_TABLES[claim.facet][:, claim.value] == FALSE)
    return Claim(claim.facet, int(rng.choice(others)), True) if len(others) else None


def _sentence(claims: Sequence[Claim], thing: bool, rng: np.random.Generator) -> str:
    adjectives: list[str] = []
    denied: list[str] = []
    noun, place = ("", ""), ""  # one and many
    for facet, number, negated in claims:
        value = FACETS[NAMES[facet]][number]
        if NAMES[facet] == "kind":
            pair = _draw(NOUNS[value], rng)
            if negated:
                denied.append(_article(pair[0]) if rng.random() < 0.5 else pair[1])
            else:
                noun = pair
        elif negated:
            denied.append(_draw(ADJECTIVES[value], rng))
        elif value in PLACES and rng.random() < 0.6:
            place = _draw(PLACES[value], rng)
        else:
            adjectives.append(_draw(ADJECTIVES[value], rng))
    if thing:
        noun = THINGS[int(rng.integers(len(THINGS)))]
    rng.shuffle(adjectives)
    text = _phrase(adjectives, noun, denied, rng)
    if place:
        text = f"{text} {'under' if 'scope' in place else 'in'} {place}" if text else place
    if rng.random() >= PREFIXED:
        return text
    prefix = _draw(PREFIXES, rng, even=True)
    return prefix.format(text.removeprefix("a ").removeprefix("an ") if "the" in prefix or "all" in prefix else text)


def _phrase(adjectives: list[str], noun: tuple[str, str], denied: list[str], rng: np.random.Generator) -> str:
    """Put adjectives and noun in one of several orders; what is denied comes last."""
    one, many = noun
    listed = _list(adjectives, rng)
    form = rng.random()
    single = False
    if not many:
        text = listed if form < 0.7 or not adjectives else f"{listed} ones"
    elif not adjectives:
        single = form >= 0.6
        text = _article(one) if single else many
    elif form < 0.5:
        text = f"{_beside(adjectives, rng)} {many}"
    elif form < 0.75:
        single = True
        text = _article(f"{_beside(adjectives, rng)} {one}")
    elif form < 0.9:
        text = f"{many} {_draw(('that are', 'which are'), rng)} {listed}"
    else:
        text = f"{many}, {', '.join(adjectives)}"
    if denied:
        denial = f"not {denied[0]}"
        link = f" that {'is' if single else 'are'} " if many else ", " if text else ""
        text = f"{text}{link}{denial}"
    return text


def _list(words: list[str], rng: np.random.Generator) -> str:
    """Return "a", "a and b", "a, b and c", or with commas only."""
    if len(words) < 2 or rng.random() < 0.3:
        return ", ".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _beside(words: list[str], rng: np.random.Generator) -> str:
    return (" " if rng.random() < 0.7 else ", ").join(words)


def _article(words: str) -> str:
    if words.split()[-1] in ("debris", "dirt", "dust", "background"):
        return words
    return f"{'an' if words[0] in 'aeiou' and not words.startswith('uni') else 'a'} {words}"


def _draw(choices: Sequence[T], rng: np.random.Generator, even: bool = False) -> T:
    """Draw one, the first half of the time unless all count the same."""
    if not even and rng.random() < 0.5:
        return choices[0]
    return choices[int(rng.integers(len(choices)))]


def _table(facet: str) -> npt.NDArray[np.uint8]:
    """Return (v, v + 1) whether a claim of each value is true of an object of each value, the unknown one last."""
    values = FACETS[facet]
    table = np.full((len(values), len(values) + 1), FALSE, np.uint8)
    np.fill_diagonal(table, TRUE)
    table[:, -1] = UNDECIDED
    for one, other in COMPATIBLE.get(facet, ()):
        i, j = values.index(one), values.index(other)
        table[i, j] = table[j, i] = UNDECIDED
    if facet == "kind":  # an object of whatever kind is no background
        table[_BACKGROUND, -1] = FALSE
    return table


_BACKGROUND = FACETS["kind"].index("background")
_TABLES = [_table(facet) for facet in NAMES]

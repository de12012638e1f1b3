"""The text protocol: whether a CLIP finds the objects that a word names, and whether masks cover them.

What is true of an object is measured (`data.object_attributes`) or known of its data set; objects of which it is not
clear count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.config.caption_words import ADJECTIVES, FACETS, NOUNS, PLACES
from napari_sam.data.caption_objects import SCENES, ObjectSet, describe_labels, describe_scene, known_facts
from napari_sam.data.captions import FALSE, TRUE, UNDECIDED, UNKNOWN, Claim, judge
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.evaluation.scores import Score
from napari_sam.evaluation.text_players import TextPlayer
from napari_sam.inference.text_ranking import MaskEmbeddings, TextRanker
from napari_sam.types import BoolArray

__all__ = [
    "average_precision",
    "evaluate_retrieval",
    "evaluate_text_masks",
    "fit_temperature",
    "image_objects",
    "prompt_of",
    "scene_objects",
]

WITHIN = ("size", "shape", "brightness", "texture", "crowding")  # differ among the objects of one image
POOLED = ("colour", "modality", "kind")  # rather differ from image to image
ASKED = ("size", "shape", "brightness", "colour")  # of masks, besides the kind
AN_IMAGE = 30  # objects at most, where images are pooled
RIM = 3  # pixels around objects that are unsure, where their masks may end
FEW = 5  # objects of a value, at least, where images are pooled
TEMPERATURES = np.geomspace(0.25, 8, 41)
NAMES = tuple(FACETS)
EXTRAS = [FACETS["kind"].index(name) for name in ("clump", "debris", "background")]


def prompt_of(facet: str, value: str) -> str:
    """Return the text by which a value of a facet is asked for."""
    if facet == "kind":
        return NOUNS[value][0][1]
    return PLACES[value][0] if facet == "modality" else ADJECTIVES[value][0]


def image_objects(
    images: Sequence[LabelledImage], *, limit: int | None = None, seed: int = 0
) -> Iterator[tuple[str, ObjectSet]]:
    """Yield name and objects of labelled images, `limit` of them spread evenly; debris is painted into the pictures."""
    count = len(images) if limit is None else min(limit, len(images))
    for index in np.linspace(0, len(images) - 1, count).round().astype(int).tolist():
        modality, kind = known_facts(images[index])
        rng = np.random.default_rng((seed, index))
        image = images[index]
        found = describe_labels(image.sample(), rng, modality=modality, kind=kind)
        yield image.name, replace(found, origin=f"{image.source}/{image.origin}" if image.origin else "")


def scene_objects(count: int, *, seed: int = 0, size: tuple[int, int] = (256, 256)) -> Iterator[tuple[str, ObjectSet]]:
    """Yield name and objects of synthetic scenes of all kinds in turn; no training draws from these seeds."""
    names = list(SCENES)
    for number in range(count):
        name = names[number % len(names)]
        rng = np.random.default_rng((seed, number, 1_000_003))
        yield f"{name}-{number}", describe_scene(rng, size, name)


def evaluate_retrieval(ranker: TextRanker, sets: Iterable[tuple[str, ObjectSet]]) -> Iterator[Score]:
    """Rank objects by the word for each value of each facet; yield the average precision of each ranking.

    Size, shape, brightness, texture and crowding: among the objects of each image, where it has some with the value and
    some without. Colour and modality: among the objects of all images together, at most 30 of each; clumps, debris and
    background count for kind only, which is ranked in the same way.

    Yields
    ------
    Score
        `group` is the facet; `average_precision`, and `chance`: the share of objects with the value, which is what a
        ranking by chance would have.
    """
    pooled: list[tuple[MaskEmbeddings, npt.NDArray[np.int8]]] = []
    rng = np.random.default_rng(0)
    for name, found in sets:
        if not found.records:
            continue
        embeddings = ranker.embed(found.records, found.image)
        own = ~np.isin(found.codes[:, NAMES.index("kind")], EXTRAS)
        for facet in WITHIN:
            yield from _rank(ranker, _some(embeddings, own), found.codes[own], facet, (name, found.origin), 1)
        kept = rng.permutation(len(found.records))[:AN_IMAGE]
        pooled.append((_some(embeddings, kept), found.codes[kept]))
    if pooled:
        vectors = np.concatenate([embeddings.vectors for embeddings, _ in pooled])
        together = MaskEmbeddings(vectors=vectors, clip=pooled[0][0].clip)
        codes = np.concatenate([codes for _, codes in pooled])
        own = ~np.isin(codes[:, NAMES.index("kind")], EXTRAS)
        for facet in POOLED:
            which = own | (facet == "kind")
            yield from _rank(ranker, _some(together, which), codes[which], facet, ("all images", ""), FEW)


def evaluate_text_masks(
    players: Sequence[TextPlayer], sets: Iterable[tuple[str, ObjectSet]], *, attributes: bool = True
) -> Iterator[Score]:
    """Ask for the objects of each image by what they are, then by one attribute, and compare pixels.

    An attribute is asked for ("bright nuclei") where the image has objects with it and objects without.

    Yields
    ------
    Score
        `group` is the facet; `iou` of all pixels selected and all pixels of the objects meant, leaving out objects of
        which it is not certain; `everything`: the IoU that selecting all objects would have.
    """
    for name, found in sets:
        asked = list(_questions(found, attributes))
        for player in players if asked else ():
            player.set_image(found.image)
            for facet, text, meant, unsure, others in asked:
                selected = player.select(text, meant) & ~unsure
                values = {"iou": _iou(selected, meant), "everything": _iou(meant | others, meant)}
                yield Score(image=name, group=facet, origin=found.origin, method=player.name, about={}, values=values)


def average_precision(scores: npt.NDArray[np.floating[Any]], right: BoolArray) -> float:
    """Return the mean, over the right ones of n, of the share of right ones among those ranked as high or higher."""
    order = np.argsort(-scores, kind="stable")
    hits, ranked = right[order], scores[order]
    last = np.searchsorted(-ranked, -ranked, side="right")  # of equals none is ranked before another
    return float((np.cumsum(hits)[last - 1] / last)[hits].mean())


def fit_temperature(ranker: TextRanker, sets: Iterable[tuple[str, ObjectSet]]) -> float:
    """Return by what to divide the logits so that scores mean what they say.

    It makes the softmax shares of a facet's values likeliest for the objects at hand (least negative log-likelihood).
    """
    found = [(ranker.embed(own.records, own.image), own.codes) for _, own in sets if own.records]
    losses = np.zeros(len(TEMPERATURES))
    for facet, values in FACETS.items():
        texts = [prompt_of(facet, value) for value in values]
        for embeddings, codes in found:
            own = codes[:, NAMES.index(facet)]
            known = own != UNKNOWN
            logits = ranker.clip.logit_scale * ranker.similarity(embeddings, texts)[known]
            for number, temperature in enumerate(TEMPERATURES):
                scaled = logits / temperature
                right = scaled[np.arange(len(scaled)), own[known]]
                losses[number] += float((np.logaddexp.reduce(scaled, axis=1) - right).sum())
    return float(TEMPERATURES[losses.argmin()])


def _some(embeddings: MaskEmbeddings, which: npt.NDArray[Any]) -> MaskEmbeddings:
    return MaskEmbeddings(vectors=embeddings.vectors[which], clip=embeddings.clip)


def _rank(
    ranker: TextRanker,
    embeddings: MaskEmbeddings,
    codes: npt.NDArray[np.int8],
    facet: str,
    of: tuple[str, str],
    least: int,
) -> Iterator[Score]:
    """Rank objects of an image (name, origin) by each value of a facet that at least so many have, and have not."""
    for number, value in enumerate(FACETS[facet]):
        truth = judge(codes, [Claim(NAMES.index(facet), number)])
        certain, right = truth != UNDECIDED, truth == TRUE
        if min(np.count_nonzero(right), np.count_nonzero(truth == FALSE)) < least:
            continue
        scores = ranker.score(embeddings, [prompt_of(facet, value)])[:, 0]
        yield Score(
            image=of[0],
            group=facet,
            origin=of[1],
            about={"ranked": int(np.count_nonzero(certain)), "value": number},
            values={
                "average_precision": average_precision(scores[certain], right[certain]),
                "chance": float(right[certain].mean()),
            },
        )


def _questions(found: ObjectSet, attributes: bool) -> Iterator[tuple[str, str, BoolArray, BoolArray, BoolArray]]:
    """Yield facet, text, and (H, W) bool pixels of the objects meant, of those that are unsure, and of the others."""
    kinds = found.codes[:, NAMES.index("kind")]
    own = np.flatnonzero(~np.isin(kinds, EXTRAS))
    known = sorted({int(kind) for kind in kinds[own]} - {UNKNOWN})
    for kind in known:
        claim = Claim(NAMES.index("kind"), kind)
        pixels = _pixels(found, own, [claim])
        if pixels is not None:
            yield "kind", prompt_of("kind", FACETS["kind"][kind]), *pixels
    if not attributes or len(known) > 1:
        return
    noun = prompt_of("kind", FACETS["kind"][known[0]]) if known else "objects"
    for facet in ASKED:
        for number, value in enumerate(FACETS[facet]):
            pixels = _pixels(found, own, [Claim(NAMES.index(facet), number)])
            if pixels is not None and pixels[2].any():
                yield facet, f"{prompt_of(facet, value)} {noun}", *pixels


def _pixels(
    found: ObjectSet, own: npt.NDArray[np.intp], claims: Sequence[Claim]
) -> tuple[BoolArray, BoolArray, BoolArray] | None:
    """Return the pixels of objects of which the claims are true, undecided and false; None where they are of none."""
    truth = judge(found.codes[own], claims)
    if not (truth == TRUE).any():
        return None
    shape = found.image.shape[:2]
    covered = {state: np.zeros(shape, bool) for state in (TRUE, UNDECIDED, FALSE)}
    for index, state in zip(own, truth.tolist(), strict=True):
        record = found.records[index]
        covered[state][record.slices] |= record.patch
    meant = covered[TRUE]
    others = covered[FALSE] & ~meant & ~covered[UNDECIDED]
    unsure = ndimage.binary_dilation(covered[UNDECIDED], np.ones((3, 3)), iterations=RIM)
    return meant, unsure & ~meant & ~others, others


def _iou(one: BoolArray, other: BoolArray) -> float:
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0

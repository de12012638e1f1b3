"""Masks ranked by texts: CLIP's vectors of their crops against its vectors of the texts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from napari_sam.config.text import TextSettings
from napari_sam.inference.mask_crops import crop_masks, usual_side
from napari_sam.inference.text_contrasts import (
    check_texts,
    content_words,
    contrasting_texts,
    familiarity,
    separate_claims,
    text_hint,
)
from napari_sam.model.clip import Clip
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.types import BoolArray

__all__ = ["MaskEmbeddings", "TextRanker"]

CPU_BATCH, GPU_BATCH = 32, 256
KEPT_MASKS = 50_000  # vectors: some 40 to 100 MB
KEPT_SENTENCES = 10_000
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class MaskEmbeddings:
    """Hold the vectors of the masks of one image.

    Parameters
    ----------
    vectors
        (n, d) float32 of length 1, in the order of the records.
    clip
        Fingerprint of the CLIP that made them.
    """

    vectors: FloatArray
    clip: str

    def __len__(self) -> int:
        return len(self.vectors)


class TextRanker:
    """Score masks by texts; vectors of masks and of texts are kept, so that a new text costs milliseconds.

    Parameters
    ----------
    clip
        From `load_clip` or `build_clip`.
    settings
        All settings; None for the defaults.
    **changes
        Fields of `TextSettings` that differ.
    """

    def __init__(self, clip: Clip, settings: TextSettings | None = None, **changes: Any) -> None:
        self.clip = clip
        self.settings = (settings or TextSettings()).changed(**changes)
        self._masks: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._sentences: OrderedDict[str, FloatArray] = OrderedDict()

    def embed(
        self,
        records: Sequence[MaskRecord],
        image: npt.NDArray[np.uint8],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> MaskEmbeddings:
        """Return the vectors of masks; those that were looked at before are taken from memory.

        Memory does not grow with the number of masks but for their vectors: crops are made batch by batch.

        Parameters
        ----------
        records
            n masks of the image.
        image
            (H, W, 3) uint8, normalised (`inference.normalization.apply_normalization`).
        progress
            Called with masks done and in all; what it raises stops the work, and what is done is kept.
        """
        reference = usual_side(records)
        about = self._about(image, reference)
        keys = [_key(about, record) for record in records]
        vectors = {key: self._masks[key] for key in keys if key in self._masks}
        new = [(key, record) for key, record in dict(zip(keys, records, strict=True)).items() if key not in vectors]
        size = self.settings.batch_size or (CPU_BATCH if self.clip.device.type == "cpu" else GPU_BATCH)
        for start in range(0, len(new), size):
            if progress is not None:
                progress(start, len(new))
            batch = new[start : start + size]
            found = self._encode([record for _, record in batch], image, reference)
            fresh = {key: vector for (key, _), vector in zip(batch, found, strict=True)}
            vectors |= fresh
            _remember(self._masks, fresh, KEPT_MASKS)
        if progress is not None:
            progress(len(new), len(new))
        stacked = np.stack([vectors[key] for key in keys]) if keys else np.empty((0, self.clip.width), np.float32)
        return MaskEmbeddings(vectors=stacked, clip=self.clip.fingerprint)

    def similarity(self, embeddings: MaskEmbeddings, texts: Sequence[str]) -> FloatArray:
        """Return the (n, t) float32 cosines of masks and texts."""
        return embeddings.vectors @ self._embed_texts(check_texts(texts)).T

    def score(self, embeddings: MaskEmbeddings, texts: Sequence[str]) -> FloatArray:
        """Return how likely each mask is what each text says.

        A text is taken apart into what it claims ("bright", "nuclei"), and its score is that of the least certain
        claim. A claim's score is its share in a softmax over itself, what contrasts with it ("large" for "small") and
        the negatives; to the share of "not round" counts that of "elongated" and "irregular", and "round" is against
        it. With `exclusive` a score is divided by how much higher that of another text is for that mask. Last it is
        multiplied by the squared share of the text's words that the CLIP knows, where that is recorded, so that a word
        outside of the vocabulary is never found with confidence.

        Parameters
        ----------
        embeddings
            Of n masks, from `embed`.
        texts
            t texts.

        Returns
        -------
        array
            (n, t) float32 from 0 to 1.

        Raises
        ------
        InputError
            If there is no text, or one is empty.
        """
        asked = check_texts(texts)
        claims = {text: separate_claims(text) if self.settings.contrasts else [text] for text in asked}
        sides = {(text, claim): self._sides(claim, text) for text in asked for claim in claims[text]}
        everything = list(dict.fromkeys(some for pair in sides.values() for side in pair for some in side))
        place = {text: number for number, text in enumerate(everything)}
        logits = self.clip.logit_scale / self.settings.temperature * self.similarity(embeddings, everything)
        shares = {
            key: _share(*(_joined(logits[:, [place[some] for some in side]]) for side in pair))
            for key, pair in sides.items()
        }
        least = [np.min([shares[text, claim] for claim in claims[text]], axis=0) for text in asked]
        scores: FloatArray = np.stack(least, axis=1)
        if self.settings.exclusive:
            scores *= scores / np.maximum(scores.max(axis=1, keepdims=True), 1e-12)
        known = [familiarity(text, self.clip.vocabulary) ** 2 for text in asked]
        return scores * np.array(known, np.float32)

    def assign(self, scores: FloatArray) -> BoolArray:
        """Return (n, t) which masks are what each text says: by threshold and `top_k`; of equals with `exclusive` one.

        Parameters
        ----------
        scores
            (n, t) from `score`.
        """
        chosen = (scores >= self.settings.threshold) & (scores > 0)
        if self.settings.exclusive and scores.size:
            best = np.zeros_like(chosen)
            best[np.arange(len(scores)), scores.argmax(axis=1)] = True
            chosen &= best
        if self.settings.top_k:
            rank = np.argsort(np.argsort(-np.where(chosen, scores, -1), axis=0, kind="stable"), axis=0, kind="stable")
            chosen &= rank < self.settings.top_k
        return chosen

    def hints(self, texts: Sequence[str]) -> list[str]:
        """Return for each text one sentence about why its scores may be low, or "" where there is nothing to say."""
        return [text_hint(text, self.clip) for text in check_texts(texts)]

    def _sides(self, claim: str, text: str) -> tuple[list[str], list[str]]:
        """Return a claim with what speaks for it, and what it competes with: contrasts, negatives not asked for."""
        words = {*content_words(text)}
        allies, rivals = contrasting_texts(claim) if self.settings.contrasts else ([], [])
        negatives = [other for other in self.settings.negatives if not words & {*content_words(other)}]
        return [claim, *allies], list(dict.fromkeys([*rivals, *negatives]))

    def _embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, d) vectors, each the mean over the templates; sentences that are known are taken from memory."""
        templates = self.settings.templates
        sentences = [template.replace("{}", text) for text in texts for template in templates]
        vectors = {sentence: self._sentences[sentence] for sentence in sentences if sentence in self._sentences}
        new = [sentence for sentence in dict.fromkeys(sentences) if sentence not in vectors]
        if new:
            fresh = dict(zip(new, self.clip.encode_texts(new), strict=True))
            vectors |= fresh
            _remember(self._sentences, fresh, KEPT_SENTENCES)
        stacked = np.stack([vectors[sentence] for sentence in sentences])
        return _unit(stacked.reshape(len(texts), len(templates), -1).mean(axis=1))  # [t * k, d] -> [t, k, d] -> [t, d]

    def _encode(self, records: Sequence[MaskRecord], image: npt.NDArray[np.uint8], reference: float) -> FloatArray:
        """Return (n, d) vectors, each the mean over the views."""
        clip, settings = self.clip, self.settings
        views = [
            clip.encode_images(
                crop_masks(
                    image,
                    records,
                    clip.image_size,
                    view,
                    settings.expansion,
                    size_cue=clip.spec.size_cue,
                    reference=reference,
                )
            )
            for view in settings.views
        ]
        return _unit(np.mean(views, axis=0))

    def _about(self, image: npt.NDArray[np.uint8], reference: float) -> bytes:
        """Return a hash of all that a mask's vector depends on besides the mask."""
        digest = xxhash.xxh3_128(np.ascontiguousarray(image).data)
        reference = reference if self.clip.spec.size_cue else 0
        about = (self.clip.fingerprint, self.clip.precision, self.settings.views, self.settings.expansion, reference)
        digest.update(repr((image.shape, *about)).encode())
        return digest.digest()


def _key(about: bytes, record: MaskRecord) -> bytes:
    return xxhash.xxh3_128_digest(about + repr(record.box).encode() + record.bits)


def _remember(memory: OrderedDict[Any, FloatArray], fresh: dict[Any, FloatArray], most: int) -> None:
    """Add vectors, and forget the oldest where there are too many."""
    memory.update(fresh)
    while len(memory) > most:
        memory.popitem(last=False)


def _joined(logits: FloatArray) -> FloatArray:
    """Return the log of the summed weights of (n, k) logits; of none it is minus infinity."""
    return np.logaddexp.reduce(logits, axis=1, initial=-np.inf)


def _share(own: FloatArray, against: FloatArray) -> FloatArray:
    """Return the share of the first weights, given by their logs, in both."""
    return np.exp(own - np.logaddexp(own, against))


def _unit(vectors: npt.NDArray[np.floating[Any]]) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)

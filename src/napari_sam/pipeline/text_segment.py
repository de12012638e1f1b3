"""Segment what texts name: all masks of an image, ranked by a CLIP."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import AUTO_PRESETS, AutoSettings
from napari_sam.config.text import TextSettings, check_route
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.normalization import Normalization, apply_normalization
from napari_sam.inference.picture import Picture, open_picture
from napari_sam.inference.text_contrasts import check_texts
from napari_sam.inference.text_instances import named_maps, named_scores
from napari_sam.inference.text_prompts import TextTokens, require_text_head
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.model.clip import Clip, load_clip
from napari_sam.model.load import load_model
from napari_sam.model.sam import Sam
from napari_sam.ops.label_image import label_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import select_records
from napari_sam.types import BoolArray

__all__ = [
    "TextResult",
    "label_scores",
    "label_texts",
    "prompt_scores",
    "prompt_texts",
    "segment_text",
    "text_segment",
    "usable_masks",
]


@dataclass(frozen=True, kw_only=True)
class TextResult:
    """Hold what was found for t texts among n masks of an image.

    Parameters
    ----------
    texts
        As they were asked.
    labels
        For each text (H, W) int32, 0 background, the labels 1 to n_t by falling score.
    records
        For each text the masks that its labels have, in the order of the labels.
    label_scores
        For each text (n_t,) float32, the scores of its labels.
    candidates
        The n masks that were ranked.
    scores
        (n, t) float32 from 0 to 1, for histograms and score maps.
    hints
        For each text one sentence about why little may be found, or "".
    """

    texts: tuple[str, ...]
    labels: list[npt.NDArray[np.int32]]
    records: list[list[MaskRecord]]
    label_scores: list[npt.NDArray[np.float32]]
    candidates: list[MaskRecord]
    scores: npt.NDArray[np.float32]
    hints: tuple[str, ...]

    def combined(self) -> tuple[npt.NDArray[np.int32], dict[str, npt.NDArray[Any]]]:
        """Return one (H, W) int32 label image of all texts, and the columns label, text and score of its n labels.

        A pixel that objects of several texts cover goes to the earlier text.
        """
        labels = np.zeros_like(self.labels[0])
        texts: list[str] = []
        scores: list[float] = []
        for text, mine, values in zip(self.texts, self.labels, self.label_scores, strict=True):
            free = np.where(labels == 0, mine, 0)
            kept = np.unique(free[free > 0])  # an object may have lost all its pixels
            number = np.zeros(len(values) + 1, np.int32)
            number[kept] = np.arange(len(texts) + 1, len(texts) + len(kept) + 1)
            labels += number[free]
            texts += [text] * len(kept)
            scores += values[kept - 1].tolist()
        columns = {
            "label": np.arange(1, len(texts) + 1, dtype=np.int32),
            "text": np.array(texts, object),
            "score": np.array(scores, np.float32),
        }
        return labels, columns


def segment_text(
    image: Any,
    texts: Sequence[str] | str,
    *,
    model: str | Sam = "cells",
    clip: str | Clip = "bundled",
    route: str = "rank",
    settings: TextSettings | None = None,
    auto: AutoSettings | None = None,
    checkpoint: str | Path | None = None,
    normalization: str | tuple[float, float] | Normalization = "auto",
    channels: tuple[int, ...] | None = None,
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> list[npt.NDArray[np.int32]]:
    """Segment the objects that texts name.

    Parameters
    ----------
    image
        (H, W) or (H, W, C).
    texts
        What to segment, such as ["bright round nuclei", "debris"].
    model, clip
        Names, or loaded models.
    route
        "rank": the CLIP looks at each mask; "prompt": the text is the prompt of a model with a text head, and masks
        count that lie where it answers.
    settings, changes
        Of the ranking; fields of `TextSettings` may be given one by one, as threshold=0.7.
    auto
        How masks are found; None for the model's preset.
    checkpoint
        A weights file for the model, where it is given by name.
    normalization, channels
        As for `Predictor.set_image`.
    device, precision
        For models that are given by name.
    progress
        Called with units of work done and in all; what it raises stops the work.

    Returns
    -------
    list
        One (H, W) int32 label image for each text, its labels by falling score.

    Raises
    ------
    InputError
        If the image, a text, a name or a setting cannot be used.

    Warns
    -----
    UserWarning
        If a text has words that the CLIP was not trained with, names nothing or is too long.
    """
    asked = check_texts(texts)
    ranking = (settings or TextSettings()).changed(**changes)
    if isinstance(clip, str):
        clip = load_clip(clip, device=device, precision=precision)
    if isinstance(model, str):
        model = load_model(model, checkpoint=checkpoint, device=device, precision=precision)
    result = text_segment(
        AutomaticMaskGenerator(model, auto),
        TextRanker(clip, ranking),
        image,
        asked,
        normalization=normalization,
        channels=channels,
        route=route,
        progress=progress,
    )
    for hint in filter(None, result.hints):
        warnings.warn(hint, UserWarning, stacklevel=2)
    return result.labels


def text_segment(
    generator: AutomaticMaskGenerator,
    ranker: TextRanker,
    image: Any,
    texts: Sequence[str] | str,
    *,
    normalization: str | tuple[float, float] | Normalization = "auto",
    channels: tuple[int, ...] | None = None,
    region: tuple[int, int, int, int] | None = None,
    route: str = "rank",
    progress: Callable[[int, int], None] | None = None,
) -> TextResult:
    """Find all masks of an image, and among them what texts name; see `segment_text`.

    Asked again with the same ranker for the same image, only the search for masks takes time; with the `candidates` of
    a result `label_texts` leaves that out, too.

    Raises
    ------
    InputError
        If the image, the region, a text, the route or a condition cannot be used.
    """
    asked = check_texts(texts)  # before the search, not after it
    check_route(route)
    if route == "prompt":
        require_text_head(generator.model).check_clip(ranker.clip.fingerprint, ranker.clip.name)
    picture = open_picture(image, normalization, channels)
    found: list[MaskRecord] = []
    done, total = 0, 0

    def still(*_: int) -> None:
        if progress is not None:
            progress(done, total)

    events = generator.stream(
        picture.image, normalization=picture.normalization, channels=channels, region=region, progress=still
    )
    for event in events:
        done, total = event.done, event.total
        found.extend(event.found)
        still()
    pixels = apply_normalization(picture.image, picture.normalization, channels)
    records = select_records(found, generator.settings)
    if route == "prompt":
        return prompt_texts(generator, ranker, records, picture, asked, region=region, progress=progress)
    return label_texts(ranker, records, pixels, asked, auto=generator.settings, image=picture.image, progress=progress)


def prompt_texts(
    generator: AutomaticMaskGenerator,
    ranker: TextRanker,
    records: Sequence[MaskRecord],
    picture: Picture,
    texts: Sequence[str] | str,
    *,
    region: tuple[int, int, int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TextResult:
    """Ask the generator's model where in an image is what texts name, and choose the masks that lie there.

    Parameters
    ----------
    records
        Masks of the image, which may overlap.
    others
        As for `prompt_scores`.
    """
    asked = check_texts(texts)
    candidates = usable_masks(ranker, records)
    scores = prompt_scores(generator, ranker, candidates, picture, asked, region=region, progress=progress)
    return label_scores(ranker, candidates, scores, asked, auto=generator.settings, image=picture.image)


def prompt_scores(
    generator: AutomaticMaskGenerator,
    ranker: TextRanker,
    candidates: Sequence[MaskRecord],
    picture: Picture,
    texts: Sequence[str],
    *,
    region: tuple[int, int, int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Return how surely each mask is what each text names, as the generator's model says that is asked with the text.

    Parameters
    ----------
    generator
        Of a model with a text head, and with the embeddings of the windows it looked through.
    ranker
        Of the CLIP that the text head was trained with.
    candidates
        n masks of the image.
    picture
        The image.
    texts
        t texts.
    region
        (row0, col0, row1, col1) of the part to look at; None is all.
    progress
        Called with windows asked and in all; what it raises stops the work.

    Returns
    -------
    array
        (n, t) float32 from 0 to 1.
    """
    tokens = TextTokens(generator.model, ranker.clip)
    maps = named_maps(generator.model, tokens, picture, texts, region=region, cache=generator.cache, progress=progress)
    return named_scores(candidates, maps, texts, ranker.clip.vocabulary)


def label_texts(
    ranker: TextRanker,
    records: Sequence[MaskRecord],
    pixels: npt.NDArray[np.uint8],
    texts: Sequence[str] | str,
    *,
    auto: AutoSettings | None = None,
    image: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> TextResult:
    """Rank masks that were found before, and make one label image for each text.

    Where chosen masks of one text overlap, the settings of automatic segmentation decide who gets the pixels, with the
    text's score in the place of the mask's.

    Parameters
    ----------
    records
        n masks of the image, which may overlap.
    pixels
        (H, W, 3) uint8, the normalised image.
    auto
        Of which the fields of making labels count; None for the preset "cells".
    image
        As it was before normalisation, for conditions on intensity; None takes `pixels`.
    progress
        Called with masks done and in all while they are encoded.
    """
    asked = check_texts(texts)
    candidates = usable_masks(ranker, records)
    scores = ranker.score(ranker.embed(candidates, pixels, progress=progress), asked)
    settings = auto or AutoSettings(**AUTO_PRESETS["cells"])
    return label_scores(ranker, candidates, scores, asked, auto=settings, image=pixels if image is None else image)


def usable_masks(ranker: TextRanker, records: Sequence[MaskRecord]) -> list[MaskRecord]:
    """Return the masks that are large enough for the ranker's settings."""
    return [record for record in records if record.area >= max(1, ranker.settings.min_area)]


def label_scores(
    ranker: TextRanker,
    candidates: list[MaskRecord],
    scores: npt.NDArray[np.float32],
    asked: Sequence[str],
    *,
    auto: AutoSettings,
    image: Any,
) -> TextResult:
    """Choose among n masks by their (n, t) scores, and label what was chosen; see `label_texts`."""
    settings = auto.changed(rank_by="predicted_iou")
    chosen = ranker.assign(scores)
    made = [_label(candidates, scores[:, i], chosen[:, i], image, settings) for i in range(len(asked))]
    return TextResult(
        texts=tuple(asked),
        labels=[labels for labels, _, _ in made],
        records=[kept for _, kept, _ in made],
        label_scores=[values for _, _, values in made],
        candidates=candidates,
        scores=scores,
        hints=tuple(ranker.hints(asked)),
    )


def _label(
    candidates: Sequence[MaskRecord],
    scores: npt.NDArray[np.float32],
    chosen: BoolArray,
    image: Any,
    settings: AutoSettings,
) -> tuple[npt.NDArray[np.int32], list[MaskRecord], npt.NDArray[np.float32]]:
    """Return the labels of one text, their records and scores."""
    # the text's score decides who gets shared pixels; the group tells which candidate a record was
    mine = [replace(candidates[i], predicted_iou=float(scores[i]), group=i) for i in np.flatnonzero(chosen).tolist()]
    labels, kept = label_records(mine, image.shape, settings, image=image)
    numbers = [record.group for record in kept]
    records = [
        replace(record, predicted_iou=candidates[i].predicted_iou, group=candidates[i].group)
        for record, i in zip(kept, numbers, strict=True)
    ]
    return labels, records, scores[numbers]

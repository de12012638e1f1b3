"""Where in an image is what a text names: the text as the prompt of every window, and which objects lie there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.picture import Picture, Progress, batch_size, encode_batch, view_of
from napari_sam.inference.survey import Survey, survey_windows
from napari_sam.inference.text_contrasts import familiarity
from napari_sam.inference.text_prompts import TextTokens
from napari_sam.model.folded_decoder import FoldedDecoder, decoder_for_texts
from napari_sam.model.sam import Sam
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.types import FloatArray, Window

__all__ = ["named_maps", "named_scores"]


@torch.inference_mode()
def named_maps(
    model: Sam,
    tokens: TextTokens,
    picture: Picture,
    texts: Sequence[str],
    *,
    region: tuple[int, int, int, int] | None = None,
    cache: EmbeddingCache | None = None,
    progress: Progress | None = None,
) -> FloatArray:
    """Ask every window of an image for each text, and blend the answers.

    A model that sees the whole image is asked once. One that looks through windows is asked at the scale at which its
    object head sees objects of the usual size; the same windows serve automatic segmentation, so with its cache they
    need no encoding.

    Parameters
    ----------
    texts
        t texts.
    region
        (row0, col0, row1, col1) of the part to look at; None is all, and beyond it the maps are 0.
    cache
        Of embeddings, for instance that of an `AutomaticMaskGenerator`.
    progress
        Called with windows done and in all, first while the scale is settled, then while the model is asked; what it
        raises stops the work.

    Returns
    -------
    array
        (t, H, W) float32 from 0 to 1.
    """
    prompts = tokens(texts)
    cache = EmbeddingCache() if cache is None else cache
    total = np.zeros((len(prompts), *picture.shape), np.float32)
    weights = np.zeros(picture.shape, np.float32)
    windows = _windows(model, picture, region or (0, 0, *picture.shape), cache, progress)
    for number, window in enumerate(windows):
        if progress is not None:
            progress(number, len(windows))
        decoder = decoder_for_texts(model, picture.look(model, window, cache))
        found = _ask(model, decoder, prompts, window)
        weight = np.minimum.outer(_inwards(window.height), _inwards(window.width))
        total[:, *window.slices] += found * weight
        weights[window.slices] += weight
    if progress is not None:
        progress(len(windows), len(windows))
    total /= np.maximum(weights, 1e-6)
    return total


def named_scores(
    records: Sequence[MaskRecord], maps: FloatArray, texts: Sequence[str], vocabulary: frozenset[str]
) -> FloatArray:
    """Return how surely each mask is what each text names: the mean of the map in it.

    As in ranking it is multiplied by the squared share of the text's words that the CLIP knows.

    Parameters
    ----------
    records
        n masks.
    maps
        (t, H, W) of `named_maps`.
    vocabulary
        Of the CLIP.

    Returns
    -------
    array
        (n, t) float32 from 0 to 1.
    """
    scores = np.zeros((len(records), len(maps)), np.float32)
    for number, record in enumerate(records):
        if record.area:
            scores[number] = maps[:, *record.slices][:, record.patch].mean(axis=1)
    return scores * np.array([familiarity(text, vocabulary) ** 2 for text in texts], np.float32)


def _windows(
    model: Sam,
    picture: Picture,
    region: tuple[int, int, int, int],
    cache: EmbeddingCache,
    progress: Progress | None,
) -> Sequence[Window]:
    """Return the windows that cover a region, at the scale that suits its objects."""
    if not model.spec.windowed:
        return [view_of(model, region)]
    shape = region[2] - region[0], region[3] - region[1]
    lattice = picture.store is not None
    survey = Survey(model, shape, lattice=lattice)
    if model.object_head is None:
        return [_shifted(window, region) for window in survey.windows]
    size = encode_batch(model)
    for start in range(0, len(survey.windows), size):
        if progress is not None:
            progress(start, len(survey.windows))
        some = survey.windows[start : start + size]
        decoders = picture.look_at_all(model, [_shifted(window, region) for window in some], cache)
        for window, decoder in zip(some, decoders, strict=True):
            assert decoder.objects is not None  # noqa: S101 - the model has an object head
            survey.add(window, decoder.objects)
    found = survey_windows(shape, model.img_size, survey.better_level(), lattice=lattice)
    return [_shifted(window, region) for window in found]


def _shifted(window: Window, region: tuple[int, int, int, int]) -> Window:
    return replace(window, row=window.row + region[0], col=window.col + region[1])


def _ask(model: Sam, decoder: FoldedDecoder, prompts: Tensor, window: Window) -> npt.NDArray[np.float32]:
    """Return the (t, height, width) probability of each text in a window: of three masks the one thought best."""
    found = []
    for some in prompts.split(batch_size(model)):
        attended = decoder.attend(texts=some)
        logits, iou = decoder.masks(attended, multimask=True)
        best = iou.argmax(dim=1)
        logits = logits[torch.arange(len(some), device=best.device), best]
        # the window covers the first rows and columns of the model's input only
        cell = model.img_size / model.mask_size
        rows, cols = (int(np.ceil(side / cell)) for side in (window.input_height, window.input_width))
        size = (window.height, window.width)
        scaled = F.interpolate(logits[:, None, :rows, :cols], size, mode="bilinear", align_corners=False)[:, 0]
        found.append(scaled.sigmoid().float().cpu().numpy())
    return np.concatenate(found)


def _inwards(length: int) -> FloatArray:
    """Return the distance of each of some pixels from the ends, at least half a pixel."""
    at = np.arange(length, dtype=np.float32) + 0.5
    return np.minimum(at, length - at)

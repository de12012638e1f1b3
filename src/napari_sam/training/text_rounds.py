"""Rounds with a text: what a CLIP says of an object stands for the words that would name it (SAM, appendix D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.data.caption_objects import SCENES, ObjectSet, describe_scene
from napari_sam.data.captions import FALSE, TRUE, UNKNOWN, Claim, draw_caption, judge
from napari_sam.data.object_attributes import describe, equal_diameter
from napari_sam.inference.mask_crops import crop_masks, usual_side
from napari_sam.losses.masks import sam_loss
from napari_sam.model.clip import Clip
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.ops.mask_record import MaskRecord

__all__ = [
    "MIN_NAMED",
    "NamedObjects",
    "named_objects",
    "new_text_head",
    "objects_of_masks",
    "text_loss",
    "text_masks",
    "text_tokens",
]

MIN_NAMED = 36  # pixels: smaller masks have no crop worth looking at
EXPANSION = (1.0, 2.0)
ZEROED = 0.5  # how often the surroundings are left out
TELLING = 8.0  # times as often a caption speaks of what not all objects of the image share
MEAN_OF = 12  # objects of each kind of scene, for the means
NOT_THERE = -20.0  # logit of a pixel that shall count for nothing: right, and without a gradient


@dataclass(frozen=True, kw_only=True)
class NamedObjects:
    """Hold what names n objects, and all that is named by it.

    Parameters
    ----------
    vectors
        (n, d) float32 of the CLIP, of length 1.
    of_images
        (n,) bool: whether they are of crops or of captions.
    targets
        (n, m, m) float32 coverage by all objects of the image of which the same is true.
    unsure
        (n, m, m) bool where it is not certain.
    valid
        (n,) bool; the others are too small to be named.
    """

    vectors: Tensor
    of_images: Tensor
    targets: Tensor
    unsure: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> NamedObjects:
        """Return the same on another device."""
        return NamedObjects(**{name: value.to(device) for name, value in vars(self).items()})

    @classmethod
    def join(cls, parts: Sequence[NamedObjects]) -> NamedObjects:
        """Put the objects of several images behind one another."""
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def objects_of_masks(image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_]) -> ObjectSet:
    """Describe (n, S, S) masks of an image by what can be measured; kind and modality stay unknown."""
    records = [MaskRecord.from_patch(mask, image_shape=mask.shape) for mask in masks]
    usual = equal_diameter(records)
    codes = np.stack([describe(image, record, usual=usual) for record in records])
    return ObjectSet(image=image, records=records, codes=codes, side=usual_side(records))


def named_objects(
    clip: Clip,
    found: ObjectSet,
    chosen: Sequence[int],
    size: int,
    rng: np.random.Generator,
    *,
    captions: float = 0.0,
    others: npt.NDArray[np.bool_] | None = None,
) -> NamedObjects:
    """Name objects of one image, each by a crop of its own mask or by a caption that is true of it.

    As in the paper the crop's box is expanded by a factor from 1 to 2, and the surroundings are left out half of the
    time. Alone, a name means all objects of the image of which the same is true; so it does at inference.

    Parameters
    ----------
    found
        The image, square, and what is known of its objects.
    chosen
        Numbers of n objects.
    size
        Side m of the targets.
    captions
        How often a caption is the name instead of the crop (the paper: never).
    others
        (S, S) bool: pixels of objects that `found` lacks, of which nothing is certain.
    """
    records = [found.records[i] for i in chosen]
    spoken = rng.random(len(records)) < captions
    vectors = _look(clip, found, records, rng)
    targets, unsure = [], []
    shrunk = _shrink([record.mask for record in found.records], size)  # [all, m, m]
    outside = None if others is None else _shrink([others], size)[0] > 0
    texts = []
    for number, i in enumerate(chosen):
        known = np.flatnonzero(found.codes[i] != UNKNOWN)
        claims: Sequence[Claim] = [Claim(int(facet), int(found.codes[i, facet])) for facet in known]
        spoken[number] &= bool(len(known))
        if spoken[number]:
            text, claims = draw_caption(found.codes[i], rng, _telling(found.codes, i))
            texts.append(text)
        truth = torch.from_numpy(judge(found.codes, claims))
        truth[i] = TRUE
        target = _union(shrunk, truth == TRUE)
        doubt = (_union(shrunk, (truth != TRUE) & (truth != FALSE)) > 0) & (target < 0.5)
        targets.append(target)
        unsure.append(doubt if outside is None else doubt | (outside & (target < 0.5)))
    if texts:
        vectors[spoken] = clip.encode_texts(texts)
    return NamedObjects(
        vectors=torch.from_numpy(vectors),
        of_images=torch.from_numpy(~spoken),
        targets=torch.stack(targets),
        unsure=torch.stack(unsure),
        valid=torch.tensor([record.area >= MIN_NAMED for record in records]),
    )


def new_text_head(model: Sam, clip: Clip, seed: int, *, decoder: bool = False) -> None:
    """Give a model a text head for a CLIP, of random weights, with the means of captions of what crops may show."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = model.add_text_head(clip.width, decoder=decoder)
    images, texts = _usual_vectors(clip, np.random.default_rng(seed))
    head.belong_to(clip.fingerprint, torch.from_numpy(images.mean(axis=0)), torch.from_numpy(texts.mean(axis=0)))


def _usual_vectors(clip: Clip, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return vectors of crops of synthetic objects of all kinds, and of captions of them."""
    images, captions = [np.zeros((0, clip.width), np.float32)], []
    for name in SCENES:
        found = describe_scene(rng, (256, 256), name, most=MEAN_OF)
        images.append(_look(clip, found, found.records, rng))
        captions += [draw_caption(codes, rng).text for codes in found.codes if (codes != UNKNOWN).any()]
    return np.concatenate(images), clip.encode_texts(captions)


def text_tokens(model: Sam, named: NamedObjects) -> Tensor:
    """Return the (n, C) tokens of the names; the model has a text head."""
    assert model.text_head is not None  # noqa: S101 - stated above
    tokens: Tensor = model.text_head(named.vectors, of_images=named.of_images)
    return tokens


def text_masks(model: Sam, embedding: ImageEmbedding, named: NamedObjects) -> tuple[Tensor, Tensor, Tensor]:
    """Ask with the names alone; return logits (k, 3, m, m), their predicted IoU (k, 3) and targets (k, m, m).

    Of the k valid names; pixels that are unsure are right in both.
    """
    logits, iou = model.decode(embedding, texts=text_tokens(model, named), multimask=True)
    logits = logits.float().masked_fill(named.unsure[:, None], NOT_THERE)
    targets = named.targets.masked_fill(named.unsure, 0.0)
    return logits[named.valid], iou.float()[named.valid], targets[named.valid]


def text_loss(model: Sam, embedding: ImageEmbedding, named: NamedObjects, **weights: float) -> Tensor:
    """Return the loss of the names alone, of which some are valid; `weights` as for `sam_loss`."""
    logits, iou, targets = text_masks(model, embedding, named)
    return sam_loss(logits, iou, targets, **weights)


def _look(
    clip: Clip, found: ObjectSet, records: Sequence[MaskRecord], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return the (n, d) vectors of crops of masks."""
    crops = [
        crop_masks(
            found.image,
            [record],
            clip.image_size,
            "zero" if rng.random() < ZEROED else "keep",
            float(rng.uniform(*EXPANSION)),
            size_cue=clip.spec.size_cue,
            reference=found.side,
        )
        for record in records
    ]
    return clip.encode_images(np.concatenate(crops))


def _telling(codes: npt.NDArray[np.int8], number: int) -> npt.NDArray[np.float64]:
    """Return (f,) how much more often than usual to speak of each facet of an object: where others are different."""
    apart = [
        code != UNKNOWN and bool((judge(codes, [Claim(facet, code)]) == FALSE).any())
        for facet, code in enumerate(codes[number].tolist())
    ]
    return np.where(apart, TELLING, 1.0)


def _shrink(masks: Sequence[npt.NDArray[np.bool_]], size: int) -> Tensor:
    return F.adaptive_avg_pool2d(torch.from_numpy(np.stack(masks))[:, None].float(), size)[:, 0]


def _union(shrunk: Tensor, which: Tensor) -> Tensor:
    return shrunk[which].amax(dim=0) if bool(which.any()) else torch.zeros_like(shrunk[0])

"""What captions are made of: objects of labelled images and synthetic scenes, clumps, debris, background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_sam.config.caption_words import FACETS
from napari_sam.data.captions import UNKNOWN
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.object_attributes import describe, equal_diameter
from napari_sam.data.sample import Sample
from napari_sam.data.scene_light import add_noise, blur, smooth_field
from napari_sam.data.scene_shapes import blobs, place
from napari_sam.data.synthetic import synthetic_scene
from napari_sam.inference.mask_crops import usual_side
from napari_sam.ops.label_records import labels_to_records
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["SCENES", "ObjectSet", "describe_labels", "describe_scene", "draw_filaments", "known_facts"]

# Modality and kind of the data sets at hand, by a group of theirs or a folder in their path.
SOURCES: dict[str, tuple[str | None, str | None]] = {
    "fluo_small": ("fluorescence", "nucleus"),
    "fluo_large": ("fluorescence", "nucleus"),
    "purple_tissue": ("stained tissue", "nucleus"),
    "brightfield_gray": ("brightfield", "nucleus"),
    "usiigaci_phase": ("phase contrast", "cell"),
    "axon_sem": ("electron microscopy", "axon"),
    "plantseg_ovule_nuclei_3d": ("fluorescence", "nucleus"),
    "pfc_neurons": (None, "neuron"),
}
# The same of synthetic scenes; of "clumps" and "rods" those with a bright ground are brightfield.
SCENES: dict[str, tuple[str | None, str | None]] = {
    "fluorescence": ("fluorescence", "nucleus"),
    "cells": ("fluorescence", "cell"),
    "rods": ("fluorescence", "rod"),
    "stained": ("brightfield", None),
    "clumps": ("fluorescence", "cell"),
    "tissue": ("stained tissue", "nucleus"),
    "em": ("electron microscopy", None),
    "phase": ("phase contrast", "cell"),
    "textures": (None, None),
    "filaments": ("fluorescence", "filament"),
}
DYES = ((0, 1, 0), (0.15, 1, 0.3), (1, 0, 0), (0.1, 0.3, 1), (0.2, 0.5, 1), (1, 0.1, 1), (0.6, 0.1, 0.9))
TINTED = 0.3  # of fluorescence scenes
PAPER = 130  # gray level of the ground from which light was absorbed, not emitted
CLUMP = 3  # touching objects, at least
EXTRAS = 4  # of clumps, of specks and of background, at most, an image
FREE = 3  # pixels between an object and what is put beside it


@dataclass(frozen=True, kw_only=True)
class ObjectSet:
    """Hold an image and n objects of it.

    Parameters
    ----------
    image
        (H, W, 3) uint8, normalised.
    records
        Their masks.
    codes
        (n, f) int8, see `captions.encode_values`.
    side
        Usual side of the image's objects in pixels, for the size cue of crops.
    origin
        What the image was cut from, "" for nothing larger.
    """

    image: npt.NDArray[np.uint8]
    records: list[MaskRecord]
    codes: npt.NDArray[np.int8]
    side: float
    origin: str = ""


def known_facts(image: LabelledImage) -> tuple[str | None, str | None]:
    """Return modality and kind of an image's objects, None where its group and its path do not tell."""
    for name in (image.group, *image.source.split("?")[0].replace("\\", "/").split("/")):
        if name in SOURCES:
            return SOURCES[name]
    return None, None


def describe_labels(
    sample: Sample,
    rng: np.random.Generator,
    *,
    modality: str | None = None,
    kind: str | None = None,
    most: int = 0,
    extras: bool = True,
) -> ObjectSet:
    """Describe the objects of a labelled image.

    Parameters
    ----------
    most
        Draw so many of them, the rarer shapes and sizes rather; 0 takes all.
    extras
        Whether to add clumps of touching objects, pieces of background, and specks of dirt, which are painted into the
        picture first.
    """
    image = sample.image
    specks: list[MaskRecord] = []
    base = labels_to_records(sample.labels)
    usual = equal_diameter(base)
    if extras:
        image, specks = _add_debris(image, sample.labels, usual or 12.0, rng)
    chosen = base if not most or len(base) <= most else [base[i] for i in rng.choice(len(base), most, replace=False)]
    described = [
        (record, describe(image, record, usual=usual, taken=sample.labels, kind=kind, modality=modality))
        for record in chosen
    ]
    if extras:
        others = [(record, "clump") for record in _clumps(sample.labels, rng)]
        others += [(record, "debris") for record in specks]
        others += [(record, "background") for record in _background(sample.labels, specks, usual or 20.0, rng)]
        described += [
            (record, describe(image, record, usual=usual, kind=name, modality=modality)) for record, name in others
        ]
    codes = np.array([own for _, own in described], np.int8) if described else np.empty((0, len(FACETS)), np.int8)
    return ObjectSet(image=image, records=[record for record, _ in described], codes=codes, side=usual_side(base))


def describe_scene(
    rng: np.random.Generator, size: tuple[int, int] = (256, 256), name: str | None = None, *, most: int = 0
) -> ObjectSet:
    """Draw a synthetic scene, any of `SCENES` unless one is named, and describe its objects."""
    name = name or str(rng.choice(list(SCENES)))
    modality, kind = SCENES[name]
    if name == "filaments":
        sample, parts = draw_filaments(rng, size), np.zeros(size, np.int32)
    else:
        scene = synthetic_scene(rng, size, name)
        sample, parts = scene.sample, scene.parts
    if name in ("clumps", "rods", "filaments") and _ground(sample) >= PAPER:
        modality = "brightfield"
    elif modality == "fluorescence" and rng.random() < TINTED:
        sample = _tint(sample, rng)
    found = describe_labels(sample, rng, modality=modality, kind=kind, most=most)
    if name == "cells" and parts.any():
        inner = describe_labels(
            Sample(image=found.image, labels=parts), rng, modality=modality, kind="nucleus", most=most, extras=False
        )
        # seen beside whole cells, whose size is the usual one
        return ObjectSet(
            image=found.image,
            records=[*found.records, *inner.records],
            codes=np.concatenate([found.codes, _without_size(inner.codes)]),
            side=found.side,
        )
    return found


def draw_filaments(rng: np.random.Generator, size: tuple[int, int]) -> Sample:
    """Draw long thin bent threads, bright on dark or dark on bright; where two cross the later one lies on top."""
    canvas = Image.new("I", (size[1], size[0]))
    pen = ImageDraw.Draw(canvas)
    width = int(rng.integers(2, 6))
    for number in range(1, int(rng.integers(3, 14))):
        steps = int(rng.integers(10, 40))
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.02, 0.2), steps))
        path = rng.uniform(0, size[::-1]) + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * 5, axis=0)
        pen.line([(float(x), float(y)) for x, y in path], fill=number, width=width, joint="curve")
    labels = _largest_pieces(np.asarray(canvas).astype(np.int32))
    levels = rng.uniform(0.35, 1, int(labels.max()) + 1).astype(np.float32)
    levels[0] = 0
    light = blur(levels[labels], float(rng.uniform(0.5, 1.2))) + 0.05 * smooth_field(rng, size, 20)
    light = add_noise(rng, np.clip(light, 0, 1), float(rng.uniform(0.01, 0.08)))
    light = (np.clip(light, 0, 1) * 255).astype(np.uint8)
    return Sample(
        image=np.repeat((255 - light if rng.random() < 0.15 else light)[..., None], 3, axis=-1), labels=labels
    )


def _largest_pieces(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Keep of each label its largest piece, where that is long enough to be a thread, and number them anew."""
    found = np.zeros_like(labels)
    number = 0
    for record in labels_to_records(labels):
        pieces, _ = ndimage.label(record.patch, np.ones((3, 3)))
        areas = np.bincount(pieces.ravel())[1:]
        if areas.max() >= 60:
            number += 1
            found[record.slices][pieces == 1 + areas.argmax()] = number
    return found


def _without_size(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    codes = codes.copy()
    codes[:, 0] = UNKNOWN
    return codes


def _tint(sample: Sample, rng: np.random.Generator) -> Sample:
    """Show a scene in the colour of a dye."""
    dye = np.array(DYES[int(rng.integers(len(DYES)))], np.float32)
    light = sample.image.max(axis=-1, keepdims=True)
    return Sample(image=(light * dye + 0.5).astype(np.uint8), labels=sample.labels)


def _ground(sample: Sample) -> float:
    free = sample.image[sample.labels == 0]
    return float(np.median(free)) if free.size else 0.0


def _clumps(labels: npt.NDArray[np.int32], rng: np.random.Generator) -> list[MaskRecord]:
    """Return groups of at least three objects that touch, of at most a quarter of the image."""
    groups, count = ndimage.label(labels > 0, np.ones((3, 3)))
    if not count:
        return []
    pairs = np.unique(np.stack([groups[labels > 0], labels[labels > 0]]), axis=1)
    members = np.bincount(pairs[0], minlength=count + 1)
    many = rng.permutation(np.flatnonzero(members >= CLUMP))[: 2 * EXTRAS]
    records = labels_to_records(np.where(np.isin(groups, many), groups, 0))
    return [record for record in records if record.area <= labels.size / 4][:EXTRAS]


def _free_places(
    labels: npt.NDArray[np.int32], reach: float, rng: np.random.Generator, n: int
) -> npt.NDArray[np.float64]:
    """Return at most n (row, col) so far from all objects that a disc of radius `reach` fits."""
    room = ndimage.distance_transform_cdt(np.pad(labels == 0, 1), "chessboard")[1:-1, 1:-1]
    rows, cols = np.nonzero(room > reach + FREE)
    picks = rng.permutation(len(rows))[:n]
    return np.stack([rows[picks], cols[picks]], axis=1).astype(float)


def _add_debris(
    image: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32], usual: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], list[MaskRecord]]:
    """Paint specks of dirt where no object is; return the picture and their masks."""
    radius = max(2.0, usual * float(rng.uniform(0.08, 0.25)))
    at = _free_places(labels, 1.5 * radius, rng, int(rng.integers(EXTRAS + 1)))
    if not len(at):
        return image, []
    outlines = blobs(rng, len(at), radius, spread=0.35, stretch=0.8, wobble=0.6)
    specks = place(rng, (labels.shape[0], labels.shape[1]), outlines, at=at)
    specks[labels > 0] = 0
    picture = image.astype(np.float32)
    for record in labels_to_records(specks):
        inside = picture[record.slices][record.patch]
        ground = inside.mean(axis=0)
        step = float(rng.uniform(45, 150)) * (1 if rng.random() < 0.5 else -1)
        if not 0 < ground.mean() + step < 255:
            step = -step
        grain = rng.normal(0, 12, (len(inside), 1))
        picture[record.slices][record.patch] = inside + step + grain
    return np.clip(picture, 0, 255).astype(np.uint8), labels_to_records(specks)


def _background(
    labels: npt.NDArray[np.int32], specks: Sequence[MaskRecord], usual: float, rng: np.random.Generator
) -> list[MaskRecord]:
    """Return blobs of an object's size that lie where there is none."""
    taken = labels.copy()
    for record in specks:
        taken[record.slices][record.patch] = 1
    found = []
    for row, col in _free_places(taken, 0.3 * usual, rng, EXTRAS // 2):
        radius = usual / 2 * float(np.exp(rng.normal(0, 0.35)))
        outline = blobs(rng, 1, radius, stretch=0.4, wobble=0.3)
        pieces = place(rng, (labels.shape[0], labels.shape[1]), outline, at=np.array([(row, col)]))
        pieces[taken > 0] = 0
        found += [record for record in labels_to_records(pieces) if record.area >= 12]
    return found

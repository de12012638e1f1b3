"""Crops of objects with their attributes, cut once and kept in files that are mapped into memory."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

from napari_sam.config.caption_words import FACETS
from napari_sam.config.text_training import TextTrainingConfig
from napari_sam.data.caption_objects import SCENES, ObjectSet, describe_labels, describe_scene, known_facts
from napari_sam.data.labelled_image import LabelledImage
from napari_sam.data.sources import list_images, raise_problems
from napari_sam.errors import InputError
from napari_sam.inference.mask_crops import BLUR, crop_masks
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["CaptionCrops", "CropProgress", "apply_view", "held_out", "make_crops", "training_images"]

# The first is the default of `TextSettings`; the others differ so little that no usual object looks small or large.
EXPANSIONS, EXPANSION_SHARES = (1.5, 1.4, 1.65), (0.7, 0.15, 0.15)
ROUGHLY = 0.3  # of the masks are a pixel too wide or too narrow, as a model's are
VERSION = 3  # of what is measured and how it is cut; raise it with either


@dataclass(frozen=True, kw_only=True)
class CropProgress:
    """Report how many of the images have been cut."""

    done: int
    total: int


@dataclass(frozen=True)
class CaptionCrops:
    """Hold n crops.

    Parameters
    ----------
    pixels
        (n, size, size, 4) uint8: colours, and the mask's share of each pixel from 0 to 255.
    codes
        (n, f) int8, see `captions.encode_values`.
    """

    pixels: npt.NDArray[np.uint8]
    codes: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """How often to draw each (n,); they sum to 1.

        Kinds of objects in kinds of images count with the square root of their number.
        """
        names = list(FACETS)
        sort = self.codes[:, [names.index("kind"), names.index("modality"), names.index("colour")]]
        _, inverse, counts = np.unique(sort, axis=0, return_inverse=True, return_counts=True)
        weights = counts[inverse.ravel()] ** -0.5
        return weights / weights.sum()

    @classmethod
    def open(cls, folder: Path) -> CaptionCrops:
        """Map the files that `make_crops` wrote."""
        about = json.loads((folder / "about.json").read_text())
        shape = (about["count"], about["size"], about["size"], 4)
        pixels = np.memmap(folder / "pixels.raw", np.uint8, "r", shape=shape)
        return cls(pixels, np.load(folder / "codes.npy"))


def held_out(source: str, index: int, every: int) -> bool:
    """Tell whether an image, by its source and its place there, is kept for evaluation; with `every` 0 none is."""
    name = Path(source.split("?")[0]).name
    return bool(every) and name != "train" and (name in ("val", "test") or index % every == every - 1)


def training_images(sources: Sequence[str], every: int, *, held: bool = False) -> list[LabelledImage]:
    """List the images that train, or with `held` those that are kept for evaluation.

    Raises
    ------
    InputError
        If something cannot be read.
    """
    images, problems = list_images(sources)
    raise_problems(problems)
    seen: dict[str, int] = {}
    chosen = []
    for image in images:
        place = seen[image.source] = seen.get(image.source, -1) + 1
        if held_out(image.source, place, every) == held:
            chosen.append(image)
    return chosen


def make_crops(config: TextTrainingConfig, folder: Path, size: int, size_cue: float) -> Iterator[CropProgress]:
    """Cut the crops of all objects into a folder, unless it holds those of the same settings already.

    Parameters
    ----------
    size, size_cue
        Of the model, see `inference.mask_crops.crop_masks`.

    Raises
    ------
    InputError
        If an image cannot be read, or there are no objects.
    """
    about = _about(config, size, size_cue)
    if _is_there(folder, about):
        return
    images = training_images(config.data, config.hold_out)
    total = len(images) + config.scenes
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    codes: list[npt.NDArray[np.int8]] = []
    with (part / "pixels.raw").open("wb") as stream:
        for number, found in enumerate(_object_sets(config, images)):
            rng = np.random.default_rng((config.seed, number, 1))
            stream.write(_cut(found, size, size_cue, rng).tobytes())
            codes.append(found.codes)
            yield CropProgress(done=number + 1, total=total)
    count = sum(map(len, codes))
    if not count:
        raise InputError("The training data has no objects: labels above 0 are objects.")
    np.save(part / "codes.npy", np.concatenate(codes))
    (part / "about.json").write_text(json.dumps({**about, "count": count}))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def apply_view(crop: npt.NDArray[np.uint8], view: str) -> npt.NDArray[np.uint8]:
    """Return (size, size, 3) of a (size, size, 4) crop, its surroundings treated as by `crop_masks`."""
    colours = crop[..., :3]
    if view == "keep":
        return colours
    weight = crop[..., 3:].astype(np.float32) / 255
    kept = weight * colours
    if view == "blur":
        blurred = Image.fromarray(np.ascontiguousarray(colours)).filter(ImageFilter.GaussianBlur(BLUR * len(crop)))
        kept += (1 - weight) * np.asarray(blurred)
    return (kept + 0.5).astype(np.uint8)


def _object_sets(config: TextTrainingConfig, images: Sequence[LabelledImage]) -> Iterator[ObjectSet]:
    for number, image in enumerate(images):
        modality, kind = known_facts(image)
        rng = np.random.default_rng((config.seed, number, 0))
        yield describe_labels(image.sample(), rng, modality=modality, kind=kind, most=config.objects)
    names = list(SCENES)
    for number in range(config.scenes):
        rng = np.random.default_rng((config.seed, len(images) + number, 0))
        size = (config.scene_size, config.scene_size)
        yield describe_scene(rng, size, names[number % len(names)], most=config.objects)


def _cut(found: ObjectSet, size: int, size_cue: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return (n, size, size, 4) crops; expansions vary, and masks are a little rough."""
    crops = np.empty((len(found.records), size, size, 4), np.uint8)
    white = np.full_like(found.image, 255)
    expansions = rng.choice(EXPANSIONS, len(crops), p=EXPANSION_SHARES)
    for i, record in enumerate(found.records):
        record = _roughened(record, rng) if rng.random() < ROUGHLY else record
        how: dict[str, Any] = {"expansion": float(expansions[i]), "size_cue": size_cue, "reference": found.side}
        crops[i, ..., :3] = crop_masks(found.image, [record], size, "keep", **how)[0]
        crops[i, ..., 3] = crop_masks(white, [record], size, "zero", **how)[0, ..., 0]
    return crops


def _roughened(record: MaskRecord, rng: np.random.Generator) -> MaskRecord:
    """Return a mask that is a pixel wider or narrower, where it is large enough."""
    row0, col0, row1, col1 = record.box
    if record.area < 80 or min(row0, col0) < 1 or row1 >= record.image_shape[0] or col1 >= record.image_shape[1]:
        return record
    patch = np.pad(record.patch, 1)
    changed = ndimage.binary_dilation(patch) if rng.random() < 0.5 else ndimage.binary_erosion(patch)
    return record.with_patch(changed, (row0 - 1, col0 - 1)) if changed.sum() >= record.area / 2 else record


def _about(config: TextTrainingConfig, size: int, size_cue: float) -> dict[str, Any]:
    """Return all that the crops depend on."""
    names = ("data", "hold_out", "scenes", "scene_size", "objects", "seed")
    values = {name: value for name, value in dataclasses.asdict(config).items() if name in names}
    about = {**values, "size": size, "size_cue": size_cue, "facets": FACETS, "version": VERSION}
    return dict(json.loads(json.dumps(about)))


def _is_there(folder: Path, about: dict[str, Any]) -> bool:
    try:
        found = json.loads((folder / "about.json").read_text())
    except (OSError, ValueError):
        return False
    return {key: value for key, value in found.items() if key != "count"} == about

"""Pictures without labels, for pre-training: folders of them as samples that are read when they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_sam.data.labelled_image import ImageFacts, LabelledImage
from napari_sam.data.sample_store import CACHE_BYTES, SampleCache, SampleStore
from napari_sam.data.sources import raise_problems
from napari_sam.errors import InputError
from napari_sam.io.dataset import list_images
from napari_sam.io.file_kind import READABLE
from napari_sam.io.images import read_image, stack_sides
from napari_sam.paths import local_path

__all__ = ["load_unlabelled"]


def load_unlabelled(
    sources: Sequence[str | Path], cache_bytes: int = CACHE_BYTES
) -> tuple[SampleStore, npt.NDArray[np.float64]]:
    """List pictures, to be read and normalised, as the predictor does, when drawn.

    Only names and sizes are read at first.

    Parameters
    ----------
    sources
        Picture files of any kind, and folders of them; of a folder with `images/` those in it, so that data sets
        with labels can be named, too. Each plane of a stack counts as a picture.
    cache_bytes
        Memory for the pictures drawn last.

    Returns
    -------
    samples
        One for each picture or plane, in the order of sources and names; nothing is labelled in them.
    weights
        How often to draw each (n,); they sum to 1. Sources count with the square root of their size.

    Raises
    ------
    InputError
        Listing what cannot be read.
    """
    images: list[LabelledImage] = []
    facts: list[ImageFacts] = []
    problems: list[str] = []
    for source in sources:
        try:
            files = _files(local_path(source))
        except InputError as error:
            problems.append(str(error))
            continue
        for file in files:
            try:
                for image, shape in _planes(file, str(source)):
                    images.append(image)
                    facts.append(ImageFacts(shape=shape, objects=0, diameter=1.0))
            except InputError as error:
                problems.append(str(error))
    raise_problems(problems)
    store = SampleStore(images, facts, SampleCache(cache_bytes))
    _, source_of, counts = np.unique([image.source for image in images], return_inverse=True, return_counts=True)
    weights = counts[source_of] ** -0.5
    return store, weights / weights.sum()


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    folder = source / "images" if (source / "images").is_dir() else source
    if not folder.is_dir():
        raise InputError(f"There are no pictures at {source}: give an existing folder of images.")
    files = list_images(folder)
    if not files:
        raise InputError(f"There are no pictures in {folder}: {READABLE} files are read.")
    return files


def _planes(file: Path, source: str) -> Iterator[tuple[LabelledImage, tuple[int, int]]]:
    """Yield the planes of a file with their (H, W)."""
    leading, (height, width) = stack_sides(file)
    whole = max(leading, default=1) == 1
    for plane in [None] if whole else np.ndindex(leading):
        name = str(file) if plane is None else f"{file} plane {','.join(map(str, plane))}"
        image = LabelledImage(
            name=name,
            source=source,
            read_image=partial(read_image, file, plane),
            read_labels=partial(_no_labels, (height, width)),
        )
        yield image, (height, width)


def _no_labels(shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    return np.zeros(shape, np.int32)

"""The images of a training run: listed and measured at the start, read when they are drawn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from napari_sam.data.labelled_image import ImageFacts, LabelledImage
from napari_sam.data.sample import Sample
from napari_sam.data.sources import list_images, raise_problems
from napari_sam.errors import InputError

__all__ = ["SampleCache", "SampleStore", "load_samples"]

CACHE_BYTES = 2**29


class SampleCache:
    """Keep the samples drawn last, as long as their pixels fit; several threads may ask at once.

    Parameters
    ----------
    capacity
        Bytes of pixels; a larger sample is read each time.
    """

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self.capacity = capacity
        self._samples: OrderedDict[int, Sample] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    def get(self, key: int, image: LabelledImage) -> Sample:
        """Return the sample kept under `key`, reading `image` if it is gone."""
        with self._lock:
            if key in self._samples:
                self._samples.move_to_end(key)
                return self._samples[key]
        sample = image.sample()
        size = sample.image.nbytes + sample.labels.nbytes
        with self._lock:
            if size <= self.capacity and key not in self._samples:
                self._samples[key] = sample
                self._used += size
                while self._used > self.capacity:
                    _, old = self._samples.popitem(last=False)
                    self._used -= old.image.nbytes + old.labels.nbytes
        return sample

    def __getstate__(self) -> dict[str, Any]:
        return {"capacity": self.capacity}  # another process reads for itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class SampleStore(Sequence[Sample]):
    """Hold labelled images as a sequence of samples that are read when asked for.

    Parameters
    ----------
    images
        The images.
    facts
        Of each; None measures them, which reads labels.
    cache
        Of samples; None makes one of 512 MB.
    """

    def __init__(
        self,
        images: Iterable[LabelledImage],
        facts: Sequence[ImageFacts] | None = None,
        cache: SampleCache | None = None,
        keys: Sequence[int] | None = None,
    ) -> None:
        self.images = tuple(images)
        self.facts = tuple(image.measure() for image in self.images) if facts is None else tuple(facts)
        self._cache = SampleCache() if cache is None else cache
        self._keys = range(len(self.images)) if keys is None else tuple(keys)  # of a subset: places in the whole

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> SampleStore: ...
    def __getitem__(self, index: int | slice) -> Sample | SampleStore:
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        return self._cache.get(self._keys[index], self.images[index])

    def subset(self, indices: Iterable[int]) -> SampleStore:
        """Return some of the images, which share the cache."""
        chosen = [int(index) for index in indices]
        return SampleStore(
            [self.images[i] for i in chosen],
            [self.facts[i] for i in chosen],
            self._cache,
            [self._keys[i] for i in chosen],
        )

    @property
    def groups(self) -> list[str]:
        """Of each image its source and, where there is one, its group in it."""
        return [f"{image.source}/{image.group}" for image in self.images]

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """How often to draw each (n,); they sum to 1.

        Groups count with the square root of their size, so that a rare kind of image is seen more often than its
        share; images without objects are never drawn.
        """
        useful = np.array([facts.objects > 0 for facts in self.facts], bool)
        if not useful.any():
            return np.zeros(len(self))
        _, inverse = np.unique(self.groups, return_inverse=True)
        counts = np.bincount(inverse, weights=useful)
        weights = np.where(useful, np.maximum(counts, 1)[inverse] ** -0.5, 0)
        return weights / weights.sum()


def load_samples(
    sources: Sequence[str | Path], cache_bytes: int = CACHE_BYTES
) -> tuple[SampleStore, npt.NDArray[np.float64]]:
    """List and measure all images of some sources, to be read and normalised, as the predictor does, when drawn.

    Parameters
    ----------
    sources
        Folders with `images/` and `labels/` (pictures or stacks), OME-Zarr images with labels, COCO JSON files,
        SA-1B folders or files; options may follow, see `SourceOptions`.
    cache_bytes
        Memory for the samples drawn last.

    Returns
    -------
    samples
        One for each image or plane, in the order of sources and names.
    weights
        How often to draw each, see `SampleStore.weights`.

    Raises
    ------
    InputError
        If something cannot be read (see `check_data`, which also looks at the pixels), or no image has an object.
    """
    images, problems = list_images(sources)
    raise_problems(problems)
    store = SampleStore(images, cache=SampleCache(cache_bytes))
    if images and not any(facts.objects for facts in store.facts):
        raise InputError(f"None of the {len(images)} training images has a labelled object: check the labels.")
    return store, store.weights

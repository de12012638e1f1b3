"""What is learnt from: pairs of layers and folders, and the labelled planes that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.widgets.plane import Plane, base_level, plane_reader, stack_planes

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_sam.data.labelled_image import LabelledImage
    from napari_sam.data.sample_store import SampleStore

__all__ = ["LayerPair", "PairPlanes", "read_store", "split_store"]

LARGEST = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class LayerPair:
    """Hold an image layer and the labels of its objects.

    Parameters
    ----------
    image, labels
        Of equal size; pixels belong together by their index, whatever the layers' transforms.
    axes
        Rows and columns of the planes.

    Raises
    ------
    InputError
        If the sizes differ.
    """

    image: Image
    labels: Labels
    axes: tuple[int, int]

    def __post_init__(self) -> None:
        """Compare the sizes."""
        image, labels = (tuple(base_level(each).shape[: each.ndim]) for each in (self.image, self.labels))
        if image != labels:
            raise InputError(
                f"The image {self.image.name!r} has {image} pixels and the labels {self.labels.name!r} have {labels}: "
                "choose a labels layer of the image's size."
            )
        if len(image) < 2:
            raise InputError(f"The image {self.image.name!r} has one axis: choose an image with rows and columns.")

    @classmethod
    def shown(cls, viewer: ViewerModel, image: Image, labels: Labels) -> LayerPair:
        """Pair two layers; planes lie as the viewer shows them, in 3D along the last two axes."""
        axes = sorted(axis - (viewer.dims.ndim - image.ndim) for axis in viewer.dims.displayed)
        if len(axes) != 2 or axes[0] < 0:
            axes = [image.ndim - 2, image.ndim - 1]
        return cls(image, labels, (axes[0], axes[1]))

    def __str__(self) -> str:
        return f"{self.image.name} + {self.labels.name}"

    def planes(self) -> PairPlanes:
        """Return what another thread reads the planes from, also after the layers are gone."""
        shape = base_level(self.labels).shape
        first = Plane(self.axes, (0,) * len(shape), (shape[self.axes[0]], shape[self.axes[1]]))
        planes = stack_planes(self.labels, first)
        return PairPlanes(
            name=str(self),
            labels_name=self.labels.name,
            labels=base_level(self.labels),
            planes=tuple(planes),
            readers=tuple(plane_reader(self.image, plane) for plane in planes),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PairPlanes:
    """Hold the arrays of a pair.

    Parameters
    ----------
    name, labels_name
        For messages.
    labels
        The labels layer's array.
    planes
        All planes.
    readers
        Of each, what reads it from the image.
    """

    name: str
    labels_name: str
    labels: Any
    planes: tuple[Plane, ...]
    readers: tuple[Callable[[], npt.NDArray[Any]], ...]

    def labelled(self, progress: Callable[[int, int], None]) -> Iterator[LabelledImage]:
        """Yield the planes with labels, whose labels are copied: the user may go on painting.

        Raises
        ------
        InputError
            If there are none.
        """
        from napari_sam.data.labelled_image import LabelledImage

        empty = True
        for number, (plane, read_image) in enumerate(zip(self.planes, self.readers, strict=True), 1):
            labels = _int32(np.asarray(self.labels[plane.select()]))
            if labels.any():
                empty = False
                place = f" plane {','.join(map(str, plane.fixed))}" if plane.fixed else ""
                name = f"{self.name}{place}"
                # each plane may be held out by itself: often one stack is all there is
                yield LabelledImage(
                    name=name, source=self.name, read_image=read_image, read_labels=partial(_same, labels), origin=name
                )
            progress(number, len(self.planes))
        if empty:
            raise InputError(
                f"The labels layer {self.labels_name!r} is empty: paint some objects, or take it from the list."
            )


def read_store(
    pairs: Sequence[PairPlanes], folders: Sequence[Path], progress: Callable[[int, int], None]
) -> SampleStore:
    """List the labelled images of layers and folders; images without an object are left out.

    Raises
    ------
    InputError
        If labels are empty, files cannot be used, or nothing is left.
    """
    from napari_sam.data.sample_store import SampleStore
    from napari_sam.data.sources import list_images, raise_problems

    images = [image for pair in pairs for image in pair.labelled(progress)]
    found, problems = list_images(folders)
    raise_problems(problems)
    everything = [*images, *found]
    facts = []
    for number, image in enumerate(everything, 1):  # which reads the labels
        facts.append(image.measure())
        progress(number, len(everything))
    store = SampleStore(everything, facts)
    useful = store.subset(number for number, facts in enumerate(store.facts) if facts.objects)
    if not len(useful):
        raise InputError(f"None of the {len(store)} images has a labelled object: label some objects.")
    return useful


def split_store(store: SampleStore, share: float, seed: int) -> tuple[SampleStore, SampleStore]:
    """Split into images to learn from and images to score on; none of these for a share of 0.

    Raises
    ------
    InputError
        If there is one image only, or one stack.
    """
    from napari_sam.data.split import split_samples

    if share == 0:
        return store, store.subset([])
    if len({(image.source, image.origin or image.name) for image in store.images}) < 2:
        raise InputError(
            "There is one labelled image, so none can be held out for scores: label another one, or hold out 0 %."
        )
    return split_samples(store, share, seed=seed)


def _int32(labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return a copy as int32, numbered anew where numbers are too large; negative labels are background."""
    positive = np.where(labels > 0, labels, 0)
    if positive.max(initial=0) > LARGEST:
        _, dense = np.unique(np.append(0, positive.astype(np.uint64)), return_inverse=True)
        positive = dense[1:].reshape(labels.shape)
    return positive.astype(np.int32)


def _same(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    return labels

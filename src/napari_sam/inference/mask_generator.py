"""Automatic segmentation: ask on a grid of points, keep what is good and stable, once (SAM, section 5, appendix B)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.embedding_store import EmbeddingStore
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.picture import Picture, Progress, encode_batch, open_picture
from napari_sam.inference.scene import Scene
from napari_sam.inference.side_by_side import run_side_by_side, threads_for
from napari_sam.inference.survey import Survey, fitting_level, split_region, survey_windows
from napari_sam.inference.views import View, coarser_views, list_views
from napari_sam.inference.windows import level_scales
from napari_sam.model.sam import Sam
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import select_records
from napari_sam.types import Window

__all__ = ["AutoProgress", "AutomaticMaskGenerator"]

T = TypeVar("T")
Box = tuple[int, int, int, int]
Answer = tuple[int, int, list[MaskRecord]]  # prompts dealt with, prompts asked, what was found


@dataclass(frozen=True, kw_only=True)
class AutoProgress:
    """What is done, and what was found since the event before.

    Parameters
    ----------
    done, total
        Units of work; the total may change. They are equal at the end.
    found
        New candidates in pixels of the whole image, before duplicates are removed.
    asked
        Prompts decoded so far; the fast mode deals with many points without asking them.
    """

    done: int
    total: int
    asked: int = 0
    found: tuple[MaskRecord, ...] = ()


class AutomaticMaskGenerator:
    """Find the masks of everything in an image.

    A model that sees the whole image looks at it and, with `crop_n_layers`, at smaller crops, as in the paper. A model
    that looks through windows sees the image at its own scale; `points_per_side` then is the density of the grid in one
    window, and objects that run out of a window are looked at again from farther away.

    Parameters
    ----------
    model
        From `load_model` or `build_model`.
    settings
        All settings; None for the preset "cells" for models that look through windows, and the defaults for others.
    point_grids
        For each layer of crops (n, 2) points as shares (row, col) of the crop's sides, instead of even grids.
    cache
        Where embeddings are kept; share one with a `Predictor` to encode an image once.
    **changes
        Fields of `AutoSettings` that differ. Who gives `points_per_side` without `settings` means the grid.

    Raises
    ------
    InputError
        If a setting is unknown or out of range, or the point grids do not fit.
    """

    def __init__(
        self,
        model: Sam,
        settings: AutoSettings | None = None,
        *,
        point_grids: Sequence[npt.ArrayLike] | None = None,
        cache: EmbeddingCache | None = None,
        **changes: Any,
    ) -> None:
        self.model = model
        if settings is None:
            self.settings = load_auto_settings("cells" if model.spec.windowed else "natural", overrides=changes)
        else:
            self.settings = settings.changed(**changes)
        self.point_grids = None if point_grids is None else _check_grids(point_grids, self.settings.crop_n_layers)
        self.cache = EmbeddingCache() if cache is None else cache

    def generate(
        self,
        image: Any,
        *,
        normalization: str | tuple[float, float] | Normalization = "auto",
        channels: tuple[int, ...] | None = None,
        region: tuple[int, int, int, int] | None = None,
        store: EmbeddingStore | None = None,
        progress: Progress | None = None,
    ) -> list[MaskRecord]:
        """Return the masks of an image; see `stream` for the parameters."""
        events = self.stream(
            image, normalization=normalization, channels=channels, region=region, store=store, progress=progress
        )
        return select_records([record for event in events for record in event.found], self.settings)

    def stream(
        self,
        image: Any,
        *,
        normalization: str | tuple[float, float] | Normalization = "auto",
        channels: tuple[int, ...] | None = None,
        region: tuple[int, int, int, int] | None = None,
        store: EmbeddingStore | None = None,
        progress: Progress | None = None,
    ) -> Iterator[AutoProgress]:
        """Search step by step, for progress, and for a cancel that keeps what was found: stop iterating.

        Parameters
        ----------
        image
            (H, W) or (H, W, C), as for `Predictor.set_image`.
        normalization, channels
            As there; decided on the whole image, whatever the region.
        region
            (row0, col0, row1, col1) to look at instead of the whole image.
        store
            Embeddings of this image on disk, as for `Predictor.set_image`.
        progress
            Called with steps done and in all while a view is encoded; may raise `OperationCancelled`.

        Yields
        ------
        AutoProgress
            Of a constant image, that nothing was found.

        Raises
        ------
        InputError
            If the image, a setting or the region cannot be used.
        """
        picture = replace(open_picture(image, normalization, channels), store=store)
        if store is not None:
            store.check(self.model, picture.shape, picture.normalization, picture.channels)
        part = _check_region(region, picture.shape)
        return self._search(picture, part, progress)

    def object_diameters(
        self,
        image: Any,
        *,
        normalization: str | tuple[float, float] | Normalization = "auto",
        progress: Progress | None = None,
    ) -> npt.NDArray[np.float64]:
        """Return about how large the objects are that the object head sees in an image; none are seen without a head.

        The median is what `stream` goes by, where the settings leave `object_size` to it.

        Parameters
        ----------
        image, normalization, progress
            As for `stream`; a small part of a larger image will do.

        Returns
        -------
        npt.NDArray[np.float64]
            (n,) diameters in pixels.
        """
        picture = open_picture(image, normalization, None)
        if self.model.object_head is None:
            return np.empty(0)
        survey = Survey(self.model, picture.shape)
        for _ in self._look(picture, (0, 0, *picture.shape), survey, _Count(1), progress):
            pass
        return 2.0 ** survey.log_diameters()

    def _search(self, picture: Picture, region: Box, progress: Progress | None) -> Iterator[AutoProgress]:
        shape = region[2] - region[0], region[3] - region[1]
        if _is_constant(picture.image, region):  # nothing to be seen, whatever a model makes of it
            yield AutoProgress(done=1, total=1)
            return
        count = _Count(_encoding_units(self.model))
        if self.settings.points == "objects" and self.point_grids is None and self.model.object_head is not None:
            parts = split_region(region)
            count.of_parts(self.model, parts, lattice=picture.store is not None)
            yield count.event()
            for part, core in parts:
                views = yield from self._survey(picture, part, core, count, progress)
                yield from self._ask(picture, part, views, count, progress)
        else:
            views = list_views(self.model, shape, self.settings, self.point_grids)
            count.expect(views)
            yield count.event()
            yield from self._ask(picture, region, views, count, progress)
        count.done = count.total
        yield count.event()

    def _survey(
        self, picture: Picture, part: Box, core: Box, count: _Count, progress: Progress | None
    ) -> Generator[AutoProgress, None, list[View]]:
        """Look for objects, twice where their size asks for another scale; return the views to ask for them."""
        shape = part[2] - part[0], part[3] - part[1]
        size = self.settings.object_size
        lattice = picture.store is not None
        survey = Survey(self.model, shape, fitting_level(size) if size else 0, lattice=lattice)
        while True:
            yield from self._look(picture, part, survey, count, progress)
            level = survey.level if size or survey.level else survey.better_level()
            if level == survey.level:
                break
            survey = Survey(self.model, shape, level, lattice=lattice)
            count.total += count.encoding * len(survey.windows)
        views = survey.views((core[0] - part[0], core[1] - part[1], core[2] - part[0], core[3] - part[1]))
        count.expect(views)
        return views

    def _look(
        self, picture: Picture, part: Box, survey: Survey, count: _Count, progress: Progress | None
    ) -> Iterator[AutoProgress]:
        """Show a survey what the object head sees through each of its windows."""
        for some in _in_batches(survey.windows, encode_batch(self.model)):
            shifted = [_shifted(window, part) for window in some]
            decoders = picture.look_at_all(self.model, shifted, self.cache, progress)
            for window, decoder in zip(some, decoders, strict=True):
                assert decoder.objects is not None  # noqa: S101 - the model has an object head
                survey.add(window, decoder.objects)
            count.done += count.encoding * len(some)
            yield count.event()

    def _ask(
        self, picture: Picture, region: Box, views: list[View], count: _Count, progress: Progress | None
    ) -> Iterator[AutoProgress]:
        """Ask the points or boxes of views, and for those whose masks run out of a window again from farther away."""
        shape = region[2] - region[0], region[3] - region[1]
        last = len(level_scales(shape, self.model.img_size)) - 1
        while views:
            cut: dict[int, list[npt.NDArray[np.float64]]] = {}
            for some in _in_batches(views, encode_batch(self.model)):
                windows = [_shifted(view.window, region) for view in some]
                decoders = picture.look_at_all(self.model, windows, self.cache, progress)
                count.done += count.encoding * len(some)
                yield count.event()
                scenes = [
                    Scene(self.model, self.settings, picture, region, view, decoder)
                    for view, decoder in zip(some, decoders, strict=True)
                ]
                for view, scene, answers in zip(some, scenes, self._search_all(scenes), strict=True):
                    for dealt, prompts, found in answers:
                        count.done += dealt
                        count.asked += prompts
                        yield count.event(found)
                    if 0 <= view.level < last and self.model.spec.windowed:
                        cut.setdefault(view.level, []).extend(scene.cut)
            views = [
                coarser
                for level, points in cut.items()
                if points
                for coarser in coarser_views(self.model, shape, np.array(points), level)
            ]
            count.expect(views)

    def _search_all(self, scenes: Sequence[Scene]) -> Iterator[Iterable[Answer]]:
        """Ask in several views; those with a few boxes each at the same time."""
        if len(scenes) > 1 and threads_for(self.model.device) > 1 and all(one.boxes is not None for one in scenes):
            yield from run_side_by_side(lambda scene: list(scene.search()), scenes)
        else:
            yield from (scene.search() for scene in scenes)


@dataclass
class _Count:
    """Count the work, in prompts; an encoding counts as `encoding` of them."""

    encoding: int
    done: int = 0
    total: int = 0
    asked: int = 0

    def of_parts(self, model: Sam, parts: Sequence[tuple[Box, Box]], *, lattice: bool) -> None:
        shapes = ((part[2] - part[0], part[3] - part[1]) for part, _ in parts)
        windows = (survey_windows(shape, model.img_size, 0, lattice=lattice) for shape in shapes)
        self.total = sum(self.encoding * len(some) for some in windows)

    def expect(self, views: Sequence[View]) -> None:
        self.total += sum(self.encoding + len(view.points) for view in views)

    def event(self, found: Sequence[MaskRecord] = ()) -> AutoProgress:
        return AutoProgress(done=self.done, total=self.total, asked=self.asked, found=tuple(found))


def _is_constant(image: Any, region: tuple[int, int, int, int]) -> bool:
    row0, col0, row1, col1 = region
    first = np.asarray(image[row0, col0])
    blocks = (image[row : min(row + 64, row1), col0:col1] for row in range(row0, row1, 64))  # most end with the first
    return all(_same(np.asarray(block), first) for block in blocks)


def _same(block: npt.NDArray[Any], value: npt.NDArray[Any]) -> bool:
    if block.dtype.kind != "f":
        return bool((block == value).all())
    return bool(((block == value) | ~(np.isfinite(block) | np.isfinite(value))).all())  # missing is all one


def _in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _shifted(window: Window, region: tuple[int, int, int, int]) -> Window:
    return replace(window, row=window.row + region[0], col=window.col + region[1])


def _encoding_units(model: Sam) -> int:
    """Return about how many prompts take as long as one encoding, for the estimate of the time left."""
    return max(1, sum(p.numel() for p in model.image_encoder.parameters()) // 220_000)


def _check_region(region: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    if region is None:
        return 0, 0, *shape
    try:
        row0, col0, row1, col1 = (int(side) for side in region)
    except (TypeError, ValueError, OverflowError):
        row0 = row1 = -1
    if not (0 <= row0 < row1 <= shape[0] and 0 <= col0 < col1 <= shape[1]):
        raise InputError(
            f"The region {region} is no part of the image of {shape[0]} rows and {shape[1]} columns: give "
            "(row0, col0, row1, col1) inside it."
        )
    return row0, col0, row1, col1


def _check_grids(grids: Sequence[npt.ArrayLike], layers: int) -> list[npt.NDArray[np.float64]]:
    try:
        checked = [np.asarray(grid, np.float64) for grid in grids]
    except (TypeError, ValueError):
        checked = [np.empty(0)] * (layers + 1)
    if len(checked) < layers + 1:
        raise InputError(f"There are {len(checked)} point grids: give one for the image and each of {layers} layers.")
    for grid in checked:
        if grid.ndim != 2 or grid.shape[1] != 2 or not len(grid) or not ((grid >= 0) & (grid <= 1)).all():
            raise InputError(
                "A point grid holds (n, 2) shares (row, col) of the image's sides, from 0 to 1: give that."
            )
    return checked

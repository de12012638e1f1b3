"""Automatic segmentation: ask on a grid of points, keep what is good and stable, once (SAM, section 5, appendix B)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.mask_upsampler import MaskUpsampler, UpsampledMask
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.picture import Picture, Progress, batch_size, encode_batch, open_picture
from napari_sam.inference.preprocess import to_model_xy
from napari_sam.inference.views import View, coarser_views, list_views
from napari_sam.inference.windows import level_scales, touches_inner_edge
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.ops.crops import near_crop_edge
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import passes, select_records
from napari_sam.types import Window

__all__ = ["AutoProgress", "AutomaticMaskGenerator"]

STRIDES = (4, 2, 1)  # of the grids that the fast mode asks one after another


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
        All settings; None for the defaults.
    point_grids
        For each layer of crops (n, 2) points as shares (row, col) of the crop's sides, instead of even grids.
    cache
        Where embeddings are kept; share one with a `Predictor` to encode an image once.
    **changes
        Fields of `AutoSettings` that differ.

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
        self.settings = (settings or AutoSettings()).changed(**changes)
        self.point_grids = None if point_grids is None else _check_grids(point_grids, self.settings.crop_n_layers)
        self.cache = EmbeddingCache() if cache is None else cache

    def generate(
        self,
        image: Any,
        *,
        normalization: str | tuple[float, float] | Normalization = "auto",
        channels: tuple[int, ...] | None = None,
        region: tuple[int, int, int, int] | None = None,
        progress: Progress | None = None,
    ) -> list[MaskRecord]:
        """Return the masks of an image; see `stream` for the parameters."""
        events = self.stream(image, normalization=normalization, channels=channels, region=region, progress=progress)
        return select_records([record for event in events for record in event.found], self.settings)

    def stream(
        self,
        image: Any,
        *,
        normalization: str | tuple[float, float] | Normalization = "auto",
        channels: tuple[int, ...] | None = None,
        region: tuple[int, int, int, int] | None = None,
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
        progress
            Called with steps done and in all while a view is encoded; may raise `OperationCancelled`.

        Raises
        ------
        InputError
            If the image, a setting or the region cannot be used.
        """
        picture = open_picture(image, normalization, channels)
        part = _check_region(region, picture.shape)
        return self._search(picture, part, progress)

    def _search(
        self, picture: Picture, region: tuple[int, int, int, int], progress: Progress | None
    ) -> Iterator[AutoProgress]:
        shape = region[2] - region[0], region[3] - region[1]
        views = list_views(self.model, shape, self.settings, self.point_grids)
        encoding = _encoding_units(self.model)
        done, asked, total = 0, 0, sum(encoding + len(view.points) for view in views)
        last = len(level_scales(shape, self.model.img_size)) - 1
        yield AutoProgress(done=0, total=total)
        while views:
            cut: dict[int, list[npt.NDArray[np.float64]]] = {}
            for some in _in_batches(views, encode_batch(self.model)):
                windows = [_shifted(view.window, region) for view in some]
                decoders = picture.look_at_all(self.model, windows, self.cache, progress)
                done += encoding * len(some)
                yield AutoProgress(done=done, total=total, asked=asked)
                for view, decoder in zip(some, decoders, strict=True):
                    scene = _Scene(self, picture, region, view, decoder)
                    for dealt, prompts, found in scene.search():
                        done += dealt
                        asked += prompts
                        yield AutoProgress(done=done, total=total, found=tuple(found), asked=asked)
                    if 0 <= view.level < last and self.model.spec.windowed:
                        cut.setdefault(view.level, []).extend(scene.cut)
            views = [
                coarser
                for level, points in cut.items()
                if points
                for coarser in coarser_views(self.model, shape, np.array(points), level)
            ]
            total += sum(encoding + len(view.points) for view in views)
        yield AutoProgress(done=total, total=total, asked=asked)


class _Scene:
    """One view at work."""

    def __init__(
        self,
        generator: AutomaticMaskGenerator,
        picture: Picture,
        region: tuple[int, int, int, int],
        view: View,
        decoder: FoldedDecoder,
    ) -> None:
        self._model, self._settings = generator.model, generator.settings
        self._picture, self._view, self._decoder = picture, view, decoder
        self._origin = region[0], region[1]
        self._shape = region[2] - region[0], region[3] - region[1]
        self._fast = self._settings.mode == "fast"
        self._batch = self._settings.points_per_batch or batch_size(self._model)
        self._upsample = MaskUpsampler(
            view.window,
            self._model.mask_size,
            self._model.img_size,
            threshold=self._model.mask_threshold,
            offset=self._settings.stability_score_offset,
        )
        self.cut: list[npt.NDArray[np.float64]] = []  # points whose masks run out of the window

    def search(self) -> Iterator[tuple[int, int, list[MaskRecord]]]:
        """Deal with all points, some at a time; yield how many those are, how many were asked, and what was found."""
        points = self._view.points
        if not self._fast:
            for start in range(0, len(points), self._batch):
                some = points[start : start + self._batch]
                yield len(some), len(some), self._ask(some)
            return
        waiting = points
        for stride in STRIDES:
            now = _every(waiting, points, stride)
            some, waiting = waiting[now], waiting[~now]
            for start in range(0, len(some), self._batch):
                batch = some[start : start + self._batch]
                found = self._ask(batch)
                hidden = _covered(waiting, found, self._origin)
                waiting = waiting[~hidden]
                yield len(batch) + int(hidden.sum()), len(batch), found

    @torch.inference_mode()
    def _ask(self, points: npt.NDArray[np.float64]) -> list[MaskRecord]:
        window, device = self._view.window, self._model.device
        xy = torch.from_numpy(to_model_xy(points, window))[:, None].to(device)
        attended = self._decoder.attend(points=(xy, torch.ones(len(points), 1, dtype=torch.int, device=device)))
        iou = attended.offered(multimask=True).cpu().numpy()
        likely = iou > np.float32(self._settings.pred_iou_thresh) if self._settings.pred_iou_thresh else iou == iou
        prompts = np.flatnonzero(likely.any(axis=1))
        if len(prompts) == 0:
            return []
        # masks of the likely only: up-scaling costs as much as all before it
        chosen = slice(None) if len(prompts) == len(points) else torch.from_numpy(prompts).to(device)
        logits = self._decoder.masks(attended, chosen, multimask=True).cpu()
        found = []
        for at, prompt in enumerate(prompts):
            ran_out = False
            for number in np.flatnonzero(likely[prompt]):
                mask = self._upsample(logits[at, number])
                record = self._record(mask, float(iou[prompt, number]), points[prompt])
                if not passes(record, self._settings):
                    continue
                if self._is_cut(record, mask):
                    ran_out = True
                else:
                    found.append(record)
            if ran_out:
                self.cut.append(points[prompt])
        return found

    def _record(self, mask: UpsampledMask, iou: float, point: npt.NDArray[np.float64]) -> MaskRecord:
        row, col = self._origin
        box = self._view.box
        return MaskRecord.from_patch(
            mask.patch,
            (box[0] + mask.origin[0] + row, box[1] + mask.origin[1] + col),
            image_shape=self._picture.shape,
            predicted_iou=iou,
            stability_score=mask.stability,
            point=(float(point[0]) + row, float(point[1]) + col),
            crop_box=(box[0] + row, box[1] + col, box[2] + row, box[3] + col),
            group=self._view.group,
        )

    def _is_cut(self, record: MaskRecord, mask: UpsampledMask) -> bool:
        """Tell whether a mask goes on beyond an edge of the view that is not the region's."""
        if self._model.spec.windowed:
            window = self._view.window
            return touches_inner_edge(mask.patch, window, self._shape, mask.origin)
        row, col = self._origin
        box = record.box[0] - row, record.box[1] - col, record.box[2] - row, record.box[3] - col
        if record.area == 0:  # the authors' box of an empty mask is the crop's first pixel
            box = self._view.box[:2] * 2
        return near_crop_edge(box, self._view.box, self._shape)


def _in_batches(views: Sequence[View], size: int) -> Iterator[Sequence[View]]:
    return (views[start : start + size] for start in range(0, len(views), size))


def _shifted(window: Window, region: tuple[int, int, int, int]) -> Window:
    return replace(window, row=window.row + region[0], col=window.col + region[1])


def _every(waiting: npt.NDArray[np.float64], points: npt.NDArray[np.float64], stride: int) -> npt.NDArray[np.bool_]:
    """Tell which of the waiting points lie on every `stride`-th row and column of the grid."""
    on = np.ones(len(waiting), bool)
    for axis in (0, 1):
        lines = np.unique(points[:, axis])
        on &= np.isin(np.searchsorted(lines, waiting[:, axis]) % stride, stride // 2)
    return on


def _covered(
    points: npt.NDArray[np.float64], found: Sequence[MaskRecord], origin: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Tell which points lie in the smallest mask of one of the prompts; larger ones may hold other objects."""
    inside = np.zeros(len(points), bool)
    smallest: dict[tuple[float, float], MaskRecord] = {}
    for record in sorted(found, key=lambda record: -record.area):
        smallest[record.point] = record
    for record in smallest.values():
        row0, col0, row1, col1 = record.box
        at = np.rint(points + np.array(origin)).astype(int) - np.array([row0, col0])
        near = np.flatnonzero(((at >= 0) & (at < [row1 - row0, col1 - col0])).all(axis=1) & ~inside)
        inside[near] = record.patch[at[near, 0], at[near, 1]]
    return inside


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

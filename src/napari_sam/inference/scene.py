"""One view at work: points asked, masks filtered while they are small, what is left recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.mask_upsampler import MaskUpsampler, UpsampledMask
from napari_sam.inference.picture import Picture, batch_size
from napari_sam.inference.preprocess import to_model_xy
from napari_sam.inference.views import View
from napari_sam.inference.windows import touches_inner_edge
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.ops.crops import near_crop_edge
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.regions import keep_pieces

__all__ = ["Scene"]

# of the fast mode (docs/performance.md has what they cost):
STRIDES = (4, 2, 1)  # of the grids that are asked one after another
DRAWN_IOU = 0.2  # how far a drawn mask may lie above what was expected of it
SURE_CELLS = 1  # grid cells that a mask must cover
SURE_SHARE = 0.3  # how much above the threshold its stability must be, as a share of what is left to 1


class Scene:
    """Ask the points of one view.

    Parameters
    ----------
    model, settings
        Of the search.
    picture, region
        The image, and (row0, col0, row1, col1) of the part that is searched.
    view, decoder
        What is looked at, and its embedding ready for prompts.
    """

    def __init__(
        self,
        model: Sam,
        settings: AutoSettings,
        picture: Picture,
        region: tuple[int, int, int, int],
        view: View,
        decoder: FoldedDecoder,
    ) -> None:
        self._model, self._settings = model, settings
        self._picture, self._view, self._decoder = picture, view, decoder
        self._origin = region[0], region[1]
        self._shape = region[2] - region[0], region[3] - region[1]
        self._fast = self._settings.mode == "fast"
        row, col = self._origin
        self._missing = picture.missing(replace(view.window, row=view.window.row + row, col=view.window.col + col))
        self._batch = self._settings.points_per_batch or batch_size(self._model)
        self._upsample = MaskUpsampler(
            view.window,
            self._model.mask_size,
            self._model.img_size,
            threshold=self._model.mask_threshold,
            offset=self._settings.stability_score_offset,
        )
        window = view.window
        self._cell = window.height * window.width / settings.points_in_layer(0) ** 2  # pixels for each point
        self._sure_stability = 1 - (1 - settings.stability_score_thresh) * (1 - SURE_SHARE)
        self.points, self.boxes = view.points, view.boxes
        self.cut: list[npt.NDArray[np.float64]] = []  # points whose masks run out of the window

    def search(self) -> Iterator[tuple[int, int, list[MaskRecord]]]:
        """Deal with all points, some at a time; yield how many those are, how many were asked, and what was found."""
        points = self.points
        if not self._fast or self.boxes is not None:
            for start in range(0, len(points), self._batch):
                part = slice(start, start + self._batch)
                boxes = None if self.boxes is None else self.boxes[part]
                yield len(points[part]), len(points[part]), self._ask(points[part], boxes)
            return
        waiting = points
        for stride in STRIDES:
            now = _every(waiting, points, stride)
            some, waiting = waiting[now], waiting[~now]
            for start in range(0, len(some), self._batch):
                batch = some[start : start + self._batch]
                found = self._ask(batch)
                hidden = _covered(waiting, self._sure(found), self._origin)
                waiting = waiting[~hidden]
                yield len(batch) + int(hidden.sum()), len(batch), found

    @torch.inference_mode()
    def _ask(self, points: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64] | None = None) -> list[MaskRecord]:
        """Return the masks of points, three each, or of the boxes around them, one each."""
        window, device = self._view.window, self._model.device
        several = boxes is None
        if boxes is None:
            xy = torch.from_numpy(to_model_xy(points, window))[:, None].to(device)
            attended = self._decoder.attend(points=(xy, torch.ones(len(points), 1, dtype=torch.int, device=device)))
        else:
            corners = to_model_xy(boxes.reshape(-1, 2, 2), window).reshape(-1, 4)
            attended = self._decoder.attend(boxes=torch.from_numpy(corners).to(device))
        iou = attended.offered(multimask=several).cpu().numpy().copy()
        least = np.float32(self._settings.pred_iou_thresh)
        likely = iou > least - DRAWN_IOU * self._decoder.draws if least else iou == iou
        prompts = np.flatnonzero(likely.any(axis=1))
        if len(prompts) == 0:
            return []
        # masks of the likely only: up-scaling costs as much as all before it
        chosen = slice(None) if len(prompts) == len(points) else torch.from_numpy(prompts).to(device)
        logits, drawn = self._decoder.masks(attended, chosen, multimask=several)
        iou[prompts] = drawn.cpu().numpy()
        if least:
            likely = likely & (iou > least)
        at, number = np.nonzero(likely[prompts])
        masks = self._upsample.many(logits[at, number], self._settings.stability_score_thresh, preselect=self._fast)
        found, cut = [], set()
        for prompt, quality, mask in zip(prompts[at], iou[prompts[at], number], masks, strict=True):
            if mask is None:
                continue
            if self._missing is not None:
                mask = self._without_missing(mask, self._missing)
                if not mask.patch.any():
                    continue
            if self._model.spec.windowed:  # a small model sees what is asked for in like objects nearby, too
                mask = self._without_like(mask, points[prompt])
            record = self._record(mask, float(quality), points[prompt])
            if self._is_cut(record, mask):
                cut.add(prompt)
            else:
                found.append(record)
        self.cut += [points[prompt] for prompt in sorted(cut)]
        return found

    def _sure(self, found: Sequence[MaskRecord]) -> list[MaskRecord]:
        """Return the masks under which no more is asked.

        They are stable, and so large that other points would find them again. Only the smallest of a prompt counts, as
        the others may hold other objects.
        """
        smallest: dict[tuple[float, float], MaskRecord] = {}
        for record in sorted(found, key=lambda record: -record.area):
            smallest[record.point] = record
        least, area = self._sure_stability, SURE_CELLS * self._cell
        return [r for r in smallest.values() if r.area >= area and r.stability_score >= least]

    def _without_like(self, mask: UpsampledMask, point: npt.NDArray[np.float64]) -> UpsampledMask:
        top, left = (a + b for a, b in zip(self._view.box[:2], mask.origin, strict=True))
        return replace(mask, patch=keep_pieces(mask.patch, [(float(point[0]) - top, float(point[1]) - left)]))

    @staticmethod
    def _without_missing(mask: UpsampledMask, missing: npt.NDArray[np.bool_]) -> UpsampledMask:
        (row, col), (height, width) = mask.origin, mask.patch.shape
        return replace(mask, patch=mask.patch & ~missing[row : row + height, col : col + width])

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
    """Tell which points lie in one of the masks."""
    inside = np.zeros(len(points), bool)
    for record in found:
        row0, col0, row1, col1 = record.box
        at = np.rint(points + np.array(origin)).astype(int) - np.array([row0, col0])
        near = np.flatnonzero(((at >= 0) & (at < [row1 - row0, col1 - col0])).all(axis=1) & ~inside)
        inside[near] = record.patch[at[near, 0], at[near, 1]]
    return inside

"""Prompts in, masks out: the model's face towards scripts, command line and dock (SAM, section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.mask_upsampler import MaskUpsampler
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.picture import Picture, Progress, batch_size, open_picture, view_of
from napari_sam.inference.preprocess import mask_to_logits, resample_logits, to_model_xy
from napari_sam.inference.prompt_check import check_prompts
from napari_sam.inference.windows import close_up, level_scales, place_window, touches_inner_edge
from napari_sam.model.sam import Sam
from napari_sam.ops.regions import keep_pieces
from napari_sam.types import BoolArray, Prediction, Prompts, Window

__all__ = ["Predictor", "Progress"]

MAX_GROWN = 2**24  # of a window that no prompt asked for


class Predictor:
    """Segment objects of one image after another.

    A model whose `spec.windowed` is False sees the whole image, shrunk so that its long side is `img_size`. The bundled
    model sees images larger than its input through windows at the image's own scale; they are encoded when a prompt
    first falls into them. Embeddings are kept, so further prompts cost only the decoder.

    Parameters
    ----------
    model
        From `load_model` or `build_model`.
    cache
        Where embeddings are kept; one cache may serve several predictors.
    """

    def __init__(self, model: Sam, *, cache: EmbeddingCache | None = None) -> None:
        self.model = model
        self.cache = EmbeddingCache() if cache is None else cache
        self.reset()

    def reset(self) -> None:
        """Forget the image; its embeddings stay in the cache."""
        self._current: Picture | None = None
        self._window: Window | None = None

    @property
    def is_image_set(self) -> bool:
        """Whether there is an image to predict on."""
        return self._current is not None

    @property
    def image_shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self._picture.shape

    @property
    def normalization(self) -> Normalization:
        """The recorded normalisation of the image."""
        return self._picture.normalization

    @property
    def _picture(self) -> Picture:
        if self._current is None:
            raise InputError("No image is set: call set_image first.")
        return self._current

    def set_image(
        self,
        image: Any,
        *,
        normalization: str | tuple[float, float] | Normalization = "auto",
        channels: tuple[int, ...] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Take an image and encode it, if one window holds all of it.

        Parameters
        ----------
        image
            (H, W) or (H, W, C), booleans, integers or floats; NumPy, Zarr, Dask or anything that becomes an array. It
            is read when a part is first looked at, so leave it unchanged until the next image is set.
        normalization
            "auto" (percentiles, but 8-bit RGB as it is), "none" (values are 0 to 255), a range (low, high), or a
            recorded `Normalization`.
        channels
            One, two (averaged) or three (red, green, blue) indices of the last axis.
        progress
            Called with steps done and in all; it may raise `OperationCancelled`, and the image before stays set.

        Raises
        ------
        InputError
            If the image or a setting cannot be used.
        """
        picture = open_picture(image, normalization, channels)
        if not self._windowed(picture.shape):
            picture.look(self.model, self._whole(picture.shape), self.cache, progress)
        self._current, self._window = picture, None

    def predict(
        self,
        points: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask: Any = None,
        text: str | None = None,
        multimask: bool | None = None,
        *,
        window: Window | None = None,
        mask_window: Window | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Predict the masks of one object.

        Parameters
        ----------
        points, point_labels
            (k, 2) array-like of (row, col), pixel centres at integers; (k,) of 1 (object) and 0 (not), all 1 if None.
        box
            (row0, col0, row1, col1), exclusive ends.
        mask
            (H, W) booleans, or (m, m) logits of an earlier prediction, to be refined. Booleans alone stand for
            their box, too.
        text
            Needs a model with a text adapter.
        multimask
            True: three candidates; False: one; None: three for a single point alone, else one.
        window
            Look at this part instead of choosing one, to repeat an earlier prediction.
        mask_window
            The window that logits given as `mask` belong to; None means that of the last prediction.
        progress
            As in `set_image`, if a window has to be encoded.

        Returns
        -------
        Prediction
            Candidates, the highest predicted IoU first.

        Raises
        ------
        InputError
            If no image is set or a prompt cannot be used.
        """
        if text is not None:
            raise InputError(
                f"The model {self.model.name!r} has no text adapter: give points, a box or a mask instead."
            )
        shape = self.image_shape
        prompts = check_prompts(points, point_labels, box, mask, shape, self.model.mask_size)
        if prompts.mask is not None and not _is_logits(prompts.mask) and not prompts.points and prompts.box is None:
            # models learn masks beside other prompts, so a mask alone speaks with its box (as micro-sam does)
            prompts = replace(prompts, box=_mask_extent(prompts.mask))
        if multimask is None:
            multimask = len(prompts.points) == 1 and prompts.box is None and prompts.mask is None
        if mask_window is None:
            mask_window = self._window
        if _is_logits(prompts.mask) and mask_window is None:
            raise InputError("The mask holds logits but nothing was predicted on this image: give booleans instead.")
        if window is not None:
            self._check_window(window)
            chosen, result = window, self._predict_in(window, prompts, mask_window, multimask, progress)
        else:
            chosen, result = self._predict_growing(prompts, mask_window, multimask, progress)
        self._window = chosen
        return result

    def predict_prompts(
        self,
        prompts: Prompts,
        multimask: bool | None = None,
        *,
        window: Window | None = None,
        mask_window: Window | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Predict from a `Prompts` record; see `predict`."""
        return self.predict(
            prompts.points,
            prompts.labels,
            prompts.box,
            prompts.mask,
            multimask=multimask,
            window=window,
            mask_window=mask_window,
            progress=progress,
        )

    @torch.inference_mode()
    def predict_boxes(self, boxes: npt.ArrayLike, *, progress: Progress | None = None) -> list[Prediction]:
        """Predict one mask for each of n boxes, some at a time.

        Parameters
        ----------
        boxes
            (n, 4) array-like of (row0, col0, row1, col1), exclusive ends.
        progress
            As in `set_image`, if a window has to be encoded.

        Returns
        -------
        list[Prediction]
            In the order of the boxes, as `predict` would return them one by one.

        Raises
        ------
        InputError
            If no image is set or a box cannot be used.
        """
        shape = self.image_shape
        checked = [check_prompts(None, None, box, None, shape, self.model.mask_size) for box in np.asarray(boxes)]
        if self.model.spec.windowed:  # each box chooses its window
            return [self.predict_prompts(prompts, False, progress=progress) for prompts in checked]
        window = self._whole(shape)
        decoder = self._picture.look(self.model, window, self.cache, progress)
        corners = to_model_xy(np.array([prompts.box for prompts in checked]).reshape(-1, 2, 2), window)
        found = []
        for some in torch.from_numpy(corners.reshape(-1, 4)).to(self.model.device).split(batch_size(self.model)):
            attended = decoder.attend(boxes=some)
            logits, iou = decoder.masks(attended, multimask=False), attended.offered(multimask=False)
            found += [self._prediction(window, *each) for each in zip(logits, iou, strict=True)]
        self._window = window
        return found

    def _windowed(self, shape: tuple[int, int]) -> bool:
        return self.model.spec.windowed and max(shape) > self.model.img_size

    def _whole(self, shape: tuple[int, int]) -> Window:
        return view_of(self.model, (0, 0, *shape))

    def _predict_growing(
        self, prompts: Prompts, mask_window: Window | None, multimask: bool, progress: Progress | None
    ) -> tuple[Window, Prediction]:
        """Choose a window: a coarser one as long as the best mask runs out of it, a closer one if it is small."""
        shape = self.image_shape
        if not self.model.spec.windowed:
            window = self._whole(shape)
            return window, self._predict_in(window, prompts, mask_window, multimask, progress)
        size = self.model.img_size
        extent = _extent(prompts)
        if mask_window is not None and (extent is None or (_is_logits(prompts.mask) and _holds(mask_window, extent))):
            # stay where the logits were made
            return mask_window, self._predict_in(mask_window, prompts, mask_window, multimask, progress)
        assert extent is not None  # noqa: S101 - logits alone have a window
        last = len(level_scales(shape, size)) - 1
        sized = prompts.box is not None or (prompts.mask is not None and not _is_logits(prompts.mask))
        window, level = place_window(shape, size, extent, box=sized)
        result = self._predict_in(window, prompts, mask_window, multimask, progress)
        while level < last and touches_inner_edge(result.patches[0], window, shape):
            coarser, level = place_window(shape, size, extent, box=sized, level=level + 1)
            if coarser.height * coarser.width > MAX_GROWN:
                break
            window = coarser
            result = self._predict_in(window, prompts, mask_window, multimask, progress)
        return self._predict_closer(prompts, mask_window, multimask, progress, window, result)

    def _predict_closer(
        self,
        prompts: Prompts,
        mask_window: Window | None,
        multimask: bool,
        progress: Progress | None,
        window: Window,
        result: Prediction,
    ) -> tuple[Window, Prediction]:
        """Look again at twice the scale if all candidates are those of a small object."""
        found = _mask_extent(np.asarray(result.patches.any(axis=0)))
        if found is None:
            return window, result
        row0, col0, row1, col1 = found
        extent = row0 + window.row, col0 + window.col, row1 + window.row, col1 + window.col
        closer = close_up(self.image_shape, self.model.img_size, extent, max(window.scale))
        said = _extent(prompts)
        if closer is None or not _holds(closer, extent) or (said is not None and not _holds(closer, said)):
            return window, result
        again = self._predict_in(closer, prompts, mask_window, multimask, progress)
        if touches_inner_edge(again.patches[0], closer, self.image_shape):
            return window, result
        return closer, again

    @torch.inference_mode()
    def _predict_in(
        self, window: Window, prompts: Prompts, mask_window: Window | None, multimask: bool, progress: Progress | None
    ) -> Prediction:
        decoder = self._picture.look(self.model, window, self.cache, progress)
        device = self.model.device
        points = boxes = None
        if prompts.points:
            xy = to_model_xy(np.array(prompts.points), window)
            points = (torch.from_numpy(xy)[None].to(device), torch.tensor([prompts.labels], device=device))
        if prompts.box is not None:
            corners = to_model_xy(np.array(prompts.box).reshape(2, 2), window)
            boxes = torch.from_numpy(corners.reshape(1, 4)).to(device)
        masks = self._mask_prompt(prompts.mask, window, mask_window)
        attended = decoder.attend(points=points, boxes=boxes, masks=masks)
        logits = decoder.masks(attended, multimask=multimask)
        result = self._prediction(window, logits[0], attended.offered(multimask)[0])
        if self.model.spec.windowed and (prompts.points or prompts.mask is None):
            # a small model sees what is asked for in like objects nearby, too
            meant = [
                (r - window.row, c - window.col)
                for (r, c), kind in zip(prompts.points, prompts.labels, strict=True)
                if kind
            ]
            result = replace(result, patches=np.stack([keep_pieces(patch, meant) for patch in result.patches]))
        return result

    def _prediction(self, window: Window, logits: Tensor, iou: Tensor) -> Prediction:
        order = torch.argsort(iou, descending=True, stable=True)
        logits = logits[order].cpu()
        upsample = MaskUpsampler(window, self.model.mask_size, self.model.img_size, threshold=self.model.mask_threshold)
        return Prediction(
            logits=logits.numpy(),
            scores=iou[order].cpu().numpy(),
            patches=upsample.whole(logits),
            window=window,
            image_shape=self.image_shape,
        )

    def _mask_prompt(self, mask: npt.NDArray[Any] | None, window: Window, mask_window: Window | None) -> Tensor | None:
        if mask is None:
            return None
        if mask.dtype == bool:
            prompt = mask_to_logits(mask[window.slices], window, self.model.img_size, self.model.mask_size)
        else:
            logits = mask
            if mask_window is not None and mask_window != window:
                logits = resample_logits(mask, mask_window, window, self.model.img_size)
            prompt = torch.from_numpy(logits)[None, None]
        return prompt.to(self.model.device)

    def _check_window(self, window: Window) -> None:
        height, width = self.image_shape
        inside = 0 <= window.row < window.row + window.height <= height
        inside = inside and 0 <= window.col < window.col + window.width <= width
        if not inside or min(window.input_height, window.input_width) < 1:
            raise InputError(f"{window} is no part of the image of {height} rows and {width} columns: leave it out.")
        if max(window.input_height, window.input_width) > self.model.img_size:
            raise InputError(f"{window} is too large for the model's input of {self.model.img_size}: leave it out.")


def _is_logits(mask: npt.NDArray[Any] | None) -> bool:
    return mask is not None and mask.dtype != bool


def _extent(prompts: Prompts) -> tuple[float, float, float, float] | None:
    """Return (row0, col0, row1, col1) around everything that was said, None for logits alone."""
    corners: list[tuple[float, float]] = list(prompts.points)
    if prompts.box is not None:
        corners += [(prompts.box[0], prompts.box[1]), (prompts.box[2], prompts.box[3])]
    if prompts.mask is not None and not _is_logits(prompts.mask):
        found = _mask_extent(prompts.mask)
        corners += [found[:2], found[2:]] if found else []
    if not corners:
        return None
    rows_, cols_ = zip(*corners, strict=True)
    return min(rows_), min(cols_), max(rows_), max(cols_)


def _mask_extent(mask: BoolArray) -> tuple[float, float, float, float] | None:
    """Return (row0, col0, row1, col1), exclusive ends, of a mask; None if it is empty."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return float(rows[0]), float(cols[0]), float(rows[-1] + 1), float(cols[-1] + 1)


def _holds(window: Window, extent: tuple[float, float, float, float]) -> bool:
    row0, col0, row1, col1 = extent
    rows = window.row - 0.5 <= row0 and row1 <= window.row + window.height
    return rows and window.col - 0.5 <= col0 and col1 <= window.col + window.width

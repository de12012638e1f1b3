"""Prompts in, masks out: the model's face towards scripts, command line and dock (SAM, section 3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.embedding_store import EmbeddingStore
from napari_sam.inference.extents import Extent, anchor_of, extent_of, holds, is_logits, mask_extent
from napari_sam.inference.lattice import fit_to_input, looks_through_windows
from napari_sam.inference.mask_upsampler import MaskUpsampler
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.picture import Picture, Progress, batch_size, open_picture, view_of
from napari_sam.inference.preprocess import mask_to_logits, resample_logits, to_model_xy
from napari_sam.inference.prompt_check import check_prompts
from napari_sam.inference.text_prompts import TextTokens
from napari_sam.inference.windows import close_up, level_scales, place_around, place_window, touches_inner_edge
from napari_sam.model.clip import Clip
from napari_sam.model.folded_decoder import decoder_for_texts
from napari_sam.model.sam import Sam
from napari_sam.ops.regions import keep_pieces
from napari_sam.types import Prediction, Prompts, Window

__all__ = ["Predictor", "Progress"]

MAX_GROWN = 2**24  # of a window that no prompt asked for


class Predictor:
    """Segment objects of one image after another.

    A model whose `spec.windowed` is False sees the whole image, shrunk so that its long side is `img_size`, up to twice
    that size. The bundled model sees all images larger than its input, and other models those larger than that, through
    windows at the image's own scale; they are encoded when a prompt first falls into them. Embeddings are kept, so
    further prompts cost only the decoder.

    Parameters
    ----------
    model
        From `load_model` or `build_model`.
    cache
        Where embeddings are kept; one cache may serve several predictors.
    clip
        By which texts are read, a name or a loaded one; it must be the one that the model's text head was trained with.
    """

    def __init__(self, model: Sam, *, cache: EmbeddingCache | None = None, clip: str | Clip = "bundled") -> None:
        self.model = model
        self._tokens = TextTokens(model, clip)
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
        store: EmbeddingStore | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Take an image and encode it, if one window holds all of it.

        Parameters
        ----------
        image
            (H, W) or (H, W, C), booleans, integers or floats; NumPy, Zarr, Dask or anything that becomes an array. It
            is read when a part is first looked at, so leave it unchanged until the next image is set. NaN and infinite
            pixels count as missing: black, and in no mask.
        normalization
            "auto" (percentiles, but 8-bit RGB as it is), "none" (values are 0 to 255), a range (low, high), or a
            recorded `Normalization`.
        channels
            One, two (averaged) or three (red, green, blue) indices of the last axis; None takes gray and three channels
            as they are, and of others the one with most signal.
        store
            Embeddings of this image on disk, from `open_store`; what is missing is added.
        progress
            Called with steps done and in all; it may raise `OperationCancelled`, and the image before stays set.

        Raises
        ------
        InputError
            If the image or a setting cannot be used, or the stored embeddings are not of them.
        """
        picture = replace(open_picture(image, normalization, channels), store=store)
        if store is not None:
            store.check(self.model, picture.shape, picture.normalization, picture.channels)
        if not looks_through_windows(self.model.spec, picture.shape):
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
            What to segment, for models with a text head. Alone it means all that it names in the window, which then
            is the whole image unless one is given; with points, a box or a mask the object there. Words that the CLIP
            was not trained with lower the scores, to 0 where none is known.
        multimask
            True: three candidates; False: one; None: three for a single point or a text alone, else one.
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

        Warns
        -----
        UserWarning
            If the text has words that the CLIP was not trained with, names nothing or is too long.
        """
        if text is not None and (hint := self._tokens.hint(text)):
            warnings.warn(hint, UserWarning, stacklevel=2)
        if text is not None and all(said is None for said in (points, box, mask)):
            view = self._whole(self.image_shape) if window is None else window
            self._check_window(view)
            self._window = view
            return self._predict_in(view, Prompts(), None, multimask is not False, progress, text)
        shape = self.image_shape
        prompts = check_prompts(points, point_labels, box, mask, shape, self.model.mask_size)
        if prompts.mask is not None and not is_logits(prompts.mask) and not prompts.points and prompts.box is None:
            # models learn masks beside other prompts, so a mask alone speaks with its box (as micro-sam does)
            prompts = replace(prompts, box=mask_extent(prompts.mask))
        if multimask is None:
            multimask = len(prompts.points) == 1 and prompts.box is None and prompts.mask is None and text is None
        if mask_window is None:
            mask_window = self._window
        if is_logits(prompts.mask) and mask_window is None:
            raise InputError("The mask holds logits but nothing was predicted on this image: give booleans instead.")

        def look(view: Window) -> Prediction:
            return self._predict_in(view, prompts, mask_window, multimask, progress, text)

        if window is not None:
            self._check_window(window)
            chosen, result = window, look(window)
        else:
            chosen, result = self._predict_growing(look, prompts, mask_window)
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
            prompts.points or None,  # so that a text without points counts as alone
            prompts.labels,
            prompts.box,
            prompts.mask,
            prompts.text or None,
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
        if self.model.spec.windowed or looks_through_windows(self.model.spec, shape):  # each box chooses its window
            return [self.predict_prompts(prompts, False, progress=progress) for prompts in checked]
        window = self._whole(shape)
        decoder = self._picture.look(self.model, window, self.cache, progress)
        corners = to_model_xy(np.array([prompts.box for prompts in checked]).reshape(-1, 2, 2), window)
        found = []
        for some in torch.from_numpy(corners.reshape(-1, 4)).to(self.model.device).split(batch_size(self.model)):
            attended = decoder.attend(boxes=some)
            logits, iou = decoder.masks(attended, multimask=False)
            found += [self._prediction(window, *each) for each in zip(logits, iou, strict=True)]
        self._window = window
        return found

    def _whole(self, shape: tuple[int, int]) -> Window:
        return view_of(self.model, (0, 0, *shape))

    def _predict_growing(
        self, look: Callable[[Window], Prediction], prompts: Prompts, mask_window: Window | None
    ) -> tuple[Window, Prediction]:
        """Choose where to look.

        A windowed model looks around a click, and once more at twice the scale if the object is small: no lattice
        decides what the mask is. Boxes and masks, which say more, and models that are slow to encode take the lattice's
        windows, which many prompts share. As long as the best mask runs out of its window, a wider one follows.
        """
        shape, spec = self.image_shape, self.model.spec
        extent = extent_of(prompts)
        if not spec.windowed and not looks_through_windows(spec, shape):
            window = self._whole(shape)
            return window, look(window)
        if mask_window is not None and (extent is None or (is_logits(prompts.mask) and holds(mask_window, extent))):
            return mask_window, look(mask_window)  # stay where the logits were made
        assert extent is not None  # noqa: S101 - logits alone have a window
        size, anchor = self.model.img_size, anchor_of(prompts, extent)
        sized = prompts.box is not None or (prompts.mask is not None and not is_logits(prompts.mask))
        lattice = sized or not spec.windowed
        if lattice:
            window, level = place_window(shape, size, extent, box=sized)
        else:
            window, level = place_around(shape, size, extent, anchor)
        window = fit_to_input(spec, window)
        result = look(window)
        last = len(level_scales(shape, size)) - 1
        while level < last and _is_cut(result, shape):
            wider, level = place_around(shape, size, extent, anchor, level=level + (not lattice))
            if wider.height * wider.width > MAX_GROWN:
                break
            lattice, window = False, fit_to_input(spec, wider)
            result = look(window)
        closer = self._closer(window, result, extent, None if sized else anchor)
        if closer is not None:
            again = look(closer)
            if not touches_inner_edge(again.patches[0], closer, shape):
                return closer, again
        return window, result

    def _closer(
        self, window: Window, result: Prediction, said: Extent, anchor: tuple[float, float] | None
    ) -> Window | None:
        """Return the window at twice the scale if all candidates are those of a small object."""
        found = mask_extent(np.asarray(result.patches.any(axis=0))) if self.model.spec.windowed else None
        if found is None:
            return None
        row0, col0, row1, col1 = found
        extent = row0 + window.row, col0 + window.col, row1 + window.row, col1 + window.col
        closer = close_up(self.image_shape, self.model.img_size, extent, max(window.scale), anchor)
        return closer if closer is not None and holds(closer, extent) and holds(closer, said) else None

    @torch.inference_mode()
    def _predict_in(
        self,
        window: Window,
        prompts: Prompts,
        mask_window: Window | None,
        multimask: bool,
        progress: Progress | None,
        text: str | None,
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
        tokens = None if text is None else self._tokens(text)
        if tokens is not None:
            decoder = decoder_for_texts(self.model, decoder)
        attended = decoder.attend(points=points, boxes=boxes, masks=masks, texts=tokens)
        logits, iou = decoder.masks(attended, multimask=multimask)
        result = self._prediction(window, logits[0], iou[0])
        if self.model.spec.windowed and (prompts.points or (prompts.mask is None and text is None)):
            # a small model sees what is asked for in like objects nearby, too
            meant = [
                (r - window.row, c - window.col)
                for (r, c), kind in zip(prompts.points, prompts.labels, strict=True)
                if kind
            ]
            result = replace(result, patches=np.stack([keep_pieces(patch, meant) for patch in result.patches]))
        return result if text is None else replace(result, scores=result.scores * np.float32(self._tokens.known(text)))

    def _prediction(self, window: Window, logits: Tensor, iou: Tensor) -> Prediction:
        order = torch.argsort(iou, descending=True, stable=True)
        logits = logits[order].cpu()
        upsample = MaskUpsampler(window, self.model.mask_size, self.model.img_size, threshold=self.model.mask_threshold)
        patches, missing = upsample.whole(logits), self._picture.missing(window)
        return Prediction(
            logits=logits.numpy(),
            scores=iou[order].cpu().numpy(),
            patches=patches if missing is None else patches & ~missing,
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


def _is_cut(result: Prediction, shape: tuple[int, int]) -> bool:
    """Tell whether the best mask runs out of its window, or the window shows so little that there is none."""
    best = result.patches[0]
    return not best.any() or touches_inner_edge(best, result.window, shape)

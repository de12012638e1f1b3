"""An image as a model looks at it: normalised once, encoded window by window, embeddings kept."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache, embedding_key
from napari_sam.inference.embedding_store import EmbeddingStore, pixel_signature
from napari_sam.inference.normalization import (
    Normalization,
    apply_normalization,
    as_image,
    missing_pixels,
    resolve_normalization,
)
from napari_sam.inference.preprocess import to_input
from napari_sam.inference.side_by_side import run_side_by_side, threads_for
from napari_sam.inference.windows import whole_window
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import ImageEmbedding, Sam
from napari_sam.types import Window

__all__ = ["Picture", "Progress", "batch_size", "encode_batch", "encode_pixels", "open_picture", "view_of"]

Progress = Callable[[int, int], None]
_HOOKS = threading.Lock()
_of_thread = threading.local()  # whom a thread that encodes reports to
CPU_BATCH_BYTES = 2**21  # of image tokens: what stays in the cache
GPU_BATCH = 128  # prompts
ENCODE_BATCH = {"cuda": 8}
_WRITING = threading.Lock()  # to a store
MAX_PIXELS = 2**28  # of a window: its mask has as many in float32


@dataclass(frozen=True)
class Picture:
    """An image, how it is looked at, the cache keys of the windows seen so far, and where embeddings lie on disk."""

    image: Any
    normalization: Normalization
    channels: tuple[int, ...] | None
    keys: dict[Window, str] = field(default_factory=dict)
    store: EmbeddingStore | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    def look(
        self, model: Sam, window: Window, cache: EmbeddingCache, progress: Progress | None = None
    ) -> FoldedDecoder:
        """Return a window ready for prompts: from the cache if its pixels were seen before, else from the encoder.

        Raises
        ------
        InputError
            If the window holds too many pixels.
        """
        return self.look_at_all(model, [window], cache, progress)[0]

    @torch.inference_mode()
    def look_at_all(
        self, model: Sam, windows: Sequence[Window], cache: EmbeddingCache, progress: Progress | None = None
    ) -> list[FoldedDecoder]:
        """Return several windows ready for prompts; those that are new are encoded together."""
        ready: dict[Window, FoldedDecoder] = {}
        new: dict[Window, npt.NDArray[np.uint8]] = {}
        for window in windows:
            decoder = cache.get(self.keys[window]) if window in self.keys else None
            if decoder is None:
                embedding, rgb = self.recall(window)
                decoder = cache.get(self._remember(window, rgb, model))
                if decoder is None and embedding is not None:
                    decoder = self._keep(model, window, embedding, cache)
            if decoder is not None:
                ready[window] = decoder
            elif rgb is not None:
                new[window] = rgb
        if _in_threads(model, len(new)):

            def take_in(window: Window) -> FoldedDecoder:
                (embedding,) = encode_pixels(model, {window: new[window]})
                return self._keep(model, window, self._kept(window, new[window], embedding), cache)

            ready |= zip(new, run_side_by_side(take_in, new, progress), strict=True)
        else:
            for window, embedding in zip(new, encode_pixels(model, new, progress), strict=True):
                ready[window] = self._keep(model, window, self._kept(window, new[window], embedding), cache)
        return [ready[window] for window in windows]

    def recall(self, window: Window) -> tuple[ImageEmbedding | None, npt.NDArray[np.uint8] | None]:
        """Return the stored embedding of a window, if there is one, or the pixels to encode."""
        store = self.store
        if store is not None and store.signature is not None:
            found = store.get(window, store.signature(window))
            if found is not None:
                return found, None
        rgb = self.pixels(window)
        if store is not None and store.signature is None:
            return store.get(window, pixel_signature(rgb)), rgb
        return None, rgb

    def put(self, window: Window, rgb: npt.NDArray[np.uint8], embedding: ImageEmbedding) -> None:
        """Put a window's embedding into the store.

        Raises
        ------
        InputError
            If the disk does not take it.
        """
        if self.store is not None:
            sign = self.store.signature
            self.store.put(window, pixel_signature(rgb) if sign is None else sign(window), embedding)

    def _kept(self, window: Window, rgb: npt.NDArray[np.uint8], embedding: ImageEmbedding) -> ImageEmbedding:
        """Put an embedding into the store, if it can be, and return it with the values that will be read back."""
        if self.store is None or self.store.lattice.find(window) is None:
            return embedding
        try:
            with _WRITING:
                self.put(window, rgb, embedding)
        except InputError as error:  # a full disk is no reason to refuse a mask
            warnings.warn(f"{error} What is computed now is not kept.", stacklevel=2)
            self.store.read_only = True
        return self.store.rounded(embedding)

    def _remember(self, window: Window, rgb: npt.NDArray[np.uint8] | None, model: Sam) -> str:
        """Return under which key the memory holds a window."""
        stored = "" if self.store is None else f"{self.store.identity.digest} "
        if rgb is not None:
            self.keys[window] = stored + embedding_key(rgb, window, model)
        else:  # its pixels need not be read
            assert self.store is not None  # noqa: S101
            assert self.store.signature is not None  # noqa: S101
            self.keys[window] = f"{stored}{window} {self.store.signature(window)}"
        return self.keys[window]

    def _keep(self, model: Sam, window: Window, embedding: ImageEmbedding, cache: EmbeddingCache) -> FoldedDecoder:
        tensors = [tensor.to(model.device) for tensor in (embedding.features, *embedding.skips)]
        decoder = FoldedDecoder(model, ImageEmbedding(tensors[0], tuple(tensors[1:])))
        cache.put(self.keys[window], decoder)
        return decoder

    def pixels(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return a window of the normalised picture, (h, w, 3) RGB.

        Raises
        ------
        InputError
            If it holds too many pixels, or some that cannot be used.
        """
        if window.height * window.width > MAX_PIXELS:
            raise InputError(
                f"The model would have to look at {window.height} x {window.width} pixels at once: give a smaller "
                "part of the image, or prompts that lie closer together for a model that looks through windows."
            )
        return apply_normalization(self.image[window.slices], self.normalization, self.channels)

    def missing(self, window: Window) -> npt.NDArray[np.bool_] | None:
        """Return where (h, w) a window has no values, which nobody labels; None if nowhere."""
        if np.dtype(self.image.dtype).kind != "f":  # nothing need be read
            return None
        return missing_pixels(self.image[window.slices], self.channels)


def batch_size(model: Sam) -> int:
    """Return how many prompts a model decodes best at once on its device."""
    if model.device.type != "cpu":
        return GPU_BATCH
    of_one = model.spec.grid**2 * model.spec.embed_dim * 4
    return min(64, max(1, CPU_BATCH_BYTES // of_one))


def encode_batch(model: Sam) -> int:
    """Return how many windows a model encodes best at once on its device."""
    threads = threads_for(model.device)
    if model.spec.windowed and threads > 1:  # small enough for one core each, which waits for the others once in two
        return 2 * threads
    return ENCODE_BATCH.get(model.device.type, 1)


def _in_threads(model: Sam, windows: int) -> bool:
    """Tell whether windows are encoded each by one core, rather than all by all of them."""
    return windows > 1 and model.spec.windowed and threads_for(model.device) > 1


@torch.inference_mode()
def encode_pixels(
    model: Sam, pixels: Mapping[Window, npt.NDArray[np.uint8]], progress: Progress | None = None
) -> list[ImageEmbedding]:
    """Encode windows together, given their (h, w, 3) RGB."""
    if not pixels:
        return []
    if _in_threads(model, len(pixels)):
        alone = [{window: rgb} for window, rgb in pixels.items()]
        return run_side_by_side(lambda one: encode_pixels(model, one)[0], alone, progress)
    inputs = [to_input(rgb, window, model.spec.preprocess) for window, rgb in pixels.items()]
    with _reporting(model, progress):
        together = model.encode(inputs)
    return [together.of_image(number) for number in range(len(inputs))]


def open_picture(
    image: Any, normalization: str | tuple[float, float] | Normalization, channels: tuple[int, ...] | None
) -> Picture:
    """Check an image and settle its normalisation.

    Raises
    ------
    InputError
        If the image or a setting cannot be used.
    """
    array = as_image(image)
    settled = resolve_normalization(array, normalization, channels)
    return Picture(array, settled, settled.channels if channels is None else channels)


def view_of(model: Sam, box: tuple[int, int, int, int]) -> Window:
    """Return the window through which a model sees a part (row0, col0, row1, col1) of an image all at once."""
    row, col, height, width = box[0], box[1], box[2] - box[0], box[3] - box[1]
    if model.spec.preprocess == "medsam":
        side = model.img_size
        return Window(row=row, col=col, height=height, width=width, input_height=side, input_width=side)
    whole = whole_window((height, width), model.img_size)
    return Window(
        row=row, col=col, height=height, width=width, input_height=whole.input_height, input_width=whole.input_width
    )


@contextmanager
def _reporting(model: Sam, progress: Progress | None) -> Iterator[None]:
    """Report each finished step of the encoder; what `progress` raises stops the encoder there."""
    if progress is None:
        yield
        return
    steps = model.encoder_steps()
    with _HOOKS:  # once for good: a hook that came or went while another thread encodes would end that thread's work
        if not getattr(steps[0], "reports", False):
            steps[0].reports = True  # type: ignore[assignment]
            for number, step in enumerate(steps, start=1):
                step.register_forward_hook(partial(_step_done, number, len(steps)))
    progress(0, len(steps))
    _of_thread.progress = progress
    try:
        yield
    finally:
        _of_thread.progress = None


def _step_done(done: int, total: int, *_: Any) -> None:
    progress: Progress | None = getattr(_of_thread, "progress", None)
    if progress is not None:
        progress(done, total)

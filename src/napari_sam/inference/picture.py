"""An image as a model looks at it: normalised once, encoded window by window, embeddings kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache, embedding_key
from napari_sam.inference.normalization import Normalization, apply_normalization, as_image, resolve_normalization
from napari_sam.inference.preprocess import to_input
from napari_sam.inference.windows import whole_window
from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.types import Window

__all__ = ["Picture", "Progress", "batch_size", "encode_batch", "open_picture", "view_of"]

Progress = Callable[[int, int], None]
CPU_BATCH_BYTES = 2**21  # of image tokens: what stays in the cache
GPU_BATCH = 128  # prompts
ENCODE_BATCH = {"cuda": 8}
MAX_PIXELS = 2**28  # of a window: its mask has as many in float32


@dataclass(frozen=True)
class Picture:
    """An image, how it is looked at, and the cache keys of the windows seen so far."""

    image: Any
    normalization: Normalization
    channels: tuple[int, ...] | None
    keys: dict[Window, str] = field(default_factory=dict)

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
        inputs: dict[Window, Tensor] = {}
        for window in windows:
            decoder = cache.get(self.keys[window]) if window in self.keys else None
            if decoder is None:
                rgb = self._pixels(window)
                self.keys[window] = embedding_key(rgb, window, model)
                decoder = cache.get(self.keys[window])
                if decoder is None:
                    inputs[window] = to_input(rgb, window, model.spec.preprocess)
            if decoder is not None:
                ready[window] = decoder
        if inputs:
            with _reporting(model, progress):
                embedding = model.encode(list(inputs.values()))
            for number, window in enumerate(inputs):
                ready[window] = FoldedDecoder(model, embedding.of_image(number))
                cache.put(self.keys[window], ready[window])
        return [ready[window] for window in windows]

    def _pixels(self, window: Window) -> npt.NDArray[np.uint8]:
        if window.height * window.width > MAX_PIXELS:
            raise InputError(
                f"The model would have to look at {window.height} x {window.width} pixels at once: give a smaller "
                "part of the image, or prompts that lie closer together for a model that looks through windows."
            )
        return apply_normalization(self.image[window.slices], self.normalization, self.channels)


def batch_size(model: Sam) -> int:
    """Return how many prompts a model decodes best at once on its device."""
    if model.device.type != "cpu":
        return GPU_BATCH
    of_one = model.spec.grid**2 * model.spec.embed_dim * 4
    return min(64, max(1, CPU_BATCH_BYTES // of_one))


def encode_batch(model: Sam) -> int:
    """Return how many windows a model encodes best at once on its device."""
    return ENCODE_BATCH.get(model.device.type, 1)


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
    return Picture(array, resolve_normalization(array, normalization, channels), channels)


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
    progress(0, len(steps))
    mine = threading.get_ident()  # other threads may encode with the same model

    def hook(done: int) -> Callable[..., None]:
        def report(*_: Any) -> None:
            if threading.get_ident() == mine:
                progress(done, len(steps))

        return report

    handles = [step.register_forward_hook(hook(i + 1)) for i, step in enumerate(steps)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

"""Embeddings that were computed before, ready for prompts, so that going back to a plane costs nothing."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from napari_sam.model.folded_decoder import FoldedDecoder
from napari_sam.model.sam import Sam
from napari_sam.types import Window

__all__ = ["EmbeddingCache", "embedding_key"]


def embedding_key(rgb: npt.NDArray[np.uint8], window: Window, model: Sam) -> str:
    """Hash what decides an embedding: the normalised pixels, the size they are resized to, the model."""
    how = f"{model.fingerprint} {model.precision} {model.device} {model.spec.preprocess}"
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{rgb.shape} {window.input_height} {window.input_width} {how}".encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


class EmbeddingCache:
    """Keep the embeddings used last, up to a number of bytes; safe to use from several threads."""

    def __init__(self, max_bytes: int = 512 * 2**20) -> None:
        self.max_bytes = max_bytes
        self._items: OrderedDict[str, FoldedDecoder] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> FoldedDecoder | None:
        """Return an embedding and count it as used, or None."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: str, decoder: FoldedDecoder) -> None:
        """Add an embedding and drop those not used for longest; the newest always stays."""
        with self._lock:
            old = self._items.pop(key, None)
            self._bytes += decoder.nbytes - (old.nbytes if old else 0)
            self._items[key] = decoder
            while self._bytes > self.max_bytes and len(self._items) > 1:
                _, dropped = self._items.popitem(last=False)
                self._bytes -= dropped.nbytes

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._items.clear()
            self._bytes = 0

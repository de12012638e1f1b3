"""A CLIP that knows colours and nothing else, so that the right answers are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import numpy as np
import torch

COLOURS = {"red": 0, "green": 1, "blue": 2}


class ColourClip:
    """Look like a `Clip`: an image's vector is its colours' shares, a text's the colour that it names."""

    name, precision, fingerprint = "colours", "float32", hashlib.md5(b"colours").hexdigest()
    width, image_size, logit_scale = 4, 16, 20.0
    device = torch.device("cpu")

    def __init__(self, vocabulary: Iterable[str] = (), size_cue: float = 0.0) -> None:
        self.vocabulary = frozenset(vocabulary)
        self.spec = SimpleNamespace(size_cue=size_cue)
        self.image_batches: list[int] = []
        self.sentences: list[str] = []

    def encode_images(self, crops: np.ndarray) -> np.ndarray:
        """Return (n, 4): the shares of red, green and blue, and of black where there is no colour."""
        self.image_batches.append(len(crops))
        shares = crops.reshape(len(crops), -1, 3).astype(np.float32).sum(axis=1)
        vectors = np.concatenate([shares, (shares.sum(axis=1, keepdims=True) == 0).astype(np.float32)], axis=1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, 4): one colour, or none."""
        self.sentences.extend(texts)
        vectors = np.zeros((len(texts), 4), np.float32)
        for row, text in enumerate(texts):
            vectors[row, [COLOURS[word] for word in COLOURS if word in text.lower()] or [3]] = 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def is_cut(self, text: str) -> bool:
        """Tell that 100 letters are too many."""
        return len(text) > 100


def discs(shape: tuple[int, int] = (120, 160)) -> tuple[np.ndarray, np.ndarray]:
    """Return a (H, W, 3) uint8 image of two red, one green and one blue disc on black, and its (H, W) labels."""
    image, labels = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.int32)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    places = ((30, 30, 12, "red"), (30, 100, 6, "red"), (85, 40, 15, "green"), (85, 120, 10, "blue"))
    for number, (row, col, radius, colour) in enumerate(places, start=1):
        inside = (rows - row) ** 2 + (cols - col) ** 2 <= radius**2
        image[inside, COLOURS[colour]] = 220
        labels[inside] = number
    return image, labels

"""What stored embeddings depend on; those of another image, model or normalisation are refused, not used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sam.errors import InputError
from napari_sam.inference.normalization import Normalization
from napari_sam.inference.store_codec import PRECISIONS
from napari_sam.model.sam import Sam

__all__ = ["StoreIdentity", "identity_of"]

FORMAT = 1
WORDS = {
    "source": "the image",
    "shape": "the image size",
    "channels": "the channels",
    "normalization": "the normalization",
    "weights": "the model weights",
    "computed": "the model precision",
    "preprocess": "the preprocessing",
    "img_size": "the window size",
    "step": "the lattice step",
    "precision": "the stored precision",
    "format": "the format version",
}


@dataclass(frozen=True, kw_only=True)
class StoreIdentity:
    """Say of what, and by what, embeddings were made.

    Parameters
    ----------
    source
        Names image, level and plane; "" where windows are told by their pixels alone.
    shape
        (H, W) of the plane.
    channels, normalization
        How its values became a picture.
    weights, computed, preprocess
        The model's fingerprint, the precision it computed in, and how it takes its input.
    img_size, step
        Of the lattice: pixels of the model's input, and of the way from one window to the next.
    precision
        On disk: float16, bfloat16 or float32.
    """

    source: str
    shape: tuple[int, int]
    channels: tuple[int, ...] | None
    normalization: Normalization
    weights: str
    computed: str
    preprocess: str
    img_size: int
    step: int
    precision: str
    format: int = FORMAT

    def record(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def digest(self) -> str:
        """Hash of everything, 16 hex digits."""
        text = json.dumps(self.record(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def check(self, record: Any, path: Path) -> None:
        """Check that a store's record is this identity's.

        Raises
        ------
        InputError
            Naming all that differs.
        """
        if not isinstance(record, dict):
            raise InputError(f"{path} holds no embeddings of this program: give a new folder.")
        mine = self.record()
        differing = [key for key in mine if record.get(key) != mine[key]]
        if differing:
            what = ", ".join(f"{WORDS[key]} (stored {record.get(key)!r}, now {mine[key]!r})" for key in differing)
            raise InputError(
                f"The embeddings in {path} are not of this image and model as they are now used; what differs: {what}: "
                "give another folder, or delete that one."
            )


def identity_of(
    model: Sam,
    shape: tuple[int, int],
    normalization: Normalization,
    channels: tuple[int, ...] | None,
    *,
    source: str = "",
    precision: str = "float16",
) -> StoreIdentity:
    """Describe embeddings that a model makes of a plane.

    Raises
    ------
    InputError
        If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"Unknown precision {precision!r} of stored embeddings: choose one of {', '.join(PRECISIONS)}."
        )
    return StoreIdentity(
        source=source,
        shape=shape,
        channels=channels,
        normalization=normalization,
        weights=model.fingerprint,
        computed=model.precision,
        preprocess=model.spec.preprocess,
        img_size=model.img_size,
        step=model.img_size // 2,
        precision=precision,
    )

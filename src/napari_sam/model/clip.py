"""A CLIP: images and texts into vectors of one space, where what belongs together points the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_sam.errors import CheckpointError, InputError
from napari_sam.model.checkpoint import read_state_dict
from napari_sam.model.clip_towers import (
    ClipSpec,
    Tokenizer,
    build_tokenizer,
    build_towers,
    encode_short,
    find_clip_spec,
    random_towers,
)
from napari_sam.model.load import choose_device
from napari_sam.model.precision import PRECISIONS
from napari_sam.model.registry import find_model
from napari_sam.model.sam import weights_state
from napari_sam.paths import local_path

__all__ = ["Clip", "build_clip", "load_clip", "save_clip"]

TEXTS_AT_ONCE = 256
LETTERS_PER_TOKEN = 64  # more than the longest token has


class Clip:
    """Hold the towers of a CLIP with its tokenizer, on one device in one precision.

    Parameters
    ----------
    towers
        open_clip's model.
    tokenizer
        n texts into (n, context) int64.
    spec
        What it was built from.
    name
        What it was asked for by.
    precision
        Of the towers' arithmetic: "float32", "bfloat16" or "float16".
    vocabulary
        Words that it was trained with; empty where that is not known, as for models trained on the web's texts.
    temperature
        By which the logits are divided so that the scores mean what they say, found on held-out images.
    """

    def __init__(
        self,
        towers: nn.Module,
        tokenizer: Tokenizer,
        spec: ClipSpec,
        *,
        name: str = "",
        precision: str = "float32",
        vocabulary: Iterable[str] = (),
        temperature: float = 1.0,
    ) -> None:
        self.towers: Any = towers
        self.spec = spec
        self.name = name or spec.architecture
        self.precision = precision
        self.vocabulary = frozenset(vocabulary)
        self.temperature = temperature
        self._tokenizer = tokenizer
        self._fingerprint: tuple[Any, str] | None = None  # and of which state of the weights

    @property
    def device(self) -> torch.device:
        """Where the towers are."""
        return next(self.towers.parameters()).device

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.spec.image_size

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self.spec.config["embed_dim"])

    @property
    def logit_scale(self) -> float:
        """By how much the cosine of an image and a text is multiplied to give a logit, temperature included."""
        return float(self.towers.logit_scale.detach().exp()) / self.temperature

    @property
    def fingerprint(self) -> str:
        """Hash of all weights (BLAKE2b, 32 hex digits); the same for the same weights on any device."""
        state = weights_state(self.towers)
        if self._fingerprint is None or self._fingerprint[0] != state:
            digest = hashlib.blake2b(self.spec.architecture.encode(), digest_size=16)
            for key, value in sorted(self.towers.state_dict().items()):
                digest.update(key.encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
            self._fingerprint = state, digest.hexdigest()
        return self._fingerprint[1]

    def preprocess(self, crops: npt.NDArray[np.uint8]) -> Tensor:
        """Turn (n, h, w, 3) uint8 into the image tower's (n, 3, size, size) float32, on the device."""
        x = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device).permute(0, 3, 1, 2).float() / 255
        size = (self.image_size, self.image_size)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.spec.mean, self.spec.std))
        return (x - mean) / std

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Turn n texts into (n, context) int64 tokens on the device; what does not fit is cut off at the end."""
        longest = self.spec.context * LETTERS_PER_TOKEN  # a tokenizer takes a word of 10,000 letters hard
        clean = [" ".join(text.encode(errors="replace").decode().split())[:longest] for text in texts]
        return self._tokenizer(clean).to(self.device)

    def is_cut(self, text: str) -> bool:
        """Tell whether a text fills the context, so that its end may not count."""
        return bool(self.tokenize([text])[0, -1] != 0)

    @torch.inference_mode()
    def encode_images(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the (n, d) float32 vectors, of length 1, of (n, h, w, 3) uint8 images, all encoded at once."""
        if not len(crops):
            return np.empty((0, self.width), np.float32)
        with self._autocast():
            return _unit(self.towers.encode_image(self.preprocess(crops)))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the (n, d) float32 vectors, of length 1, of texts."""
        vectors = [np.empty((0, self.width), np.float32)]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            with self._autocast():
                tokens = self.tokenize(texts[start : start + TEXTS_AT_ONCE])
                short = self.spec.tokenizer == "bundled"
                vectors.append(_unit(encode_short(self.towers, tokens) if short else self.towers.encode_text(tokens)))
        return np.concatenate(vectors)

    def _autocast(self) -> torch.autocast:
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)


def build_clip(seed: int = 0, *, architecture: str = "clip_bundled", vocabulary: Iterable[str] = ()) -> Clip:
    """Build a CLIP with random weights, of the bundled architecture unless told otherwise; on the CPU.

    Raises
    ------
    InputError
        If there is no such architecture.
    """
    spec = find_clip_spec(architecture)
    return Clip(random_towers(spec, seed).eval(), build_tokenizer(spec), spec, vocabulary=vocabulary)


def load_clip(
    name: str = "bundled",
    *,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Clip:
    """Load a CLIP, fetching its weights once if they are not there yet.

    Parameters
    ----------
    name
        A name of `napari-sam models list`; with `checkpoint` also an architecture of open_clip (ViT-L-14).
    checkpoint
        A weights file to use instead of the registered one.
    device
        "auto" (cuda, else mps, else cpu), or a device of PyTorch.
    precision
        "float32", "bfloat16", "float16", or "auto": half of that on CUDA, else float32.
    progress
        Called with bytes done and in all while downloading; may raise `OperationCancelled`.

    Raises
    ------
    InputError
        If name, file, device or precision is not usable.
    CheckpointError
        If the weights are damaged or of another architecture.
    DownloadError
        If the weights could not be fetched.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise InputError(f"Unknown precision {precision!r}: choose one of auto, {', '.join(PRECISIONS)}.")
    target = choose_device(device)
    spec, path = _locate(name, checkpoint, progress)
    state = read_state_dict(path)  # before the towers, which take a while to build
    towers = build_towers(spec)
    _load(towers, state, spec, str(path))
    vocabulary, temperature = _notes(path)
    if precision == "auto":
        half = "bfloat16" if target.type == "cuda" and torch.cuda.is_bf16_supported() else "float16"
        precision = half if target.type == "cuda" else "float32"
    return Clip(
        towers.to(target).eval(),
        build_tokenizer(spec),
        spec,
        name=name,
        precision=precision,
        vocabulary=vocabulary,
        temperature=temperature,
    )


def save_clip(clip: Clip, path: str | Path, *, vocabulary: Iterable[str] = (), temperature: float = 1.0) -> None:
    """Write a CLIP's weights in float16 as safetensors, with its vocabulary and temperature, which `load_clip` reads.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    state = {key: value.detach().cpu().half().contiguous() for key, value in clip.towers.state_dict().items()}
    notes = {
        "architecture": clip.spec.architecture,
        "vocabulary": json.dumps(sorted(set(vocabulary))),
        "temperature": str(float(temperature)),
    }
    save_file(state, path, metadata=notes)


def _locate(
    name: str, checkpoint: str | Path | None, progress: Callable[[int, int], None] | None
) -> tuple[ClipSpec, Path]:
    """Return the architecture and the weights file that a name, and a file perhaps, stand for."""
    try:
        row = find_model(name, "clip")
    except InputError:
        if checkpoint is None:
            raise
        return find_clip_spec(name), local_path(checkpoint)
    if checkpoint is not None:
        return find_clip_spec(row.architecture), local_path(checkpoint)
    from napari_sam.model.download import fetch_model

    return find_clip_spec(row.architecture), fetch_model(row, progress=progress)


def _load(towers: nn.Module, state: dict[str, Tensor], spec: ClipSpec, source: str) -> None:
    """Load weights strictly; half precision becomes float32."""
    wanted = towers.state_dict()
    state.pop("text.transformer.embeddings.position_ids", None)  # old files of Hugging Face text towers
    wrong = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    wrong += [key for key in state if key not in wanted]
    if wrong:
        raise CheckpointError(
            f"{source} does not fit the CLIP {spec.architecture}, which differs in {wrong[0]} and {len(wrong) - 1} "
            "more: give weights of that architecture, in open_clip's layout."
        )
    towers.load_state_dict({key: value.to(wanted[key].dtype) for key, value in state.items()})


def _notes(path: Path) -> tuple[list[str], float]:
    """Return the vocabulary and the temperature that `save_clip` wrote; none and 1 for other files."""
    if path.suffix != ".safetensors":
        return [], 1.0
    with safe_open(path, "pt") as file:
        notes = file.metadata() or {}
    try:
        return list(json.loads(notes.get("vocabulary", "[]"))), float(notes.get("temperature", 1))
    except ValueError as error:
        raise CheckpointError(f"The notes in {path} are damaged ({error}): fetch or install the file again.") from error


def _unit(vectors: Tensor) -> npt.NDArray[np.float32]:
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()

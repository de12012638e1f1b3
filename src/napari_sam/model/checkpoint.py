"""Reading weights files: safetensors, or pickles that hold nothing but tensors; every known key layout."""

from __future__ import annotations

import pickle
import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_sam.errors import CheckpointError, InputError
from napari_sam.model.sam import Sam
from napari_sam.paths import local_path

__all__ = ["guess_architecture", "load_weights", "read_state_dict"]

# Buffers that some files carry along; ours are made from the spec.
_IGNORED = ("pixel_mean", "pixel_std")
_LORA = ("qkv.qkv_proj", "mlp.mlp_layer", ".w_a_linear", ".w_b_linear", "lora_")
_VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_HEAD = 256
_TEXT_HEAD, _TEXT_DECODER = "text_head.", "text_decoder."
_PICKLED = (b"PK\x03\x04", b"\x80")  # how torch.save begins, today and before 1.6
# what the readers make of damaged files
_DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, BadZipFile, SafetensorError, struct.error, zlib.error),
)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a weights file into the authors' key layout, without running any code from it.

    Takes flat SAM files, MobileSAM's, and micro-sam's fine-tuned models (`model_state` with a `sam.` prefix; its
    instance decoder is left out).

    Raises
    ------
    InputError
        If there is no such file.
    CheckpointError
        If the file is damaged, holds more than tensors, or is of a layout that is not known.
    """
    path = local_path(path)
    if not path.is_file():
        raise InputError(f"There is no weights file {path}: give an existing .pth, .pt or .safetensors file.")
    return _flatten(_read(path), path)


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
        if head[8:9] == b"{" and not head.startswith(_PICKLED):  # safetensors: 8 bytes of length, then JSON
            return load_file(path)
        _check_head(path, head)
        with warnings.catch_warnings():  # torch wonders aloud about damaged files before it gives them up
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            raise CheckpointError(
                f"{path} holds Python objects besides weights and is not loaded, because that could run foreign code: "
                "save it again as a plain state dict or as safetensors."
            ) from error
        raise _damaged(path, error) from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def _check_head(path: Path, head: bytes) -> None:
    """Say what the file is if it cannot be a checkpoint of PyTorch."""
    if head.startswith(_PICKLED):
        return
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        what = "is empty"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml", b"<!--", b"<head")):
        what = "is a web page"  # a download that needed a login, or an address that is gone
    elif text.startswith(b"version https://git-lfs"):
        what = "is a Git LFS pointer"
    else:
        what = "begins like no checkpoint"
    raise CheckpointError(f"{path} {what}, not weights: fetch the .pth, .pt or .safetensors file itself.")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = f"{type(error).__name__}: {error}".split("\n")[0].split(". ")[0].rstrip(".: ")
    if isinstance(error, pickle.UnpicklingError):  # torch's own text advises to switch the protection off
        reason = "its list of contents is broken"
    reason = "".join(letter if letter.isprintable() else "?" for letter in reason)
    return CheckpointError(
        f"{path} cannot be read as weights ({reason}): fetch it again, or give a .pth, .pt or .safetensors file."
    )


def _flatten(loaded: Any, path: Path) -> dict[str, Tensor]:
    """Bring every known layout to flat keys."""
    for outer in ("model_state", "model", "state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(outer), Mapping):
            loaded = loaded[outer]
            break
    tensors = isinstance(loaded, Mapping) and all(isinstance(value, Tensor) for value in loaded.values())
    if not tensors or not loaded:
        raise CheckpointError(f"{path} holds no weights: give a state dict, alone or under `model_state`.")
    state = {str(key).removeprefix("module.").removeprefix("sam."): value for key, value in loaded.items()}
    if any(mark in key for key in state for mark in _LORA):
        raise CheckpointError(
            f"{path} holds low-rank (LoRA) layers of micro-sam: merge them into the plain weights there "
            "and give that file."
        )
    return {key: value for key, value in state.items() if key not in _IGNORED}


def guess_architecture(state: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture of a flat state dict by its keys and widths; None if it is none of ours."""
    if "image_encoder.stem.weight" in state:
        return "cells_drawing" if "mask_decoder.drawing.out.weight" in state else "cells"
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "vit_t"
    position = state.get("image_encoder.pos_embed")
    return None if position is None else _VIT_WIDTHS.get(int(position.shape[-1]))


def load_weights(model: Sam, state: Mapping[str, Tensor], source: str) -> None:
    """Load a flat state dict strictly; half precision becomes float32.

    A text head is an optional part: the model has one afterwards if the weights hold one.

    Parameters
    ----------
    model
        Of the architecture that the weights belong to.
    state
        As `read_state_dict` returns it.
    source
        Name of the file, for messages.

    Raises
    ------
    CheckpointError
        If keys are missing or unknown, or a shape differs.
    """
    _fit_text_head(model, state, source)
    wanted = model.state_dict()
    architecture = model.spec.architecture
    found = guess_architecture(state)
    if found is not None and found != architecture:
        raise CheckpointError(f"{source} holds weights of {found}, not of {architecture}: load it as {found}.")
    missing = [key for key in wanted if key not in state]
    unknown = [key for key in state if key not in wanted]
    shapes = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    for keys, problem in ((missing, "lacks"), (unknown, "has the unknown"), (shapes, "has other sizes for")):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise CheckpointError(
                f"{source} does not fit the architecture {architecture}, it {problem} {keys[0]}{more}: "
                "give weights of that architecture."
            )
    model.load_state_dict({key: state[key].to(wanted[key].dtype) for key in wanted})


def _fit_text_head(model: Sam, state: Mapping[str, Tensor], source: str) -> None:
    """Give the model the parts for texts that the weights have, and take others away."""
    model.drop_text_head()
    if not any(key.startswith(_TEXT_HEAD) for key in state):
        return
    mean = state.get(f"{_TEXT_HEAD}text_mean")
    if mean is None or mean.ndim != 1:
        raise CheckpointError(f"{source} has half a text head, without {_TEXT_HEAD}text_mean: fetch the file again.")
    model.add_text_head(len(mean), decoder=any(key.startswith(_TEXT_DECODER) for key in state))

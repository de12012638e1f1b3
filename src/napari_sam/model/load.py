"""`load_model`: a name in, a model with weights out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.model.checkpoint import load_weights, read_state_dict
from napari_sam.model.precision import PRECISIONS, best_precision
from napari_sam.model.registry import find_model
from napari_sam.model.sam import Sam
from napari_sam.paths import local_path

__all__ = ["choose_device", "load_model"]

logger = logging.getLogger(__name__)


def load_model(
    name: str = "cells",
    *,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Sam:
    """Load a model, fetching its weights once if they are not there yet.

    Parameters
    ----------
    name
        A name of `napari-sam models list`; with `checkpoint` also a bare architecture (vit_t).
    checkpoint
        A weights file to use instead of the registered one.
    device
        "auto" (cuda, else mps, else cpu), or a device of PyTorch.
    precision
        "float32" (the authors' results to 1e-4), "bfloat16", "float16", or "auto", the fastest that agrees with it.
    compiled
        Whether to compile the image encoder with `torch.compile`, for CUDA (on a CPU that gives up the ViT's
        cache-sized blocks): the first image takes a minute or more, which is logged; steps inside the encoder are not
        reported.
    progress
        Called with bytes done and in all while downloading; may raise `OperationCancelled`.

    Returns
    -------
    Sam
        In evaluation mode.

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
    if checkpoint is not None and name in SPECS:
        spec, path = SPECS[name], local_path(checkpoint)
    else:
        row = find_model(name)
        spec = replace(SPECS[row.architecture], preprocess=row.preprocess)
        if checkpoint is not None:
            path = local_path(checkpoint)
        else:
            from napari_sam.model.download import fetch_model

            path = fetch_model(row, progress=progress)
    state = read_state_dict(path)
    model = build_from_spec(spec)
    load_weights(model, state, str(path))
    model.name = name
    model.precision = best_precision(target, spec) if precision == "auto" else precision
    model = model.to(target).eval()
    if compiled:
        logger.warning("Compiling the image encoder of %s: the first image takes a minute or more.", name)
        model.image_encoder.compile()
    return model


def choose_device(device: str = "auto") -> torch.device:
    """Return the device of a name; "auto" prefers cuda, then mps, then cpu.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"Unknown device {device!r}: choose auto, cpu, cuda or mps.") from error
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(chosen.type, False):
        raise InputError(f"The device {device!r} is not available here: choose auto or cpu.")
    return chosen

"""`napari-sam train --mode text`: give a model a text head, so that texts can be its prompts."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

__all__ = ["run_text_head"]


def run_text_head(
    base: str,
    output: Path,
    data: Sequence[str],
    *,
    config: Path | None = None,
    clip: str = "bundled",
    device: str = "auto",
    overrides: dict[str, Any] | None = None,
    json: bool = False,
) -> None:
    """Train a text head for a model, and write both to `output / "model.safetensors"`.

    Parameters
    ----------
    base
        Name of the model, or a weights file of a known architecture.
    data
        Sources of labelled images, of which every fifth image is left for evaluation; none: synthetic scenes only.
    config
        Settings (TOML).
    clip
        Name of the CLIP that texts will be read with, or a weights file of the architecture of the bundled one.
    overrides
        Settings; None means not given.

    Raises
    ------
    InputError
        If an argument or an image does not do.
    """
    from rich.console import Console
    from rich.progress import track

    from napari_sam.config.text_head import load_text_head_config
    from napari_sam.config.text_training import TextTrainingConfig
    from napari_sam.data.caption_crops import training_images
    from napari_sam.model.checkpoint import guess_architecture, read_state_dict
    from napari_sam.model.clip import load_clip
    from napari_sam.model.load import load_model
    from napari_sam.training.text_head import train_text_head

    given = dict(overrides or {})
    if not data:
        given["synthetic"] = 1.0
    settings = load_text_head_config(config, given)
    images = training_images(data, TextTrainingConfig.hold_out) if data else []
    if Path(base).is_file():
        model = load_model(guess_architecture(read_state_dict(base)) or base, checkpoint=base, device=device)
    else:
        model = load_model(base, device=device)
    file = output / "model.safetensors"
    given_file = Path(clip) if Path(clip).is_file() else None
    reader = load_clip("bundled" if given_file else clip, checkpoint=given_file, device=device)
    steps = train_text_head(model, reader, images, settings, file)
    console, hidden = Console(stderr=True), not sys.stderr.isatty()
    shown = track(steps, "training the text head", total=settings.steps, console=console, disable=hidden)
    losses = [step.loss for step in shown]
    summary = {"model": str(file), "steps": settings.steps, "loss": losses[-1]}
    if json:
        typer.echo(json_.dumps(summary))
    else:
        typer.echo(f"The model with its text head is in {file} ({settings.steps} steps).")

"""`napari-sam pretrain`: pre-train an image encoder on images without labels, resumable at any time."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.training.mae import PretrainingProgress

__all__ = ["pretrain"]


def pretrain(
    config: Annotated[Path | None, typer.Argument(help="Settings (TOML).", show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("runs/pretrained"),
    data: Annotated[list[str] | None, typer.Option(help="Folder of pictures, or a picture; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help="Settings to start from: cells, paper, quick.")] = "cells",
    architecture: Annotated[str | None, typer.Option(help="vit_b, vit_l, vit_h, vit_t or cells.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Model or weights file to start from.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Crops a step.")] = None,
    mask_ratio: Annotated[float | None, typer.Option(help="Share of the patches that is hidden.")] = None,
    synthetic: Annotated[float | None, typer.Option(help="Fraction of synthetic crops.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, crops and hidden patches.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Pre-train an image encoder on images without labels: it learns to paint what is hidden of them."""
    from napari_sam.config.pretraining import load_pretraining_config
    from napari_sam.data.sample_store import SampleStore
    from napari_sam.data.unlabelled import load_unlabelled
    from napari_sam.model.load import choose_device
    from napari_sam.training.mae import pretrain as run

    overrides: dict[str, Any] = {
        "data": tuple(data) if data else None,
        "architecture": architecture,
        "start": start,
        "steps": steps,
        "batch": batch,
        "mask_ratio": mask_ratio,
        "synthetic": synthetic,
        "lr": lr,
        "seed": seed,
        "threads": threads,
    }
    settings = load_pretraining_config(config, overrides, preset)
    samples, weights = load_unlabelled(settings.data) if settings.data else (SampleStore([]), SampleStore([]).weights)
    progress = run(settings, samples, weights, output, resume=resume, device=str(choose_device(device)))
    last = _show(progress, settings.steps)
    summary: dict[str, Any] = {"model": str(output / "model.safetensors"), "steps": settings.steps}
    if last is not None:
        summary["loss"] = last.loss
    if json:
        typer.echo(json_.dumps(summary))
    else:
        typer.echo(f"The image encoder is in {summary['model']}: start from it with train --from {summary['model']}.")


def _show(progress: Iterator[PretrainingProgress], total: int) -> PretrainingProgress | None:
    """Run to the end with a bar where standard error is a terminal, and return the last step's report."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    last = None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("pre-training", total=total)
        for last in progress:
            bar.update(task, completed=last.step, description=f"loss {last.loss:.3f}")
    return last

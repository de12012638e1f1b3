"""`napari-sam train-text`: train the small CLIP that reads text prompts, resumable at any time."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["train_text"]


def train_text(
    config: Annotated[Path | None, typer.Argument(help="Settings (TOML).", show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("runs/text"),
    data: Annotated[list[str] | None, typer.Option(help="Folder with images/ and labels/; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help="Settings to start from: bundled, quick.")] = "bundled",
    scenes: Annotated[int | None, typer.Option(help="Synthetic scenes beside them.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Crops a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, crops and captions.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Train a CLIP on crops of labelled and of synthetic objects, with captions made from what is measured of them."""
    from napari_sam.config.text_training import load_text_training_config
    from napari_sam.data.caption_crops import CaptionCrops, make_crops
    from napari_sam.model.clip_towers import find_clip_spec
    from napari_sam.model.load import choose_device
    from napari_sam.training.text_loop import train_text as run

    overrides: dict[str, Any] = {
        "data": tuple(data) if data else None,
        "scenes": scenes,
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "seed": seed,
        "threads": threads,
    }
    settings = load_text_training_config(config, overrides, preset)
    spec = find_clip_spec(settings.architecture)
    target = str(choose_device(device))
    crops = output / "crops"
    last = None
    with _bar() as bar:
        cutting = bar.add_task("crops", total=None)
        for cut in make_crops(settings, crops, spec.image_size, spec.size_cue):
            bar.update(cutting, completed=cut.done, total=cut.total)
        task = bar.add_task("training", total=settings.steps)
        for last in run(settings, CaptionCrops.open(crops), output, resume=resume, device=target):
            bar.update(task, completed=last.step, description=f"loss {last.loss:.2f}  order {last.order:.2f}")
    summary: dict[str, Any] = {"model": str(output / "model.safetensors"), "steps": settings.steps}
    if last is not None:
        summary["loss"] = last.loss
    if json:
        typer.echo(json_.dumps(summary))
    else:
        typer.echo(f"The CLIP is in {summary['model']} ({settings.steps} steps).")


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())

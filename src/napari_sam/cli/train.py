"""`napari-sam train`: train a model from scratch, resumable at any time."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.training.loop import TrainingProgress

__all__ = ["train"]


def train(
    config: Annotated[Path | None, typer.Argument(help="Settings (TOML).", show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("runs/cells"),
    data: Annotated[list[str] | None, typer.Option(help="Folder, COCO or SA-1B JSON, OME-Zarr; repeatable.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="The same, held out: the best weights are kept.")] = None,
    held_out: Annotated[float | None, typer.Option(help="Share of the data to hold out instead.")] = None,
    held_out_by: Annotated[str, typer.Option(help="Hold out by image or by group.")] = "image",
    preset: Annotated[str, typer.Option(help="Settings to start from: cells, cells_drawing, paper, quick.")] = "cells",
    start: Annotated[str | None, typer.Option("--from", help="Model or weights file to start from.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="Fine-tune decoder, lora or all; or text.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the fine-tuned model in the list of models.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop fine-tuning after so many minutes.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    cooldown: Annotated[int | None, typer.Option(help="Last steps, over which the rate falls to zero.")] = None,
    batch: Annotated[int | None, typer.Option(help="Crops a step.")] = None,
    synthetic: Annotated[float | None, typer.Option(help="Fraction of synthetic crops.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, crops and prompts.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    clip: Annotated[str, typer.Option(help="CLIP that a text head reads texts with.")] = "bundled",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Train a model on images and labels and on synthetic images, or fine-tune one (--from NAME --mode decoder)."""
    if mode == "text":
        from napari_sam.cli.text_head import run_text_head

        changes = {"steps": steps, "batch": batch, "synthetic": synthetic, "lr": lr, "seed": seed, "threads": threads}
        run_text_head(
            start or "cells", output, data or [], config=config, clip=clip, device=device, overrides=changes, json=json
        )
        return
    if mode is not None:
        from napari_sam.cli.finetune import run_finetuning

        changes = {"steps": steps, "batch": batch, "lr": lr, "seed": seed, "minutes": minutes}
        run_finetuning(
            start or "cells",
            mode,
            [Path(folder) for folder in data or []],
            name=name,
            held_out=0.2 if held_out is None else held_out,
            held_out_by=held_out_by,
            test=Path(test[0]) if test else None,
            device=device,
            overrides=changes,
            json=json,
        )
        return
    from napari_sam.config.training import load_training_config
    from napari_sam.data.data_check import check_data
    from napari_sam.data.sample_store import SampleStore, load_samples
    from napari_sam.data.split import split_samples
    from napari_sam.model.load import choose_device
    from napari_sam.training.loop import train as run

    overrides: dict[str, Any] = {
        "data": tuple(data) if data else None,
        "start": start,
        "steps": steps,
        "cooldown": cooldown,
        "batch": batch,
        "synthetic": synthetic,
        "lr": lr,
        "seed": seed,
        "threads": threads,
    }
    settings = load_training_config(config, overrides, preset)
    for warning in check_data([*settings.data, *(test or [])]) if settings.data else []:
        typer.echo(f"Note: {warning}", err=True)
    samples, weights = load_samples(settings.data)
    held = load_samples(test)[0] if test else SampleStore([])
    if held_out and not test:
        samples, held = split_samples(samples, held_out, by=held_out_by, seed=settings.seed)
        weights = samples.weights
    target = str(choose_device(device))
    progress = run(settings, samples, weights, output, held_out=held, resume=resume, device=target)
    last = _show(progress, settings.steps)
    summary: dict[str, Any] = {"model": str(output / "model.safetensors"), "steps": settings.steps}
    if last is not None:
        summary["loss"] = last.result.loss
    if json:
        typer.echo(json_.dumps(summary))
    else:
        typer.echo(f"The model is in {summary['model']} ({settings.steps} steps).")


def _show(progress: Iterator[TrainingProgress], total: int) -> TrainingProgress | None:
    """Run to the end with a bar where standard error is a terminal, and return the last step's report."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    last = None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=total)
        for last in progress:
            what = f"loss {last.result.loss:.3f}  IoU {last.result.first_iou:.2f} -> {last.result.last_iou:.2f}"
            bar.update(task, completed=last.step, description=what)
    return last

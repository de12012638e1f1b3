"""`napari-sam evaluate`: how good a model is on annotated images."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["app"]

app = typer.Typer(help="Measure a model on annotated images.", no_args_is_help=True)

DatasetFolder = Annotated[Path, typer.Argument(help="Folder with images/ and labels/.")]
Model = Annotated[str, typer.Option(help="Name of the model.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many images, spread over the data set.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves the default.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the summary here (JSON).")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary on standard output.")]


@app.callback()
def _group() -> None:
    """Measure a model on annotated images."""


@app.command()
def point(
    dataset: DatasetFolder,
    model: Model = "cells",
    checkpoint: Checkpoint = None,
    limit: Limit = None,
    max_objects: Annotated[int | None, typer.Option(min=1, help="At most so many objects an image.")] = None,
    seed: Annotated[int, typer.Option(help="Of box noise and of the objects drawn.")] = 0,
    threads: Threads = 0,
    device: Device = "auto",
    output: Output = None,
    json: Json = False,
) -> None:
    """Click on every object and draw a box around it, and compare the masks with the labels."""
    from napari_sam.errors import InputError
    from napari_sam.evaluation.protocol import ObjectScore, evaluate_points
    from napari_sam.evaluation.report import report_table, summarise
    from napari_sam.inference.predictor import Predictor
    from napari_sam.io.dataset import read_dataset
    from napari_sam.model.load import load_model

    _check_output(output)
    data = read_dataset(dataset)
    _set_threads(threads)
    predictor = Predictor(load_model(model, checkpoint=checkpoint, device=device))
    events = evaluate_points(predictor, data, limit=limit, max_objects=max_objects, seed=seed)
    scores: list[ObjectScore] = []
    for _, _, found in _tracked(events, min(limit or len(data.items), len(data.items))):
        scores += found
    if not scores:
        raise InputError(f"There are no objects in the labels of {dataset}: labels above 0 are objects.")
    weights = predictor.model.fingerprint
    summary = {"dataset": str(dataset), "model": model, "weights": weights, "seed": seed, **summarise(scores)}
    _report(summary, report_table(summary), output, json)


@app.command()
def auto(
    dataset: DatasetFolder,
    model: Model = "cells",
    checkpoint: Checkpoint = None,
    preset: Annotated[str, typer.Option(help="natural, cells or tissue.")] = "cells",
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings, over those of the preset.")] = None,
    mode: Annotated[str | None, typer.Option(help="exact or fast.")] = None,
    limit: Limit = None,
    threads: Threads = 0,
    device: Device = "auto",
    output: Output = None,
    json: Json = False,
) -> None:
    """Segment everything in each image at once, and compare the objects with the labels."""
    import dataclasses

    from napari_sam.config.auto import load_auto_settings
    from napari_sam.evaluation.auto_protocol import auto_table, evaluate_auto, summarise_auto
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.io.dataset import read_dataset
    from napari_sam.model.load import load_model

    _check_output(output)
    chosen = load_auto_settings(preset, settings, {"mode": mode})
    data = read_dataset(dataset)
    _set_threads(threads)
    loaded = load_model(model, checkpoint=checkpoint, device=device)
    events = evaluate_auto(AutomaticMaskGenerator(loaded, chosen), data, limit=limit, settings=chosen)
    scores = [score for _, _, score in _tracked(events, min(limit or len(data.items), len(data.items)))]
    summary = {
        "dataset": str(dataset),
        "model": model,
        "weights": loaded.fingerprint,
        "settings": dataclasses.asdict(chosen),
        **summarise_auto(scores),
        "by_image": [dataclasses.asdict(score) for score in scores],
    }
    _report(summary, auto_table(summary), output, json)


def _check_output(output: Path | None) -> None:
    from napari_sam.errors import InputError

    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"There is no folder {output.absolute().parent} to write {output.name} to: make it first.")


def _set_threads(threads: int) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


def _tracked(events: Iterable[Any], total: int) -> Iterable[Any]:
    """Show progress on a terminal."""
    from rich.console import Console
    from rich.progress import track

    return track(events, "images", total=total, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _report(summary: dict[str, Any], table: Table, output: Path | None, json: bool) -> None:
    from rich.console import Console

    if output is not None:
        output.write_text(json_.dumps(summary, indent=1) + "\n")
    if json:
        typer.echo(json_.dumps(summary))
    else:
        wide = None if sys.stdout.isatty() else 120  # a file has no width to wrap at
        Console(width=wide).print(table)

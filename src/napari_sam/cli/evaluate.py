"""`napari-sam evaluate`: how good a model is on annotated images."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Measure a model on annotated images.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure a model on annotated images."""


@app.command()
def point(
    dataset: Annotated[Path, typer.Argument(help="Folder with images/ and labels/.")],
    model: Annotated[str, typer.Option(help="Name of the model.")] = "cells",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images, spread over the data set.")] = None,
    max_objects: Annotated[int | None, typer.Option(min=1, help="At most so many objects an image.")] = None,
    seed: Annotated[int, typer.Option(help="Of box noise and of the objects drawn.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves the default.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the summary here (JSON).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary on standard output.")] = False,
) -> None:
    """Click on every object and draw a box around it, and compare the masks with the labels."""
    from rich.console import Console
    from rich.progress import track

    from napari_sam.errors import InputError
    from napari_sam.evaluation.protocol import ObjectScore, evaluate_points
    from napari_sam.evaluation.report import report_table, summarise
    from napari_sam.inference.predictor import Predictor
    from napari_sam.io.dataset import read_dataset
    from napari_sam.model.load import load_model

    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"There is no folder {output.absolute().parent} to write {output.name} to: make it first.")
    data = read_dataset(dataset)
    if threads:
        import torch

        torch.set_num_threads(threads)
    predictor = Predictor(load_model(model, checkpoint=checkpoint, device=device))
    events = evaluate_points(predictor, data, limit=limit, max_objects=max_objects, seed=seed)
    total = min(limit or len(data.items), len(data.items))
    quiet = not sys.stderr.isatty()
    scores: list[ObjectScore] = []
    for _, _, found in track(events, "images", total=total, console=Console(stderr=True), disable=quiet):
        scores += found
    if not scores:
        raise InputError(f"There are no objects in the labels of {dataset}: labels above 0 are objects.")
    weights = predictor.model.fingerprint
    summary = {"dataset": str(dataset), "model": model, "weights": weights, "seed": seed, **summarise(scores)}
    if output is not None:
        output.write_text(json_.dumps(summary, indent=1) + "\n")
    if json:
        typer.echo(json_.dumps(summary))
    else:
        Console().print(report_table(summary))

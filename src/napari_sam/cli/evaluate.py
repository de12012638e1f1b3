"""`napari-sam evaluate`: how good a model is on annotated images."""

from __future__ import annotations

import dataclasses
import json as json_
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from napari_sam.evaluation.pictures import Gallery
    from napari_sam.evaluation.players import Player
    from napari_sam.evaluation.scores import ImageResult, Score
    from napari_sam.io.dataset import Dataset

__all__ = ["app"]

app = typer.Typer(help="Measure a model on annotated images.", no_args_is_help=True)

DatasetFolder = Annotated[Path, typer.Argument(help="Folder with images/ and labels/.")]
Model = Annotated[str, typer.Option(help="Name of the model.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")]
PromptBaseline = Annotated[
    list[str] | None, typer.Option(help="Compare with otsu, otsu_watershed, flood or slic; repeatable.")
]
AutoBaseline = Annotated[list[str] | None, typer.Option(help="Compare with otsu or otsu_watershed; repeatable.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many images, spread over the data set.")]
MaxObjects = Annotated[int | None, typer.Option(min=1, help="At most so many objects an image.")]
Seed = Annotated[int, typer.Option(help="Of box noise and of the objects drawn.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves the default.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Output = Annotated[
    list[Path] | None,
    typer.Option("--output", "-o", help="Report: .json (summary), .csv (records) or .html (page); repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary on standard output.")]


@app.callback()
def _group() -> None:
    """Measure a model on annotated images."""


@app.command()
def point(
    dataset: DatasetFolder,
    model: Model = "cells",
    checkpoint: Checkpoint = None,
    rounds: Annotated[int, typer.Option(min=1, help="Clicks on each object.")] = 8,
    baseline: PromptBaseline = None,
    limit: Limit = None,
    max_objects: MaxObjects = None,
    seed: Seed = 0,
    threads: Threads = 0,
    device: Device = "auto",
    output: Output = None,
    json: Json = False,
) -> None:
    """Click on every object, correct the mask click by click, and compare with the labels."""
    from napari_sam.evaluation.point_protocol import evaluate_points

    data, players, facts = _players(dataset, model, checkpoint, baseline, threads, device, output)
    events = evaluate_points(players, data, rounds=rounds, limit=limit, max_objects=max_objects, seed=seed)
    facts |= {"seed": seed, "clicks": rounds}
    _report(facts, *_run(events, data, limit), "one_click", output, json)


@app.command()
def boxes(
    dataset: DatasetFolder,
    model: Model = "cells",
    checkpoint: Checkpoint = None,
    baseline: PromptBaseline = None,
    limit: Limit = None,
    max_objects: MaxObjects = None,
    seed: Seed = 0,
    threads: Threads = 0,
    device: Device = "auto",
    output: Output = None,
    json: Json = False,
) -> None:
    """Draw a box, a little off, around every object, and compare the masks with the labels."""
    from napari_sam.evaluation.box_protocol import evaluate_boxes

    data, players, facts = _players(dataset, model, checkpoint, baseline, threads, device, output)
    events = evaluate_boxes(players, data, limit=limit, max_objects=max_objects, seed=seed)
    _report(facts | {"seed": seed}, *_run(events, data, limit), "box", output, json)


@app.command()
def auto(
    dataset: DatasetFolder,
    model: Model = "cells",
    checkpoint: Checkpoint = None,
    preset: Annotated[str, typer.Option(help="natural, cells or tissue.")] = "cells",
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings, over those of the preset.")] = None,
    mode: Annotated[str | None, typer.Option(help="exact or fast.")] = None,
    baseline: AutoBaseline = None,
    limit: Limit = None,
    threads: Threads = 0,
    device: Device = "auto",
    output: Output = None,
    json: Json = False,
) -> None:
    """Segment everything in each image at once, and compare the objects with the labels."""
    from napari_sam.config.auto import load_auto_settings
    from napari_sam.evaluation.auto_protocol import ModelSegmenter, Segmenter, evaluate_auto
    from napari_sam.evaluation.baselines import AUTO_BASELINES, BaselineSegmenter, check_baselines
    from napari_sam.evaluation.scores import MODEL
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.io.dataset import read_dataset
    from napari_sam.model.load import load_model

    _check_reports(output, [dataset], checkpoint)
    names = check_baselines(baseline or (), tuple(AUTO_BASELINES))
    chosen = load_auto_settings(preset, settings, {"mode": mode})
    data = read_dataset(dataset)
    _set_threads(threads)
    loaded = load_model(model, checkpoint=checkpoint, device=device)
    segmenters: list[Segmenter] = [ModelSegmenter(AutomaticMaskGenerator(loaded, chosen), chosen)]
    segmenters += [BaselineSegmenter(name) for name in names]
    scores, gallery = _run(evaluate_auto(segmenters, data, limit=limit), data, limit)
    facts = _facts(dataset, model, loaded.fingerprint) | {
        "settings": dataclasses.asdict(chosen),
        "by_image": [
            {"image": score.image, "group": score.group, **score.about, **score.values}
            for score in scores
            if score.method == MODEL
        ],
    }
    _report(facts, scores, gallery, "msa", output, json)


@app.command()
def text(
    datasets: Annotated[list[str], typer.Argument(help="Folders with images/ and labels/, taken together.")],
    clip: Annotated[str, typer.Option(help="Name of the CLIP.")] = "bundled",
    clip_checkpoint: Annotated[
        Path | None, typer.Option(help="Its weights file instead of the registered one.")
    ] = None,
    model: Model = "cells",
    checkpoint: Checkpoint = None,
    masks: Annotated[bool, typer.Option(help="Also segment by text, which takes longer.")] = True,
    scenes: Annotated[int, typer.Option(min=0, help="Synthetic scenes beside the images.")] = 0,
    hold_out: Annotated[int, typer.Option(min=0, help="Take only what train-text with hold_out leaves out.")] = 0,
    limit: Limit = None,
    seed: Seed = 0,
    threads: Threads = 0,
    device: Device = "auto",
    output: Output = None,
    json: Json = False,
) -> None:
    """Rank the objects of each image by words for what they are and look like, and segment by such words."""
    from napari_sam.evaluation.text_report import check_text_reports, report_text, run_text
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.inference.text_ranking import TextRanker
    from napari_sam.model.clip import load_clip
    from napari_sam.model.load import load_model

    _check_reports(output, datasets, checkpoint)
    check_text_reports(output or ())
    _set_threads(threads)
    ranker = TextRanker(load_clip(clip, checkpoint=clip_checkpoint, device=device))
    generator = None
    facts: dict[str, Any] = {"dataset": " ".join(datasets), "clip": clip, "clip_weights": ranker.clip.fingerprint}
    if masks:
        loaded = load_model(model, checkpoint=checkpoint, device=device)
        generator = AutomaticMaskGenerator(loaded)
        facts |= {"model": model, "weights": loaded.fingerprint, "text_weights": loaded.text_fingerprint}
    summary, scores = run_text(ranker, generator, datasets, scenes=scenes, hold_out=hold_out, limit=limit, seed=seed)
    summary = {**facts, "seed": seed, **summary}
    tables = report_text(output or (), summary, scores)
    if json:
        typer.echo(json_.dumps(summary))
        return
    _print(tables)


def _players(
    dataset: Path,
    model: str,
    checkpoint: Path | None,
    baseline: list[str] | None,
    threads: int,
    device: str,
    output: list[Path] | None,
) -> tuple[Dataset, list[Player], dict[str, Any]]:
    """Check what was asked for; return the data, the model and the baselines as players, and what reports list."""
    from napari_sam.evaluation.baselines import PROMPT_BASELINES, BaselinePlayer, check_baselines
    from napari_sam.evaluation.players import ModelPlayer
    from napari_sam.inference.predictor import Predictor
    from napari_sam.io.dataset import read_dataset
    from napari_sam.model.load import load_model

    _check_reports(output, [dataset], checkpoint)
    names = check_baselines(baseline or (), tuple(PROMPT_BASELINES))
    data = read_dataset(dataset)
    _set_threads(threads)
    loaded = load_model(model, checkpoint=checkpoint, device=device)
    players: list[Player] = [ModelPlayer(Predictor(loaded)), *(BaselinePlayer(name) for name in names)]
    return data, players, _facts(dataset, model, loaded.fingerprint)


def _check_reports(output: list[Path] | None, datasets: Sequence[str | Path], checkpoint: Path | None) -> None:
    from napari_sam.evaluation.report_files import check_report_files
    from napari_sam.io.output_place import keep_inputs

    check_report_files(output or ())
    read = [Path(dataset) / index for dataset in datasets for index in ("", "index.csv", "../index.csv")]
    for file in output or ():
        keep_inputs(file, [*read, *([checkpoint] if checkpoint else [])], "figures")


def _facts(dataset: Path, model: str, fingerprint: str) -> dict[str, Any]:
    return {"dataset": str(dataset), "model": model, "weights": fingerprint}


def _set_threads(threads: int) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


def _run(events: Iterator[ImageResult], data: Dataset, limit: int | None) -> tuple[list[Score], Gallery]:
    """Judge all images, with a bar where standard error is a terminal."""
    from rich.console import Console
    from rich.progress import track

    from napari_sam.errors import InputError
    from napari_sam.evaluation.pictures import Gallery

    scores: list[Score] = []
    gallery = Gallery()
    total = min(limit or len(data.items), len(data.items))
    console = Console(stderr=True)
    for result in track(events, "images", total=total, console=console, disable=not sys.stderr.isatty()):
        scores += result.scores
        gallery.add(result)
    if not scores:
        raise InputError(f"There are no objects in the labels of {data.path}: labels above 0 are objects.")
    return scores, gallery


def _report(
    facts: dict[str, Any],
    scores: list[Score],
    gallery: Gallery,
    ranked_by: str,
    output: list[Path] | None,
    json: bool,
) -> None:
    from napari_sam.evaluation.report import summarise
    from napari_sam.evaluation.report_files import write_reports
    from napari_sam.evaluation.tables import rich_tables

    summary = {**facts, **summarise(scores)}
    write_reports(output or (), summary, scores, gallery, ranked_by=ranked_by)
    if json:
        typer.echo(json_.dumps(summary))
        return
    _print(rich_tables(summary))


def _print(tables: Iterable[Table]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)  # a file or pipe need not fit a screen
    for table in tables:
        console.print(table)

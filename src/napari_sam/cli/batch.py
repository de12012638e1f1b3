"""`napari-sam batch`: images, volumes and plates of any size, in jobs that survive a kill."""

from __future__ import annotations

import json as json_
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam.cli.arguments import plain_warnings, setting_values, stretch
from napari_sam.cli.terminal_bar import terminal_bar
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.batch.progress import BatchProgress
    from napari_sam.config.batch import BatchSettings

__all__ = ["batch"]


def batch(
    image: Annotated[str, typer.Argument(help="OME-Zarr image or plate, Zarr array or TIFF: folder, .zip or URL.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="OME-Zarr to write to; the image itself where left out.")
    ] = None,
    label: Annotated[str, typer.Option(help="Name of the labels.")] = "cells",
    mode: Annotated[str, typer.Option(help="auto (everything), prompts, or text.")] = "auto",
    prompts: Annotated[
        str | None, typer.Option(help="Table (.csv, .geojson), or seeds: labels in the image, or another label image.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="What a seed stands for: its box, or one point.")] = "box",
    text: Annotated[
        list[str] | None, typer.Option(help='What to look for in mode text, as "round nuclei"; repeatable.')
    ] = None,
    clip: Annotated[str, typer.Option(help="Name of the CLIP that reads --text, and texts of --prompts.")] = "bundled",
    clip_checkpoint: Annotated[
        Path | None, typer.Option(help="Its weights file instead of the registered one.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Least score of what --text names, 0 to 1.")] = None,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "cells",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine; 0 for as many as fit.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, as tls://HOST:8786.")] = None,
    scheduler_security: Annotated[
        Path | None, typer.Option(help="YAML with the certificates by which that scheduler lets you in.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each worker; part of the result.")] = 1,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew: forget the job, replace its labels.")] = False,
    replace_edits: Annotated[
        bool, typer.Option("--replace-edits", help="Replace also labels that were edited by hand.")
    ] = False,
    tile: Annotated[int, typer.Option(help="Side of the tiles in pixels.")] = 2048,
    overlap: Annotated[int, typer.Option(help="Overlap of tiles; above the size of the largest object.")] = 192,
    link: Annotated[str, typer.Option(help="Axis along which objects become one: z or t.")] = "",
    link_threshold: Annotated[float, typer.Option(help="Overlap (IoU) that makes two objects one.")] = 0.5,
    link_gap: Annotated[int, typer.Option(help="Missing planes to link over.")] = 1,
    level: Annotated[int, typer.Option(help="Level of the pyramid, 0 the finest.")] = 0,
    pixel_size: Annotated[float, typer.Option(help="Take the level whose pixels are nearest to so large.")] = 0.0,
    channels: Annotated[str | None, typer.Option(help="Names or numbers, as DAPI or 0,2.")] = None,
    normalization: Annotated[str, typer.Option(help="auto, none, or LOW,HIGH.")] = "auto",
    preset: Annotated[str | None, typer.Option(help="natural, cells or tissue, for modes auto and text.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of a setting of auto.")] = None,
    retries: Annotated[int, typer.Option(help="How often to try again what failed.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    measure: Annotated[
        Path | None, typer.Option(help="Also measure the objects: a table, .csv or .parquet; see `measure`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Segment tile by tile; run the same command again to go on after a stop."""
    from napari_sam.batch.segment_zarr import segment_zarr
    from napari_sam.config.auto import AutoSettings, load_auto_settings
    from napari_sam.config.batch import BatchSettings
    from napari_sam.io.output_place import keep_inputs
    from napari_sam.io.table_files import check_table_output
    from napari_sam.pipeline.auto_segment import fitting_preset

    auto = load_auto_settings(preset or fitting_preset(model), None, setting_values(set_ or (), AutoSettings))
    settings = BatchSettings().changed(
        mode=mode,
        model=model,
        checkpoint=str(checkpoint.absolute()) if checkpoint else "",
        device=device,
        precision=precision,
        threads=threads,
        label=label,
        tile=tile,
        overlap=overlap,
        normalization=stretch(normalization),
        channels=tuple(part.strip() for part in channels.split(",")) if channels else (),
        level=level,
        pixel_size=pixel_size,
        link=link,
        link_threshold=link_threshold,
        link_gap=link_gap,
        prompts=prompts or "",
        seeds=seeds,
        text=tuple(text or ()),
        clip=clip,
        clip_checkpoint=str(clip_checkpoint.absolute()) if clip_checkpoint else "",
        retries=retries,
        auto=auto,
        ranking={} if threshold is None else {"threshold": threshold},
    )
    if measure is not None:
        check_table_output(measure)
        read = [image, output or image, prompts or image, checkpoint or image]
        keep_inputs(measure, read, "measurements")
    started = time.perf_counter()
    events = segment_zarr(
        image,
        output,
        workers=workers,
        scheduler=scheduler,
        scheduler_security=scheduler_security,
        restart=restart,
        replace_edits=replace_edits,
        settings=settings,
    )
    try:
        with plain_warnings():
            finished = list(_show(events))
    except KeyboardInterrupt:
        typer.echo("The same command goes on from here.", err=True)
        raise
    if measure is not None:
        with plain_warnings():
            _measure(finished, image, settings, measure)
    _report(finished, round(time.perf_counter() - started, 2), as_json=json)


def _measure(finished: list[BatchProgress], image: str, settings: BatchSettings, path: Path) -> None:
    """Write one table of all images that were segmented; of a plate it says which image a row is of."""
    import pandas as pd

    from napari_sam.io.large_image import open_large_image
    from napari_sam.io.table_files import write_table
    from napari_sam.pipeline.measure_files import measure_files

    tables = []
    with terminal_bar("Measuring") as bar:
        for event in finished:
            if event.output:
                location = f"{image.rstrip('/')}/{event.item}" if event.item else image
                size = settings.pixel_size
                level = open_large_image(location, pixel_size=size).level if size else settings.level
                step = bar.step(f"Measuring {event.item}".strip())
                table = measure_files(location, event.output, level=level, progress=step)
                if event.item:
                    table.insert(0, "image", event.item)
                tables.append(table)
    if tables:
        write_table(path, pd.concat(tables, ignore_index=True))


def _show(events: Iterator[BatchProgress]) -> Iterator[BatchProgress]:
    """Draw a bar where standard error is a terminal; yield the last event of each image."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

    from napari_sam.batch.progress import PHASES

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    told = ""
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("beginning", total=None, note="")
        shown = ("", "")
        for event in events:
            if event.dashboard and event.dashboard != told:
                told = event.dashboard
                typer.echo(f"Dask's dashboard: {told}", err=True)
            if (event.item, event.phase) != shown:
                shown = (event.item, event.phase)
                bar.reset(task, total=event.total)
            title = f"{event.item} {PHASES.get(event.phase, event.phase)}".strip()
            bar.update(task, description=title, completed=event.done + event.part, note=_note(event))
            if event.phase == "finished":
                yield event
            last = event
    if last.phase != "finished":  # the last image of a plate could not be segmented
        yield last


def _note(event: BatchProgress) -> str:
    """Say how fast it goes, how long it takes still, and what failed."""
    notes = []
    if event.rate and event.seconds_left:
        notes.append(f"{event.rate:.1f}/s" if event.rate >= 1 else f"{1 / event.rate:.1f} s each")
        notes.append(f"{timedelta(seconds=round(event.seconds_left))} left")
    if event.failed:
        notes.append(f"{len(event.failed)} failed")
    return ", ".join(notes)


def _report(finished: list[BatchProgress], seconds: float, *, as_json: bool) -> None:
    """Say what was done; leave with status 1 if units failed."""
    if not finished:
        raise InputError("Nothing was segmented: give an image or a plate with images.")
    failed = finished[-1].failed
    outputs = [event.output for event in finished if event.output]
    summary: dict[str, Any] = {
        "labels": outputs,
        "count": sum(event.objects for event in finished),
        "seconds": seconds,
        "failed": [{"name": unit.name, "reason": unit.reason} for unit in failed],
    }
    if as_json:
        typer.echo(json_.dumps(summary))
    elif outputs:
        count = summary["count"]
        more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
        typer.echo(f"Wrote {count} object{'' if count == 1 else 's'} to {outputs[0]}{more} ({seconds} s).")
    for unit in failed:
        typer.echo(f"Left out {unit.name}: {unit.reason}", err=True)
    if failed:
        raise typer.Exit(1)

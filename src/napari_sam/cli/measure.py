"""`napari-sam measure`: a table of the objects in a label image."""

from __future__ import annotations

import json as json_
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from napari_sam.cli.arguments import numbers, plain_warnings
from napari_sam.errors import InputError

__all__ = ["measure"]


def measure(
    image: Annotated[str, typer.Argument(help="The image that the labels belong to.")],
    labels: Annotated[str, typer.Argument(help="Label image, or the name of labels inside an OME-Zarr image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table: .csv or .parquet.")],
    volume: Annotated[bool, typer.Option("--volume", help="Objects in 3D; else planes of a stack one by one.")] = False,
    level: Annotated[int, typer.Option(help="Level of the image's pyramid that the labels belong to.")] = 0,
    channels: Annotated[str | None, typer.Option(help="Names or numbers, as DAPI or 0,2; all if left out.")] = None,
    pixel_size: Annotated[
        str | None, typer.Option(help="Micrometres, as 0.2 or (Z,)Y,X, instead of what the image says.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Measure size, shape, neighbours and the brightness of each channel, in pixels and micrometres."""
    from rich.console import Console
    from rich.progress import Progress

    from napari_sam.io.output_place import keep_inputs
    from napari_sam.io.table_files import check_table_output, write_table
    from napari_sam.pipeline.measure_files import measure_files

    check_table_output(output)
    keep_inputs(output, [image, labels], "measurements")
    sizes = numbers(pixel_size, float, "--pixel-size") if pixel_size else None
    if sizes is not None and len(sizes) == 1:
        sizes = sizes * (3 if volume else 2)
    names = [part.strip() for part in channels.split(",")] if channels else None
    if names is not None and not all(names):
        raise InputError(f"--channels is {channels!r}: give names or numbers with commas between them.")
    started = time.perf_counter()
    with plain_warnings(), Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("measuring", total=None)
        table = measure_files(
            image,
            labels,
            level=level,
            channels=names,
            pixel_size=sizes,
            volume=volume,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    write_table(output, table)
    seconds = round(time.perf_counter() - started, 2)
    summary = {"table": str(output), "objects": len(table), "columns": [*table.columns], "seconds": seconds}
    if json:
        typer.echo(json_.dumps(summary))
    else:
        typer.echo(f"Wrote {len(table)} row{'' if len(table) == 1 else 's'} to {output} ({seconds} s).")

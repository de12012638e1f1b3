"""`napari-sam models`: what there is, fetched, verified, imported."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="List, fetch, verify and import models.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List all models and where their weights are."""
    from rich.console import Console
    from rich.table import Table

    from napari_sam.model.registry import CLIP_MODELS, MODELS, user_models
    from napari_sam.model.weights_files import find_file

    rows = []
    for row in (*MODELS, *CLIP_MODELS, *user_models("")):
        found = find_file(row)
        file = found.path if found else None
        rows.append(
            {
                "name": row.name,
                "architecture": row.architecture,
                "state": found.state if found else "not downloaded",
                "bytes": row.size or (file.stat().st_size if file else 0),
                "licence": row.licence,
                "about": row.about,
                "file": str(file) if file else "",
            }
        )
    if json:
        typer.echo(json_.dumps(rows))
        return
    table = Table("name", "architecture", "state", "MB", "licence", "about", box=None)
    for entry in rows:
        size = f"{int(str(entry['bytes'])) / 1e6:.0f}" if entry["bytes"] else ""
        table.add_row(
            *(str(entry[key]) for key in ("name", "architecture", "state")),
            size,
            *(str(entry[key]) for key in ("licence", "about")),
        )
    Console().print(table)


@app.command()
def fetch(name: str, json: Json = False) -> None:
    """Download a model's weights, or go on with a download that broke off."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from napari_sam.model.download import fetch_model
    from napari_sam.model.registry import find_model

    row = find_model(name, "")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=row.size or None)
        file = fetch_model(row, progress=lambda done, total: bar.update(task, completed=done, total=total or None))
    typer.echo(json_.dumps({"name": name, "file": str(file)}) if json else f"The weights of {name} are in {file}.")


@app.command()
def verify(name: str, json: Json = False) -> None:
    """Check a model's weights against their hash; exit 1 if they are missing or damaged."""
    from napari_sam.model.registry import find_model
    from napari_sam.model.weights_files import find_file, verify_file

    row = find_model(name, "")
    found = find_file(row)
    file = found.path if found else None
    if found is not None and found.state == "bundled":
        from napari_sam.model.clip import load_clip
        from napari_sam.model.load import load_model

        # a bundled file has no published hash: it is right if it loads
        load_clip(name) if row.kind == "clip" else load_model(name)
        good = True
    else:
        good = file is not None and verify_file(file, row)
    what = "right" if good else "damaged" if file else "not there"
    if json:
        typer.echo(json_.dumps({"name": name, "file": str(file or ""), "state": what}))
    elif good:
        typer.echo(f"The weights of {name} in {file} are right.")
    else:
        where = f"in {file} " if file else ""
        typer.echo(
            f"The weights of {name} {where}are {what}: "
            f"{'remove the file and ' if file else ''}run `napari-sam models fetch {name}`.",
            err=True,
        )
    if not good:
        raise typer.Exit(1)


@app.command("import")
def import_(name: str, file: Path, json: Json = False) -> None:
    """Add a weights file: a registered model's by its hash, or a new one under a name of your own."""
    from napari_sam.model.weights_files import import_model

    row = import_model(name, file)
    summary = {"name": name, "architecture": row.architecture, "file": row.file}
    typer.echo(json_.dumps(summary) if json else f"Imported {file} as {name} ({row.architecture}).")

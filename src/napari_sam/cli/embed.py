"""`napari-sam embed`: encode a large image ahead of time, so that prompts on it wait for nothing."""

from __future__ import annotations

import json as json_
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam.cli.arguments import numbers, stretch
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.inference.picture import Picture
    from napari_sam.io.large_image import LargeImage
    from napari_sam.model.sam import Sam

__all__ = ["embed"]

Index = dict[str, int]


def embed(
    image: Annotated[str, typer.Argument(help="OME-Zarr, Zarr or TIFF: a path or an address.")],
    model: Annotated[str, typer.Option(help="Name of the model.")] = "cells",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; chosen by itself if left out.")] = None,
    level: Annotated[int | None, typer.Option(help="Level of the image's pyramid, 0 the finest.")] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Take the pyramid level nearest to it instead.")] = None,
    plane: Annotated[str | None, typer.Option(help="One plane, as z=3 or t=0,z=3; all if left out.")] = None,
    channels: Annotated[str | None, typer.Option(help="Channels by number or name, as 0 or DAPI,GFP.")] = None,
    normalization: Annotated[str, typer.Option(help="auto, none, or LOW,HIGH.")] = "auto",
    windows: Annotated[str | None, typer.Option(help="Levels of windows, as 0 or 0,1; all from 0 on.")] = None,
    all_levels: Annotated[bool, typer.Option("--all-levels", help="Also -1: small objects seen closer.")] = False,
    region: Annotated[str | None, typer.Option(help="R0,C0,R1,C1: only this part of the planes.")] = None,
    precision: Annotated[str, typer.Option(help="On disk: float16, bfloat16 or float32.")] = "float16",
    limit: Annotated[
        float, typer.Option(help="Gigabytes of all stores together, without -o; old ones make room.")
    ] = 50.0,
    part: Annotated[str, typer.Option(help="2/8: the second of eight processes that share the work.")] = "1/1",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Encode an image's windows into a store on disk; the same command goes on where an earlier one stopped."""
    from napari_sam.inference.embed_image import default_levels, embed_image
    from napari_sam.io.large_image import open_large_image
    from napari_sam.model.load import load_model

    share = _part(part)
    wanted = numbers(windows, int, "--windows") if windows else None
    if wanted is not None and all_levels:
        raise InputError("--windows and --all-levels are both given: leave one out.")
    box = _region(region)
    large = open_large_image(image, level=level, pixel_size=pixel_size)
    planes = large.planes() if plane is None else [_plane(plane, large)]
    if output is not None and len(planes) > 1:
        raise InputError(f"--output is one folder, but there are {len(planes)} planes: choose one with --plane.")
    chosen = large.channels(channels.split(",")) if channels else None
    loaded = load_model(model, checkpoint=checkpoint, device=device)
    started, encoded = time.perf_counter(), 0
    problems: list[str] = []
    pictures = _open(large, planes, chosen, normalization, loaded, output, precision, problems)
    stores: list[str] = []
    with _bar() as bar:
        task = bar.add_task("encoding", total=None)
        for number, (title, picture) in enumerate(pictures):
            assert picture.store is not None  # noqa: S101 - just opened
            levels = tuple(picture.store.lattice.scales) if all_levels else wanted
            if not stores:
                used = default_levels(picture.store.lattice) if levels is None else levels
                _make_room(loaded, picture, used, box, len(planes), limit, alone=output is not None)
            stores.append(str(picture.store.path))
            before = encoded
            for event in embed_image(loaded, picture, levels=levels, region=box, part=share):
                encoded = before + event.encoded
                problems += [f"{title}{text}" for text in event.failed]
                bar.update(task, total=event.total * len(planes), completed=number * event.total + event.done)
    if not stores:
        raise InputError(problems[0])
    seconds = round(time.perf_counter() - started, 2)
    summary = {"stores": stores, "encoded": encoded, "failed": problems, "seconds": seconds}
    _report(summary, as_json=json)


def _open(
    large: LargeImage,
    planes: list[Index],
    channels: tuple[int, ...] | None,
    normalization: str,
    model: Sam,
    output: Path | None,
    precision: str,
    problems: list[str],
) -> Iterator[tuple[str, Picture]]:
    """Open each plane and its store, one after another; planes that cannot be read are added to the problems."""
    import dataclasses

    from napari_sam.inference.embedding_folder import open_store
    from napari_sam.inference.picture import open_picture
    from napari_sam.types import Window

    for index in planes:

        def signature(window: Window, index: Index = index) -> str:
            box = window.row, window.col, window.row + window.height, window.col + window.width
            return large.signature(box, index)

        title = "".join(f"{axis}={number}: " for axis, number in index.items())
        try:
            picture = open_picture(large.plane(index), stretch(normalization), channels)
        except InputError as error:
            problems.append(f"{title}{error}")
            continue
        source = plane_source(large, index)
        store = open_store(model, picture, path=output, source=source, precision=precision, signature=signature)
        yield title, dataclasses.replace(picture, store=store)


def plane_source(large: LargeImage, index: Index) -> str:
    """Return the name under which a store knows a plane of an image."""
    where = "".join(f",{axis}={number}" for axis, number in sorted(index.items()))
    return f"{large.location}#level={large.level}{where}"


def _make_room(
    model: Sam,
    picture: Picture,
    levels: tuple[int, ...],
    region: tuple[int, int, int, int] | None,
    planes: int,
    limit: float,
    *,
    alone: bool,
) -> None:
    """Remove stores that were not used for longest; beside a store that lies where the user said, none.

    Raises
    ------
    InputError
        If what is to be made is larger than the limit, whatever is removed.
    """
    from napari_sam.inference.embed_image import list_blocks, store_bytes
    from napari_sam.inference.embedding_folder import evict
    from napari_sam.inference.store_codec import width_of

    store = picture.store
    assert store is not None  # noqa: S101 - the caller has opened it
    count = planes * sum(map(len, list_blocks(store.lattice, levels, region)))
    size = store_bytes(model, count, width_of(store.identity.precision))
    most = int(limit * 1e9)
    if size > most:
        raise InputError(
            f"The embeddings of {count} windows take up to {size / 1e9:.1f} GB, more than the limit of {limit:g} GB: "
            "give a --region, a coarser --level, or a higher --limit."
        )
    if not alone:
        evict(store.path.parent, most - size, spare=[store.path])


def _plane(text: str, large: LargeImage) -> Index:
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {axis.strip(): int(number) for axis, number in pairs}
    except ValueError:
        axes = ",".join(f"{axis}=0" for axis in large.stacked) or "nothing, as it has one plane"
        raise InputError(f"--plane is {text!r}: for this image, give something like {axes}.") from None


def _region(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    values = numbers(text, int, "--region")
    if len(values) != 4 or values[0] >= values[2] or values[1] >= values[3]:
        raise InputError(f"--region is {text!r}: give R0,C0,R1,C1, rows and columns from first to beyond the last.")
    return values[0], values[1], values[2], values[3]


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InputError(f"--part is {text!r}: give NUMBER/COUNT, from 1/COUNT to COUNT/COUNT.")
    return int(number) - 1, int(count)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _report(summary: dict[str, Any], *, as_json: bool) -> None:
    """Say what was done; leave with status 1 if windows failed."""
    if as_json:
        typer.echo(json_.dumps(summary))
    else:
        where = summary["stores"][0] if len(summary["stores"]) == 1 else f"{len(summary['stores'])} stores"
        count = summary["encoded"]
        typer.echo(f"Encoded {count} window{'' if count == 1 else 's'} into {where} ({summary['seconds']} s).")
    for problem in summary["failed"]:
        typer.echo(f"Left out: {problem}", err=True)
    if summary["failed"]:
        raise typer.Exit(1)

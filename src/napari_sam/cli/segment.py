"""`napari-sam segment`: prompts in, a label image out."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam.cli.arguments import IMAGE, LABELS, numbers, plain_warnings, stretch
from napari_sam.cli.segment_text import one_text, report_text, text_objects, text_settings
from napari_sam.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_sam.inference.normalization import Normalization
    from napari_sam.io.label_place import Place
    from napari_sam.model.sam import Sam
    from napari_sam.pipeline.segment import ObjectResult
    from napari_sam.types import Prompts

__all__ = ["segment"]


def segment(
    image: Annotated[Path, typer.Argument(help=IMAGE)],
    output: Annotated[Path, typer.Option("--output", "-o", help=LABELS)],
    point: Annotated[list[str] | None, typer.Option(help="ROW,COL inside the object; repeatable.")] = None,
    negative: Annotated[list[str] | None, typer.Option(help="ROW,COL outside the object; repeatable.")] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="R0,C0,R1,C1; several without points are one object each.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Rough mask of the object, an image of the same size.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Table of prompts, .csv or .geojson.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Journal of the dock, to be repeated.")] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help='All that these words name, as "bright round nuclei"; repeatable. One beside points, a box or a mask '
            "says what that object is, to a model with a text head."
        ),
    ] = None,
    route: Annotated[
        str,
        typer.Option(
            help="Of --text alone: rank (the CLIP chooses among all masks) or prompt (the text prompts the model)."
        ),
    ] = "rank",
    clip: Annotated[str, typer.Option(help="Name of the CLIP that reads texts.")] = "bundled",
    threshold: Annotated[float | None, typer.Option(help="Of --text alone: least score, 0 to 1.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Of --text alone: at most so many objects for each.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Of --text alone: NAME=VALUE of a setting.")] = None,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "cells",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")] = None,
    normalization: Annotated[str, typer.Option(help="auto, none, or LOW,HIGH.")] = "auto",
    channels: Annotated[str | None, typer.Option(help="Channels, as 0 or 0,2,1.")] = None,
    plane: Annotated[str | None, typer.Option(help="Plane of a stack, as 3 or 0,12.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let later objects take pixels of earlier.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Segment the objects that points, boxes, a mask, a table, a journal or words point at."""
    from napari_sam.inference.brightness import stack_normalization
    from napari_sam.io.images import check_output
    from napari_sam.io.label_numbers import check_label_ids
    from napari_sam.io.output_place import keep_inputs
    from napari_sam.io.stacks import open_stack
    from napari_sam.model.load import load_model

    by_hand = bool(point or negative or box or mask)
    if sum((by_hand or bool(text), prompts is not None, replay is not None)) != 1:
        raise InputError(
            "Say what to segment in one way: with --point, --negative, --box, --mask and --text, or --prompts, or "
            "--replay."
        )
    of_words = {"--threshold": threshold, "--top-k": top_k, "--set": set_ or None}
    words = one_text(text or (), of_words) if by_hand else ""
    check_output(output)
    keep_inputs(output, [*filter(None, (image, mask, prompts, replay, checkpoint))])
    where = numbers(plane, int, "--plane") if plane else None
    picked = numbers(channels, int, "--channels") if channels else None
    if text and not by_hand:
        chosen = text_settings(set_ or (), threshold=threshold, top_k=top_k)
        loads = {"model": model, "checkpoint": checkpoint, "clip": clip, "device": device}
        how = {"normalization": stretch(normalization), "channels": picked, "route": route}
        stack = open_stack(image, where, one=True)
        with plain_warnings():
            found = text_objects(stack, text, chosen, loads, how)
        report_text(found, output, stack.place, as_json=json)
        return
    if replay is not None:
        labels = _replay(replay, image, where, model, checkpoint, device)
        results: list[ObjectResult] = []
        place, odd = open_stack(image).place, ""
    else:
        stack = open_stack(image, where, one=True)
        pixels, place = stack.read(stack.planes[0]), stack.place
        shape = int(pixels.shape[0]), int(pixels.shape[1])
        what, odd = _from_options(point, negative, box, mask, words), ""
        if prompts:
            what, odd = _from_table(prompts, image, shape, where)
            check_label_ids(output, what)
        loaded = load_model(model, checkpoint=checkpoint, device=device)
        with plain_warnings():
            settled = stack_normalization(stack.lazy_planes(), stretch(normalization), picked)
            labels, results = _segment(loaded, clip, pixels, what, settled, picked, overwrite)
    _report(labels, results, odd, output, place, as_json=json)


def _segment(
    model: Sam,
    clip: str,
    pixels: npt.NDArray[Any],
    what: dict[int, Prompts],
    normalization: Normalization,
    channels: tuple[int, ...] | None,
    overwrite: bool,
) -> tuple[npt.NDArray[np.int32], list[ObjectResult]]:
    from napari_sam.inference.predictor import Predictor
    from napari_sam.inference.text_prompts import TextTokens
    from napari_sam.pipeline.segment import segment_each

    texts = any(prompts.text for prompts in what.values())
    # that the CLIP fits the model is found out before the image is looked at
    predictor = Predictor(model, clip=TextTokens(model, clip).clip if texts else clip)
    predictor.set_image(pixels, normalization=normalization, channels=channels)
    return segment_each(predictor, what, overwrite=overwrite)


def _report(
    labels: npt.NDArray[np.int32],
    results: list[ObjectResult],
    odd: str,
    output: Path,
    place: Place,
    *,
    as_json: bool,
) -> None:
    """Write the labels, say what was done, and leave with status 1 if some objects or entries failed, 2 if all did."""
    from dataclasses import asdict

    from napari_sam.io.images import write_labels

    failed = [result for result in results if result.problem]
    if failed and len(failed) == len(results):
        raise InputError(failed[0].problem)
    write_labels(output, labels, place)
    count = len({*labels.ravel().tolist()} - {0})
    if as_json:
        objects = [asdict(result) for result in results]
        typer.echo(json_.dumps({"labels": str(output), "count": count, "objects": objects}))
    else:
        typer.echo(f"Wrote {count} object{'' if count == 1 else 's'} to {output}.")
    for result in failed:
        typer.echo(f"Object {result.label} was left out: {result.problem}", err=True)
    if odd:
        typer.echo(odd, err=True)
    if failed or odd:
        raise typer.Exit(1)


def _replay(
    journal: Path, image: Path, plane: tuple[int, ...] | None, model: str, checkpoint: Path | None, device: str
) -> npt.NDArray[np.int32]:
    from napari_sam.io.images import read_image
    from napari_sam.io.journal import read_journal
    from napari_sam.model.load import load_model
    from napari_sam.pipeline.replay import Replay, choose_image, journal_planes

    events = read_journal(journal)
    planes = journal_planes(events)
    fitting = planes if plane is None else [known for known in planes if known == plane]
    if len(fitting) != 1:
        known = ", ".join(sorted(",".join(map(str, known)) or "-" for known in planes))
        raise InputError(
            f"The journal {journal} holds labels of {len(fitting)} planes that fit (planes {known or 'none'}): "
            "pick one with --plane."
        )
    pixels = read_image(image, fitting[0] or None)
    chosen = choose_image(events, fitting[0], pixels)
    return Replay(load_model(model, checkpoint=checkpoint, device=device), events, chosen).run(pixels)


def _from_options(
    point: list[str] | None, negative: list[str] | None, box: list[str] | None, mask: Path | None, text: str
) -> dict[int, Prompts]:
    """Make one object of all options, or one of each box if there are only boxes; the text holds for each."""
    from napari_sam.io.label_numbers import read_mask
    from napari_sam.types import Prompts

    positives = [_pair(text, "--point") for text in point or ()]
    negatives = [_pair(text, "--negative") for text in negative or ()]
    boxes = [_corners(text) for text in box or ()]
    alone = not positives and not negatives and mask is None
    if len(boxes) > 1 and not alone:
        raise InputError(f"{len(boxes)} boxes together with points or a mask: give one box, or a table with --prompts.")
    if alone:
        return {number: Prompts(box=corners, text=text) for number, corners in enumerate(boxes, start=1)}
    prompts = Prompts(
        points=(*positives, *negatives),
        labels=(1,) * len(positives) + (0,) * len(negatives),
        box=boxes[0] if boxes else None,
        mask=read_mask(mask) if mask is not None else None,
        text=text,
    )
    return {1: prompts}


def _from_table(
    file: Path, image: Path, shape: tuple[int, int], plane: tuple[int, ...] | None
) -> tuple[dict[int, Prompts], str]:
    """Read a table; of a stack's table only the rows of the plane. Also return what was left out, in a sentence."""
    from napari_sam.io.mask_entries import left_out
    from napari_sam.io.prompt_table import group_prompts, on_plane, read_prompt_table

    table = read_prompt_table(file, shape)
    rows = table.rows
    if plane is not None:
        times, slices = zip(*(row.plane for row in rows), strict=True)
        by_time = any(t is not None for t in times) and all(z is None for z in slices)
        index = dict(zip(_axes(image, len(plane), by_time=by_time), plane, strict=True))
        rows = [row for row in rows if on_plane(row, index)]
        if not rows:
            where = ", ".join(f"{axis}={number}" for axis, number in index.items())
            raise InputError(f"{file} has no prompts on the plane {where}: check its columns t and z.")
    return group_prompts(rows, shape), left_out(table.problems, file)


def _axes(image: Path, count: int, *, by_time: bool) -> tuple[str, ...]:
    """Name the leading axes of a stack as the file does; where it does not, the last ones are t and z.

    A single axis without a name is what the table speaks of: t, if it has nothing but t.
    """
    from napari_sam.io.large_image import open_large_image

    try:
        known = open_large_image(str(image))
        if known.version and len(known.stacked) == count:
            return known.stacked
    except InputError:  # a kind of file that names no axes
        pass
    if count == 1:
        return ("t",) if by_time else ("z",)
    return (*(f"axis {number}" for number in range(count - 2)), "t", "z")


def _pair(text: str, option: str) -> tuple[float, float]:
    values = numbers(text, float, option)
    if len(values) != 2:
        raise InputError(f"{option} is {text!r}: give ROW,COL.")
    return values[0], values[1]


def _corners(text: str) -> tuple[float, float, float, float]:
    values = numbers(text, float, "--box")
    if len(values) != 4:
        raise InputError(f"--box is {text!r}: give R0,C0,R1,C1.")
    return values[0], values[1], values[2], values[3]

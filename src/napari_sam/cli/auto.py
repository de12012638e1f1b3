"""`napari-sam auto`: everything in an image at once."""

from __future__ import annotations

import dataclasses
import json as json_
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam.cli.arguments import IMAGE, LABELS, numbers, plain_warnings, setting_values, stretch
from napari_sam.cli.terminal_bar import terminal_bar
from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.config.auto_words import setting_help
from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.io.stacks import ImageStack
    from napari_sam.pipeline.auto_segment import AutoResult

__all__ = ["auto"]

Plane = tuple[int, ...]


def auto(
    image: Annotated[Path, typer.Argument(help=IMAGE)],
    output: Annotated[Path, typer.Option("--output", "-o", help=LABELS)],
    model: Annotated[str, typer.Option(help="Name of the model.")] = "cells",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file instead of the registered one.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="natural, cells or tissue; cells for the bundled model, else natural.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings, over those of the preset.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of any setting; repeatable.")] = None,
    mode: Annotated[str | None, typer.Option(help=setting_help("mode"))] = None,
    object_size: Annotated[str | None, typer.Option(help=setting_help("object_size"))] = None,
    points_per_side: Annotated[int | None, typer.Option(help=setting_help("points_per_side"))] = None,
    pred_iou_thresh: Annotated[float | None, typer.Option(help=setting_help("pred_iou_thresh"))] = None,
    stability_score_thresh: Annotated[float | None, typer.Option(help=setting_help("stability_score_thresh"))] = None,
    min_area: Annotated[int | None, typer.Option(help=setting_help("min_area"))] = None,
    max_area: Annotated[int | None, typer.Option(help=setting_help("max_area"))] = None,
    overlap: Annotated[str | None, typer.Option(help=setting_help("overlap"))] = None,
    nesting: Annotated[str | None, typer.Option(help=setting_help("nesting"))] = None,
    condition: Annotated[
        list[str] | None, typer.Option(help='What objects must fulfil, as "eccentricity<0.9"; repeatable.')
    ] = None,
    region: Annotated[str | None, typer.Option(help="R0,C0,R1,C1: only this part of the image.")] = None,
    plane: Annotated[str | None, typer.Option(help="Plane of a stack, as 3 or 0,12, or all.")] = None,
    normalization: Annotated[str, typer.Option(help="auto, none, or LOW,HIGH.")] = "auto",
    channels: Annotated[str | None, typer.Option(help="Channels, as 0 or 0,2,1.")] = None,
    export: Annotated[
        list[Path] | None, typer.Option(help="Objects as .json (COCO), .geojson, .zip (ImageJ) or .csv; repeatable.")
    ] = None,
    export_coco: Annotated[Path | None, typer.Option(help="Objects as COCO, a .json file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print a summary on standard output.")] = False,
) -> None:
    """Segment everything in an image; nothing is written before all is done."""
    from napari_sam.inference.mask_generator import AutomaticMaskGenerator
    from napari_sam.io.images import check_output
    from napari_sam.io.output_place import keep_inputs
    from napari_sam.io.stacks import open_stack
    from napari_sam.model.load import load_model
    from napari_sam.pipeline.auto_segment import fitting_preset
    from napari_sam.pipeline.whole_image import settle_image

    exports = [*(export or ()), *((export_coco,) if export_coco else ())]
    _check_exports(exports, export_coco)
    read = [image, *filter(None, (settings, checkpoint))]
    keep_inputs(output, read)
    for file in exports:
        keep_inputs(file, read, "objects")
    given = {
        "mode": mode,
        "object_size": _size(object_size),
        "points_per_side": points_per_side,
        "pred_iou_thresh": pred_iou_thresh,
        "stability_score_thresh": stability_score_thresh,
        "min_area": min_area,
        "max_area": max_area,
        "overlap": overlap,
        "nesting": nesting,
        "conditions": tuple(condition) if condition else None,
    }
    overrides = _merge(setting_values(set_ or (), AutoSettings), given)
    chosen = load_auto_settings(preset or fitting_preset(model), settings, overrides)
    how: dict[str, Any] = {
        "region": _region(region),
        "channels": numbers(channels, int, "--channels") if channels else None,
        "measure": bool(exports),
    }
    brightness = stretch(normalization)
    if plane == "all":
        stack = open_stack(image)
        together = bool(stack.leading)
    else:
        stack, together = open_stack(image, numbers(plane, int, "--plane") if plane else None, one=True), False
    check_output(output, stack=together)
    started = time.perf_counter()
    loaded = load_model(model, checkpoint=checkpoint, device=device)
    with plain_warnings():
        settled = settle_image(lambda: loaded, chosen, stack.lazy_planes(), brightness, how["channels"])
        generator = AutomaticMaskGenerator(loaded, settled.settings)
        how["normalization"] = settled.normalization
        results, problems = _segment(generator, stack, how, together=together)
    written = _write(output, exports, stack, results)
    summary = {
        "labels": str(output),
        "exports": [str(file) for file in written],
        "count": sum(len(result.records) for result in results.values()),
        "seconds": round(time.perf_counter() - started, 2),
        "settings": dataclasses.asdict(chosen),
        "objects": [entry for plane, result in results.items() for entry in _objects(plane, result)],
    }
    _report(summary, problems, as_json=json)


def _merge(by_name: dict[str, Any], by_option: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in by_option.items() if value is not None}
    twice = sorted(by_name.keys() & given.keys())
    if twice:
        raise InputError(f"The setting {twice[0]} is given twice, with --set and by its own option: leave one out.")
    return by_name | given


def _size(text: str | None) -> float | str | None:
    """Read a number where it is one; other words are for the settings to know or refuse."""
    return None if text is None else setting_values([f"object_size={text}"], AutoSettings)["object_size"]


def _region(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    values = numbers(text, int, "--region")
    if len(values) != 4:
        raise InputError(f"--region is {text!r}: give R0,C0,R1,C1.")
    return values[0], values[1], values[2], values[3]


def _check_exports(exports: list[Path], coco: Path | None) -> None:
    from napari_sam.io.mask_files import check_mask_output

    if coco is not None and coco.suffix.lower() != ".json":
        raise InputError(f"--export-coco is {coco}: give a .json file, or another kind with --export.")
    for file in exports:
        check_mask_output(file)


def _segment(
    generator: AutomaticMaskGenerator, stack: ImageStack, how: dict[str, Any], *, together: bool
) -> tuple[dict[Plane, AutoResult], dict[Plane, str]]:
    """Segment plane by plane with a bar where standard error is a terminal; return results, and what went wrong."""
    from napari_sam.pipeline.auto_segment import auto_segment

    results: dict[Plane, AutoResult] = {}
    problems: dict[Plane, str] = {}
    planes = stack.planes
    objects = 0
    with terminal_bar("searching") as bar:
        for number, plane in enumerate(planes):

            def show(done: int, total: int, before: int = number) -> None:
                text = f"plane {before + 1} of {len(planes)}" if together else "searching"
                bar.show(text, before + done / max(total, 1), len(planes))

            try:
                found = auto_segment(generator, stack.read(plane), progress=show, **how)
            except InputError as error:
                problems[plane] = str(error)
            else:
                results[plane if together else ()] = found.numbered_after(objects) if objects else found
                objects += len(found.records)
    if not results:
        raise InputError(next(iter(problems.values()), f"{stack.path} has no planes: give an image that has some."))
    return results, problems


def _write(output: Path, exports: list[Path], stack: ImageStack, results: dict[Plane, AutoResult]) -> list[Path]:
    """Write the labels and every export, of a stack one file for each plane; return the names of the exports."""
    import numpy as np

    from napari_sam.io.images import write_labels
    from napari_sam.io.mask_files import write_masks
    from napari_sam.ops.measurements import add_micrometres
    from napari_sam.pipeline.measure_files import pixel_micrometres

    shape = next(iter(results.values())).labels.shape
    if () in results:
        write_labels(output, results[()].labels, stack.place)
    else:
        labels = np.zeros((*stack.leading, *shape), np.int32)
        for plane, result in results.items():
            labels[plane] = result.labels
        write_labels(output, labels, stack.place)
    written = []
    size = pixel_micrometres(stack.path) if exports else None
    for file in exports:
        for plane, result in results.items():
            path = file.with_stem("_".join(map(str, (file.stem, *plane))))
            features = add_micrometres(result.features, size)
            write_masks(path, result.records, features, stack.path.name, shape=(shape[0], shape[1]))
            written.append(path)
    return written


def _objects(plane: Plane, result: AutoResult) -> Iterator[dict[str, Any]]:
    for label, record in zip(result.features["label"].tolist(), result.records, strict=True):
        where = {"plane": plane} if plane else {}
        scores = {"predicted_iou": record.predicted_iou, "stability_score": record.stability_score}
        yield {**where, "label": label, "area": record.area, "box": record.box, **scores}


def _report(summary: dict[str, Any], problems: dict[Plane, str], *, as_json: bool) -> None:
    """Say what was done; leave with status 1 if planes failed."""
    if as_json:
        typer.echo(json_.dumps(summary))
    else:
        count, files = summary["count"], [summary["labels"], *summary["exports"]]
        where = f"{', '.join(files[:-1])} and {files[-1]}" if len(files) > 1 else files[0]
        typer.echo(f"Wrote {count} object{'' if count == 1 else 's'} to {where} ({summary['seconds']} s).")
    for plane, problem in problems.items():
        typer.echo(f"Plane {','.join(map(str, plane))} was left out: {problem}", err=True)
    if problems:
        raise typer.Exit(1)

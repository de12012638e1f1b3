"""`segment_zarr`: an image, volume or plate of any size in, labels in OME-Zarr out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import napari_sam
from napari_sam.batch.executor import Executor, fitting_threads, open_executor, pulsing
from napari_sam.batch.hand_edits import find_edits
from napari_sam.batch.job import run_job
from napari_sam.batch.job_spec import JobSpec, fixed_threads
from napari_sam.batch.journal import DamagedJobError, JobJournal, StorageError, job_folder, read_parameters
from napari_sam.batch.progress import BatchProgress, FailedUnit, getting_ready
from napari_sam.batch.prompt_units import check_prompts_source, prompts_location
from napari_sam.batch.segmenters import ModelChoice, Segmenter, choose_model, open_segmenter
from napari_sam.batch.size_survey import survey_object_size
from napari_sam.batch.tiles import plan_tiles
from napari_sam.config.auto import AUTO_PRESETS, AutoSettings
from napari_sam.config.batch import BatchSettings
from napari_sam.errors import InputError
from napari_sam.inference.brightness import stack_normalization
from napari_sam.inference.normalization import Normalization
from napari_sam.io.label_group import find_group, plain_errors
from napari_sam.io.label_store import create_labels, labels_drawn, labels_exist
from napari_sam.io.large_image import LargeImage, LazyPlane, list_wells, open_large_image
from napari_sam.io.output_place import keep_inputs, same_place
from napari_sam.io.zarr_location import absolute, join
from napari_sam.paths import local_path
from napari_sam.pipeline.auto_segment import fitting_preset

if TYPE_CHECKING:
    from distributed.security import Security

MODEL_READY, BRIGHTNESS_READY = 0.3, 0.5  # shares of getting ready

__all__ = ["BatchPlan", "plan_batch", "segment_zarr"]

PATHS = ("checkpoint", "clip_checkpoint", "prompts")  # settings that people may begin with `~`


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Hold what a job would do: (location, output, part of a plate) of each image, tiles, pixels in all."""

    images: tuple[tuple[str, str | None, str], ...]
    tiles: int
    pixels: int


def segment_zarr(
    source: str | Path,
    output: str | Path | None = None,
    *,
    model: str | None = None,
    label: str | None = None,
    mode: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    scheduler_security: str | Path | Security | None = None,
    restart: bool = False,
    replace_edits: bool = False,
    settings: BatchSettings | None = None,
    segmenter: Segmenter | None = None,
    **changes: Any,
) -> Iterator[BatchProgress]:
    """Segment an image of any size, tile by tile, into labels of an OME-Zarr; a job that was stopped goes on.

    The labels are the same to the bit for any number of workers, any order, and however often the job was stopped. To
    cancel, stop iterating. A script that asks for several workers needs `if __name__ == "__main__":`.

    Parameters
    ----------
    source
        OME-Zarr image or plate, Zarr array or TIFF: a folder, zip file or URL.
    output
        OME-Zarr that gets `labels/LABEL`; None for the image itself. Of a plate each image gets its own, in
        OUTPUT/WELL/FIELD.
    model, label, mode
        As in `BatchSettings`; the bundled model "cells", "cells" and "auto" by default.
    workers, scheduler
        Processes on this machine, or the address of a dask.distributed scheduler.
    scheduler_security
        How that scheduler lets us in: a YAML file with certificates (see `batch.cluster.read_security`), or a
        `distributed.Security`.
    restart
        Forget what an earlier job did, and replace its labels, unless they were edited since.
    replace_edits
        Replace also what people, or other programs, have drawn into the labels. Without it nothing that the job did not
        write itself is ever changed: labels that are to be written anew but were edited are named, and stay.
    settings
        All settings; None for the defaults with the preset that fits the model.
    segmenter
        Finds the objects of a tile in place of the model.
    **changes
        Fields of `BatchSettings` that differ; `auto` may be a mapping.

    Yields
    ------
    BatchProgress
        After every unit. Units that failed are named in `failed`, the rest is done; the next run tries them again.

    Raises
    ------
    InputError
        If source, output or a setting cannot be used, the job folder or the labels belong to a job with other
        parameters, there is no place left, or edited labels would be replaced (`EditedLabelsError`).
    """
    given = {"model": model, "label": label, "mode": mode}
    changes |= {name: value for name, value in given.items() if value is not None}
    chosen = _settings(settings, changes)
    plan = plan_batch(source, output, chosen)
    yield BatchProgress(phase="ready", done=0, total=100)
    weights = None
    if segmenter is None:
        weights = yield from getting_ready(pulsing(choose_model, chosen), 0, MODEL_READY)
    at_once = _tiles_at_once(chosen, weights)
    failed: list[FailedUnit] = []
    # what is under way is let go of before the executor ends, however this is left
    with (
        fixed_threads(torch.get_num_threads()),  # as many as now, also afterwards
        open_executor(workers, scheduler, scheduler_security, at_once=at_once) as executor,
        contextlib.ExitStack() as stack,
    ):
        for done, (location, place, name) in enumerate(plan.images):
            events = _segment_image(
                location,
                place,
                chosen,
                weights,
                segmenter,
                executor,
                restart=restart,
                replace_edits=replace_edits,
                at_once=at_once,
            )
            whole = len(plan.images)
            mine: tuple[FailedUnit, ...] = ()
            try:
                for event in stack.enter_context(contextlib.closing(events)):
                    mine = tuple(_of_item(unit, name) for unit in event.failed)
                    ended = done + (event.phase == "finished")
                    yield replace(event, failed=(*failed, *mine), item=name, items_done=ended, items_total=whole)
            except InputError as error:
                if not name or isinstance(error, StorageError):
                    raise
                mine = (*mine, FailedUnit(name=name, reason=str(error)))  # the other images are done
                yield BatchProgress(
                    phase="failed",
                    done=0,
                    total=1,
                    failed=(*failed, *mine),
                    item=name,
                    items_done=done,
                    items_total=whole,
                )
            failed += mine


def plan_batch(source: str | Path, output: str | Path | None, settings: BatchSettings) -> BatchPlan:
    """Tell what a job would do, reading no pixels.

    Raises
    ------
    InputError
        If the source cannot be opened, or is a plate whose files name paths outside of it.
    """
    root, goal = absolute(source), None if output is None else absolute(output)
    if goal is not None and same_place(goal, root):  # however it is spelt
        goal = None
    fields = [(place, place[len(root) :].strip("/")) for place in list_wells(root)]
    images = tuple((place, None if goal is None else join(goal, name), name) for place, name in fields)
    images = images or ((root, goal, ""),)
    tiles = pixels = 0
    for location, _, _ in images:
        image = _open(location, settings)
        planes = len(image.planes())
        tiles += planes * len(plan_tiles(image.shape, settings.tile, settings.overlap))
        pixels += planes * image.shape[0] * image.shape[1]
    return BatchPlan(images=images, tiles=tiles, pixels=pixels)


def _segment_image(
    location: str,
    output: str | None,
    settings: BatchSettings,
    weights: ModelChoice | None,
    segmenter: Segmenter | None,
    executor: Executor,
    *,
    restart: bool,
    at_once: int,
    replace_edits: bool,
) -> Generator[BatchProgress, None, None]:
    image = _open(location, settings)
    if settings.link and settings.link not in image.stacked:
        raise InputError(
            f"The image has no axis {settings.link} to link along, only {', '.join(image.axes)}: leave link out."
        )
    if output is None and not image.version:
        raise InputError(f"{location} is no OME-Zarr image that could hold labels: give an output (-o OUT.zarr).")
    channels = image.channels(settings.channels) if settings.channels else ()
    if len(channels) > 3:
        raise InputError(f"{len(channels)} channels chosen: choose one, two or three.")
    place = output or image.location
    folder = job_folder(image.location, output, settings.label)
    _check_output(place, folder, image, settings)
    replaced = restart and (replace_edits or not labels_drawn(place, settings.label))
    if not folder.exists() and not replaced and labels_exist(place, settings.label):
        raise _foreign(place, settings.label)
    prompts = check_prompts_source(settings, image) if settings.mode == "prompts" else ""
    known = None if restart else read_parameters(folder)
    planes = [image.plane(index, channels or None) for index in image.planes()]
    normalization = _known_normalization(known)
    if normalization is None:
        looking = pulsing(stack_normalization, planes, settings.stretch)
        normalization = yield from getting_ready(looking, MODEL_READY, BRIGHTNESS_READY)
    object_size = 0.0
    if segmenter is None:
        assert weights is not None  # noqa: S101 - one of them is there
        measuring = _object_size(known, settings, weights, normalization, planes, at_once)
        object_size = yield from getting_ready(measuring, BRIGHTNESS_READY, 1)
        segmenter = open_segmenter(settings, weights, normalization, object_size)
    parameters = {
        "package": napari_sam.__version__,
        "settings": {name: value for name, value in settings.as_record().items() if name != "retries"},
        "weights": segmenter.fingerprint,
        "precision": weights.precision if weights else "",
        "normalization": _normalization_record(normalization),
        "object_size": object_size,
        "source": _identity(image),
        "prompts": prompts,
    }
    spec = JobSpec(
        source=image.location,
        level=image.level,
        output=place,
        folder=folder,
        settings=settings,
        segmenter=segmenter,
        channels=channels,
        run=f"{time.time_ns()}",
    )
    own = restart and folder.exists()  # what is there is this job's, once it is known that nobody edited it
    if own and not replace_edits and labels_drawn(place, settings.label):
        yield from _look_for_edits(replace(spec, run=f"{spec.run}-before"), executor)
    with JobJournal.opened(spec.folder, parameters, restart=restart) as journal:
        made = journal.made("output")
        if not made or not labels_exist(spec.output, settings.label):
            if not (own or replace_edits) and labels_drawn(place, settings.label):
                raise _foreign(place, settings.label)
            create_labels(image, output, settings.label, overwrite=True)
            journal.write("output", str(int(made or 0) + 1))  # what was written before is gone
        yield from run_job(spec, journal, executor, parameters, replace_edits=replace_edits)


def _settings(settings: BatchSettings | None, changes: dict[str, Any]) -> BatchSettings:
    if settings is None:
        model = str(changes.get("model", "cells"))
        settings = BatchSettings(auto=AutoSettings(**AUTO_PRESETS[fitting_preset(model)]))
    settings = settings.changed(**changes)
    paths = {name: str(local_path(getattr(settings, name))) for name in PATHS if getattr(settings, name)[:1] == "~"}
    return settings.changed(**paths)


def _open(location: str, settings: BatchSettings) -> LargeImage:
    if settings.pixel_size:
        return open_large_image(location, pixel_size=settings.pixel_size)
    return open_large_image(location, level=settings.level)


def _of_item(unit: FailedUnit, name: str) -> FailedUnit:
    return replace(unit, name=f"{name}: {unit.name}") if name else unit


def _normalization_record(normalization: Normalization) -> dict[str, Any]:
    chosen = {} if normalization.channels is None else {"channels": list(normalization.channels)}
    return {"low": list(normalization.low), "high": list(normalization.high), **chosen}


def _known_normalization(known: dict[str, Any] | None) -> Normalization | None:
    """Return the normalisation with which a job began: pixels that changed since do not change it."""
    on_record = (known or {}).get("normalization")
    if on_record is None:
        return None
    chosen = on_record.get("channels")
    return Normalization(
        low=tuple(on_record["low"]), high=tuple(on_record["high"]), channels=None if chosen is None else tuple(chosen)
    )


def _object_size(
    known: dict[str, Any] | None,
    settings: BatchSettings,
    weights: ModelChoice,
    normalization: Normalization,
    planes: Sequence[LazyPlane],
    at_once: int,
) -> Generator[float, None, float]:
    """Return the usual size of the objects by which all tiles choose their scale, 0 if each tile goes by its own.

    Yields how much of that is done.
    """
    if known is not None and "object_size" in known:
        return float(known["object_size"])
    tiles = plan_tiles((planes[0].shape[0], planes[0].shape[1]), settings.tile, settings.overlap)
    if settings.mode == "prompts" or settings.auto.object_size or len(planes) * len(tiles) == 1:
        return 0.0
    return (
        yield from survey_object_size(
            weights, settings.auto, normalization, planes, tiles, threads=settings.threads, at_once=at_once
        )
    )


def _tiles_at_once(settings: BatchSettings, weights: ModelChoice | None) -> int:
    """Return how many tiles this process looks at at once: one of a segmenter from outside, and on a GPU."""
    if weights is None or weights.load().device.type != "cpu":
        return 1
    return fitting_threads(settings.threads)


def _look_for_edits(spec: JobSpec, executor: Executor) -> Iterator[BatchProgress]:
    """Look at all labels of a job that is to be forgotten.

    Raises
    ------
    EditedLabelsError
        If they were edited.
    InputError
        If the job's files do not tell, or another process works on it.
    """
    try:
        known = read_parameters(spec.folder) or {}
        sizes = known["source"]["sizes"]  # those of the labels; the image, or its level, may be another one today
        order = [axis for axis in sizes if axis not in "cyx"]
        planes = [dict(zip(order, at, strict=True)) for at in product(*(range(sizes[axis]) for axis in order))]
        with JobJournal.opened(spec.folder, known, restart=False) as journal:
            output = journal.made("output")
            if not output:  # the labels are older than the job
                raise _foreign(spec.output, spec.settings.label)
            blocks = [(*plane, region) for plane in enumerate(planes) for region in spec.labels.regions(0)]
            for done in find_edits(spec, journal, executor, output, blocks):
                yield BatchProgress(phase="edits", done=done, total=len(blocks))
    except (KeyError, TypeError, DamagedJobError) as error:
        raise InputError(
            f"The job {spec.folder} does not tell which of the labels {spec.settings.label} of {spec.output} were "
            "edited by hand: choose another label, or have them all replaced with restart and replace-edits."
        ) from error


def _foreign(place: str, label: str) -> InputError:
    return InputError(
        f"{place} has labels {label} that no job here made: choose another output or label, or have them replaced "
        "with restart and replace-edits."
    )


def _check_output(place: str, folder: Path, image: LargeImage, settings: BatchSettings) -> None:
    """Check, before anything is written, that labels can be made, and that they replace nothing that is read."""
    read = [image.location, *filter(None, (settings.checkpoint, settings.clip_checkpoint))]
    if settings.mode == "prompts":
        read.append(prompts_location(settings, image))
    keep_inputs(join(place, "labels", settings.label), read)
    keep_inputs(folder, read, "files of the job")
    with plain_errors(place, "write to"):
        find_group(place)


def _identity(image: LargeImage) -> dict[str, Any]:
    level = image.levels[image.level]
    return {
        "location": image.location,
        "level": image.level,
        "sizes": image.sizes,
        "dtype": str(image.dtype),
        "scale": [float(value) for value in level.scale],
    }

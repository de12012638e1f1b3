"""A job from the first tile to the last label: phases of units, each of them done once whatever is killed.

tiles → edges → objects (→ overlaps → links) → labels → pyramid → provenance; prompts before all in the mode "prompts".
Every unit is a pure function of the files of earlier units, and is noted with the digest of what it was made from. So
the labels do not depend on which worker did what, in which order, and how often it all was stopped; and a unit whose
inputs changed (a tile that failed before, pixels written anew) is done again with all that follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from napari_sam.batch.executor import Executor
from napari_sam.batch.job_spec import JobSpec
from napari_sam.batch.journal import JobJournal, digest_of, storing
from napari_sam.batch.link_units import count_overlaps, link_series, series_of_planes
from napari_sam.batch.phases import PhaseRunner, Unit
from napari_sam.batch.progress import BatchProgress
from napari_sam.batch.unit_lists import (
    edge_units,
    level_units,
    object_unit,
    overlap_units,
    paint_units,
    prompt_units,
    tile_units,
)
from napari_sam.batch.units import build_block, find_prompts, paint_block, pair_tile, resolve_plane, segment_tile

__all__ = ["run_job"]

KINDS = ("prompts", "tiles", "edges", "objects", "overlaps", "links")


def run_job(
    spec: JobSpec, journal: JobJournal, executor: Executor, provenance: dict[str, Any]
) -> Iterator[BatchProgress]:
    """Do all of a job that is not done yet; to cancel, stop iterating.

    Parameters
    ----------
    spec
        Of the job; its labels exist.
    journal
        Open, and with a line "output" that says when the labels were made.
    executor
        Where the units run.
    provenance
        What is written beside the labels at the end, with the time.

    Raises
    ------
    StorageError
        If job folder or output take no more.
    """
    with storing(f"write the job folder {spec.folder}"):
        for kind in KINDS:
            (spec.folder / kind).mkdir(exist_ok=True)
    runner = PhaseRunner(spec=spec, journal=journal, executor=executor)
    planes = spec.image.planes()
    prompts: list[str] = [""] * len(planes)
    if spec.settings.mode == "prompts":
        units = prompt_units(spec)
        yield from runner.run("prompts", find_prompts, units)
        prompts = runner.digests(units)
    tiles = tile_units(spec, prompts)
    yield from runner.run("tiles", segment_tile, list(chain(*tiles)), heavy=True)
    found = [runner.digests(units) for units in tiles]
    edges: list[list[Unit]] = [[] for _ in planes]
    if spec.settings.mode != "prompts":
        edges = [edge_units(spec, plane, digests) for plane, digests in enumerate(found)]
        yield from runner.run("edges", pair_tile, list(chain(*edges)))
    compared = [list(zip(_numbers(units), runner.digests(units), strict=True)) for units in edges]
    objects = [object_unit(spec, plane, found[plane], compared[plane]) for plane in range(len(planes))]
    yield from runner.run("objects", resolve_plane, objects)
    resolved = runner.digests(objects)
    links: dict[int, tuple[int, str]] = {}
    if spec.settings.link:
        yield from _link(runner, resolved, links)
    output = journal.made("output")
    blocks = paint_units(spec, output, resolved, links)
    yield from runner.run("labels", paint_block, blocks)
    for level in range(1, len(spec.labels.levels)):
        below = digest_of(output, *runner.digests(blocks))
        blocks = level_units(spec, level, below)
        yield from runner.run("pyramid", build_block, blocks)
    count, highest = _count(spec, resolved, links)
    if runner.changed or spec.labels.provenance is None:
        failed = [unit.name for unit in runner.failed]
        made = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "objects": count, "failed": failed}
        texts = _texts(spec, resolved, links) if spec.settings.mode == "text" else None
        spec.labels.write_provenance(provenance | made, highest, texts)
    yield BatchProgress(
        phase="finished",
        done=1,
        total=1,
        failed=tuple(runner.failed),
        output=spec.labels.path,
        objects=count,
        dashboard=executor.dashboard,
    )


def _link(runner: PhaseRunner, resolved: list[str], links: dict[int, tuple[int, str]]) -> Iterator[BatchProgress]:
    """Count overlaps and link; fills `links` with the number of the series and its file's digest for each plane."""
    spec = runner.spec
    all_series = series_of_planes(spec.image.planes(), spec.settings.link)
    per_series = [overlap_units(spec, number, series, resolved) for number, series in enumerate(all_series)]
    yield from runner.run("overlaps", count_overlaps, list(chain(*per_series)))
    units = []
    for number, (series, counted) in enumerate(zip(all_series, per_series, strict=True)):
        digests = runner.digests(counted)
        if not all(digests):
            continue  # its planes keep their own ids; it is among the failed
        files: dict[int, list[str]] = {plane: [] for plane in series}
        for unit in counted:
            _, first, planes, _ = unit.arguments
            for plane, _ in planes[first:]:
                files[plane].append(str(unit.file.stem) if unit.file else "")
        units.append(
            Unit(
                key=f"links {number}",
                name=f"links along {spec.settings.link}, series {number}",
                inputs=digest_of(*digests),
                arguments=(
                    number,
                    tuple((plane, resolved[plane]) for plane in series),
                    tuple(tuple(files[plane]) for plane in series),
                ),
                file=spec.file("links", number),
            )
        )
    yield from runner.run("links", link_series, units)
    for unit, digest in zip(units, runner.digests(units), strict=True):
        for plane, _ in unit.arguments[1]:
            if digest:
                links[plane] = unit.arguments[0], digest


def _numbers(units: list[Unit]) -> list[int]:
    return [unit.arguments[1][0] for unit in units]


def _count(spec: JobSpec, resolved: list[str], links: dict[int, tuple[int, str]]) -> tuple[int, int]:
    """Return how many objects there are, ids of linked planes counted once, and the highest id."""
    own, highest = 0, 0
    linked: dict[int, int] = {}
    for plane, digest in enumerate(resolved):
        if plane in links:
            number, of_series = links[plane]
            ids = spec.arrays("links", number, digest=of_series)[f"plane{plane}"]
            linked[number] = max(linked.get(number, 0), int(ids.max(initial=0)))
        elif digest:
            ids = np.unique(spec.arrays("objects", plane, digest=digest)["owners"]["id"])
            own += len(ids)
            highest = max(highest, int(ids.max(initial=0)))
    return own + sum(linked.values()), max(highest, *linked.values(), 0)


def _texts(spec: JobSpec, resolved: list[str], links: dict[int, tuple[int, str]]) -> dict[int, str]:
    """Return the text that names each object, by id; of several parts and planes the foremost part of the first."""
    found: dict[int, str] = {}
    for plane, digest in enumerate(resolved):
        if not digest:
            continue
        tables = spec.arrays("objects", plane, digest=digest)
        ids, texts = tables["owners"]["id"], tables["texts"]
        if plane in links:
            number, of_series = links[plane]
            ids = spec.arrays("links", number, digest=of_series)[f"plane{plane}"][ids]
        front = np.argsort(tables["owners"]["rank"], kind="stable")
        for label, text in zip(ids[front].tolist(), texts[front].tolist(), strict=True):
            found.setdefault(label, spec.settings.text[text])
    return found

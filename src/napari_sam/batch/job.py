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
from napari_sam.batch.hand_edits import find_edits
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
from napari_sam.errors import InputError

__all__ = ["run_job"]

KINDS = ("prompts", "tiles", "edges", "objects", "overlaps", "links", "labels")
LARGEST_ID = 2**31 - 1


def run_job(
    spec: JobSpec, journal: JobJournal, executor: Executor, provenance: dict[str, Any], *, replace_edits: bool = False
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
    replace_edits
        Whether labels that are to be written anew may have been edited by hand.

    Raises
    ------
    StorageError
        If job folder or output take no more.
    EditedLabelsError
        If labels that are to be written anew were edited; they stay, and so does all that was found.
    """
    with storing(f"write the job folder {spec.folder}"):
        for kind in KINDS:
            (spec.folder / kind).mkdir(exist_ok=True)
    runner = PhaseRunner(spec=spec, journal=journal, executor=executor)
    planes = spec.planes
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
    offsets, count, highest = _number(spec, [runner.line(unit) for unit in objects], links)
    output = journal.made("output")
    blocks = paint_units(spec, output, resolved, links, offsets)
    if not replace_edits:
        yield from _look_for_edits(runner, output, blocks)
    yield from runner.run("labels", paint_block, blocks)
    for level in range(1, len(spec.labels.levels)):
        below = digest_of(output, *runner.digests(blocks))
        blocks = level_units(spec, level, below)
        yield from runner.run("pyramid", build_block, blocks)
    if runner.changed or spec.labels.provenance is None:
        failed = [unit.name for unit in runner.failed]
        made = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "objects": count, "failed": failed}
        texts = _texts(spec, resolved, links, offsets) if spec.settings.mode == "text" else None
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
    all_series = series_of_planes(spec.planes, spec.settings.link)
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


def _look_for_edits(runner: PhaseRunner, output: str, blocks: list[Unit]) -> Iterator[BatchProgress]:
    """Look at the blocks that are to be written anew, if any was written before."""
    spec = runner.spec
    undone = (unit.arguments[:2] for unit in blocks if runner.line(unit) is None)
    pending = [(plane, spec.planes[plane], region) for plane, region in undone]
    if pending and any((spec.folder / "labels").iterdir()):
        for done in find_edits(spec, runner.journal, runner.executor, output, pending):
            yield BatchProgress(phase="edits", done=done, total=len(pending), failed=tuple(runner.failed))


def _number(
    spec: JobSpec, lines: list[dict[str, Any] | None], links: dict[int, tuple[int, str]]
) -> tuple[list[int], int, int]:
    """Settle the ids for the whole image: no two objects share one, unless the prompts say so.

    Returns
    -------
    offsets, count, highest
        What is added to the ids of each plane, how many objects there are, and the highest id.
    """
    if spec.settings.mode == "prompts":
        known = [line for line in lines if line]
        return (
            [0] * len(lines),
            sum(line["objects"] for line in known),
            max((line["highest"] for line in known), default=0),
        )
    offsets, total = [0] * len(lines), 0
    of_series: dict[int, int] = {}
    for plane, line in enumerate(lines):
        if plane in links:
            number, digest = links[plane]
            if number not in of_series:
                of_series[number] = total
                total += max(int(ids.max(initial=0)) for ids in spec.arrays("links", number, digest=digest).values())
            offsets[plane] = of_series[number]
        elif line:
            offsets[plane] = total
            total += line["highest"]
    if total > LARGEST_ID:
        raise InputError(f"There are {total} objects, more than labels of 32 bits can number: take fewer planes.")
    return offsets, total, total


def _texts(spec: JobSpec, resolved: list[str], links: dict[int, tuple[int, str]], offsets: list[int]) -> dict[int, str]:
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
        for label, text in zip((ids[front] + offsets[plane]).tolist(), texts[front].tolist(), strict=True):
            found.setdefault(label, spec.settings.text[text])
    return found

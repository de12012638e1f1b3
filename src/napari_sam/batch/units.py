"""The units of a job: pure functions of files, each of which makes one file or one block of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.batch.hand_edits import note_writing
from napari_sam.batch.job_spec import JobSpec, Region, fixed_threads, plane_name
from napari_sam.batch.journal import StorageError, digest_of, storing
from napari_sam.batch.objects import EDGES, OBJECTS, OWNERS, Table, pair_edges, tile_objects
from napari_sam.batch.paint import paint
from napari_sam.batch.progress import FailedUnit
from napari_sam.batch.prompt_units import prompts_of_plane
from napari_sam.batch.records_file import write_arrays, write_records
from napari_sam.batch.stitch import resolve
from napari_sam.errors import InputError
from napari_sam.io.journal import digest_array

__all__ = [
    "Digests",
    "Result",
    "build_block",
    "find_prompts",
    "paint_block",
    "paint_plane",
    "pair_tile",
    "resolve_plane",
    "segment_tile",
]

Result = dict[str, Any]  # what the journal notes of a unit
Digests = tuple[tuple[int, str], ...]  # number of a unit, digest of its file


def find_prompts(spec: JobSpec, plane: int) -> Result:
    """Collect the prompts of a plane in a file."""
    with fixed_threads(spec.settings.threads):
        return _saved(spec, "prompts", (plane,), prompts_of_plane(spec.settings, spec.image, plane))


def segment_tile(spec: JobSpec, plane: int, tile: int, prompts: str) -> Result:
    """Find the objects of a tile; `prompts` is the digest of the plane's prompts, "" without."""
    table = spec.arrays("prompts", plane, digest=prompts) if prompts else None
    where = spec.tiles(plane)[tile]
    with fixed_threads(spec.settings.threads):
        found = spec.segmenter.segment(spec.pixels(plane), where, table)
    columns: dict[str, npt.NDArray[Any]] = (
        {} if found.ids is None else {"id": found.ids, "rank": np.asarray(found.ranks, np.int64)}
    )
    columns |= {} if found.texts is None else {"text": found.texts}
    path = spec.file("tiles", plane, tile)
    with storing(f"write {path}"):
        digest = write_records(path, found.records, **columns)
    index = plane_name(spec.planes[plane])
    problems = [
        asdict(FailedUnit(name=f"object {number}{f' of plane {index}' if index else ''}", reason=reason))
        for number, reason in found.problems.items()
    ]
    return {"digest": digest, "problems": problems}


def pair_tile(spec: JobSpec, plane: int, tile: tuple[int, str], others: Digests) -> Result:
    """Compare the objects of a tile with those of its later neighbours."""
    tiles = spec.tiles(plane)
    number, digest = tile
    records = spec.records(plane, number, digest)
    parts = [
        pair_edges(records, tiles[number], spec.records(plane, other, theirs), tiles[other]) for other, theirs in others
    ]
    return _saved(spec, "edges", (plane, number), {"edges": np.concatenate([np.empty(0, EDGES), *parts])})


def resolve_plane(spec: JobSpec, plane: int, tiles: Digests, edges: Digests) -> Result:
    """Decide which objects of a plane stay, and who they are."""
    numbers, digests = [number for number, _ in tiles], [digest for _, digest in tiles]
    of_tiles = {"tiles": np.array(numbers, np.int64), "digests": np.array(digests, "U64")}
    if spec.settings.mode == "prompts":
        return _objects(spec, plane, owners=_with_their_ids(spec, plane, tiles), **of_tiles)
    plan, shape = spec.tiles(plane), spec.image.shape
    objects = [tile_objects(spec.records(plane, number, digest), plan[number], shape) for number, digest in tiles]
    shared = [spec.arrays("edges", plane, number, digest=digest)["edges"] for number, digest in edges]
    owners = resolve(
        np.concatenate([np.empty(0, OBJECTS), *objects]), np.concatenate([np.empty(0, EDGES), *shared]), plan
    )
    if spec.settings.mode == "text":
        of_tiles["texts"] = _texts_of(spec, plane, tiles, owners)
    return _objects(spec, plane, owners=owners, **of_tiles)


def paint_plane(
    spec: JobSpec, plane: int, region: Region, objects: str, lookup: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int32]:
    """Return the (h, w) int32 labels of a region; `lookup` turns ids of the plane into those of the linked planes."""
    tables = spec.arrays("objects", plane, digest=objects)
    owners = tables["owners"]
    if lookup is not None:
        owners = owners.copy()
        owners["id"] = lookup[owners["id"]]
    digests = dict(zip(tables["tiles"].tolist(), tables["digests"].tolist(), strict=True))
    return paint(region, owners, lambda number: spec.records(plane, number, digests[number]))


def paint_block(
    spec: JobSpec, plane: int, region: Region, objects: str, links: Digests, offset: int, output: str
) -> Result:
    """Write one block of the labels.

    Parameters
    ----------
    spec
        Of the job.
    plane, region
        Of the block.
    objects
        Digest of the plane's objects.
    links
        Number and digest of the file of the linked ids, if there is one.
    offset
        Added to all ids, so that they are those of one object in the whole image.
    output
        Tells apart labels that were made anew.
    """
    lookup = None
    for series, digest in links:
        lookup = spec.arrays("links", series, digest=digest)[f"plane{plane}"]
    labels = paint_plane(spec, plane, region, objects, lookup)
    labels[labels > 0] += offset
    note_writing(spec, plane, region, output, labels)
    _kept(lambda: spec.labels.write(spec.planes[plane], region, labels))
    return {"digest": digest_array(labels), "output": output}


def build_block(spec: JobSpec, level: int, plane: int, region: Region, inputs: str) -> Result:
    """Write one block of a coarser level."""
    _kept(lambda: spec.labels.build_level(level, spec.planes[plane], region))
    return {"digest": digest_of(inputs, str(level), str(region))}


def _with_their_ids(spec: JobSpec, plane: int, tiles: Digests) -> Table:
    """Return the owners of objects that keep the ids of their prompts."""
    parts = [np.empty(0, OWNERS)]
    ranks = [np.empty(0, np.int64)]
    for number, digest in tiles:
        records = spec.records(plane, number, digest)
        part = np.zeros(len(records), OWNERS)
        part["tile"], part["number"], part["box"] = number, np.arange(len(records)), records.boxes
        if len(records):
            part["id"] = records.columns["id"]
            ranks.append(records.columns["rank"])
        parts.append(part)
    owners = np.concatenate(parts)
    owners["rank"][np.argsort(np.concatenate(ranks), kind="stable")] = np.arange(len(owners))
    return owners


def _texts_of(spec: JobSpec, plane: int, tiles: Digests, owners: Table) -> npt.NDArray[np.int32]:
    """Return for each row of `OWNERS` the number of the text that names the object."""
    texts = np.zeros(len(owners), np.int32)
    for number, digest in tiles:
        mine = owners["tile"] == number
        if mine.any():
            texts[mine] = spec.records(plane, number, digest).columns["text"][owners["number"][mine]]
    return texts


def _objects(spec: JobSpec, plane: int, **arrays: Any) -> Result:
    """Save the objects of a plane, and say how many there are and what their highest id is."""
    ids = np.unique(arrays["owners"]["id"])
    return _saved(spec, "objects", (plane,), arrays) | {"objects": len(ids), "highest": int(ids.max(initial=0))}


def _saved(spec: JobSpec, kind: str, numbers: Sequence[int], arrays: dict[str, Any]) -> Result:
    path = spec.file(kind, *numbers)
    with storing(f"write {path}"):
        digest = write_arrays(path, **arrays)
    return {"digest": digest}


def _kept(write: Any) -> None:
    """Stop the job where the output takes no more."""
    try:
        write()
    except InputError as error:
        raise StorageError(str(error)) from error

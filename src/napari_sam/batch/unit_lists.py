"""Which units the phases of a job have, and what each is made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari_sam.batch.hand_edits import block_key
from napari_sam.batch.job_spec import JobSpec, plane_name, region_name
from napari_sam.batch.journal import digest_of
from napari_sam.batch.phases import Unit
from napari_sam.batch.tiles import tile_pairs
from napari_sam.io.zarr_location import is_remote

__all__ = ["edge_units", "level_units", "object_unit", "overlap_units", "paint_units", "prompt_units", "tile_units"]

RULES = "2"  # another one where stitching or linking decides otherwise, so that older decisions are made anew
PLANES_AT_ONCE = 32  # whose overlaps one unit counts


def prompt_units(spec: JobSpec) -> list[Unit]:
    """List the planes whose prompts are collected."""
    return [
        Unit(
            key=f"prompts {plane}",
            name=f"prompts{' of ' if index else ''}{plane_name(index)}",
            inputs="",
            arguments=(plane,),
            file=spec.file("prompts", plane),
        )
        for plane, index in enumerate(spec.planes)
    ]


def tile_units(spec: JobSpec, prompts: list[str]) -> list[list[Unit]]:
    """List the tiles of each plane; of planes whose prompts could not be read there are none.

    A tile is made from its own pixels; with prompts from those of the whole plane, since what a prompt lets the model
    look at grows with the object.
    """
    image = spec.image
    near = not is_remote(spec.source)  # asking for every chunk over the network would take too long
    prompted = spec.settings.mode == "prompts"
    units = []
    for plane, index in enumerate(spec.planes):
        missing = prompted and not prompts[plane]
        whole = image.signature((0, 0, *image.shape), index) if near and prompted and not missing else ""
        units.append(
            [
                Unit(
                    key=f"tiles {plane}-{tile.number}",
                    name=region_name(index, tile.box),
                    inputs=digest_of(
                        prompts[plane], image.signature(tile.box, index) if near and not prompted else whole
                    ),
                    arguments=(plane, tile.number, prompts[plane]),
                    file=spec.file("tiles", plane, tile.number),
                )
                for tile in ([] if missing else spec.tiles(plane))
            ]
        )
    return units


def edge_units(spec: JobSpec, plane: int, digests: list[str]) -> list[Unit]:
    """List for each tile of a plane the comparison with its later neighbours; failed tiles are left out."""
    later: dict[int, list[int]] = {}
    tiles = spec.tiles(plane)
    for one, other in tile_pairs(tiles):
        if digests[one] and digests[other]:
            later.setdefault(one, []).append(other)
    index = spec.planes[plane]
    return [
        Unit(
            key=f"edges {plane}-{one}",
            name=f"edges of {region_name(index, tiles[one].box)}",
            inputs=digest_of(str(others), *(digests[k] for k in (one, *others))),
            arguments=(plane, (one, digests[one]), tuple((k, digests[k]) for k in others)),
            file=spec.file("edges", plane, one),
        )
        for one, others in later.items()
    ]


def object_unit(spec: JobSpec, plane: int, tiles: list[str], edges: list[tuple[int, str]]) -> Unit:
    """Return the unit that decides the objects of a plane, of the tiles and comparisons that did not fail."""
    known = tuple((number, digest) for number, digest in enumerate(tiles) if digest)
    compared = tuple((number, digest) for number, digest in edges if digest)
    index = spec.planes[plane]
    return Unit(
        key=f"objects {plane}",
        name=f"objects{' of ' if index else ''}{plane_name(index)}",
        inputs=digest_of(RULES, str(known), str(compared)),
        arguments=(plane, known, compared),
        file=spec.file("objects", plane),
    )


def overlap_units(spec: JobSpec, number: int, series: list[int], resolved: list[str]) -> list[Unit]:
    """List the blocks of a series of planes, some planes at a time, in which overlaps are counted."""
    units: list[Unit] = []
    index = spec.planes
    known = [plane for plane in series if resolved[plane]]
    regions = spec.labels.regions(0)
    back = spec.settings.link_gap + 1
    for start in range(0, len(known), PLANES_AT_ONCE):
        first = min(back, start)
        planes = tuple((plane, resolved[plane]) for plane in known[start - first : start + PLANES_AT_ONCE])
        for region in regions:
            place = len(units)
            units.append(
                Unit(
                    key=f"overlaps {number}-{place}",
                    name=f"overlaps from {region_name(index[known[start]], region)}",
                    inputs=digest_of(RULES, str(planes), str(first), str(region)),
                    arguments=((number, place), first, planes, region),
                    file=spec.file("overlaps", number, place),
                )
            )
    return units


def paint_units(
    spec: JobSpec, output: str, resolved: list[str], links: dict[int, tuple[int, str]], offsets: list[int]
) -> list[Unit]:
    """List the blocks of the labels.

    Parameters
    ----------
    spec
        Of the job.
    output
        Tells apart labels that were made anew.
    resolved
        Digest of the objects of each plane.
    links
        Number of the series and digest of its links, by plane.
    offsets
        For each plane what is added to its ids.
    """
    units = []
    for plane, index, region in _blocks(spec, 0):
        if resolved[plane]:
            linked = (links[plane],) if plane in links else ()
            units.append(
                Unit(
                    key=block_key(plane, region),
                    name=f"labels of {region_name(index, region)}",
                    inputs=digest_of(output, resolved[plane], str(linked), str(offsets[plane])),
                    arguments=(plane, region, resolved[plane], linked, offsets[plane], output),
                )
            )
    return units


def level_units(spec: JobSpec, level: int, below: str) -> list[Unit]:
    """List the blocks of a coarser level; `below` is the digest of the level below."""
    return [
        Unit(
            key=f"pyramid {level} {plane} {region}",
            name=f"level {level} of {region_name(index, region)}",
            inputs=digest_of(below, str(level)),
            arguments=(level, plane, region, below),
        )
        for plane, index, region in _blocks(spec, level)
    ]


def _blocks(spec: JobSpec, level: int) -> Iterator[tuple[int, dict[str, int], Any]]:
    """Yield number of the plane, its index and the region of each block of a level."""
    numbers = {tuple(sorted(index.items())): number for number, index in enumerate(spec.planes)}
    for index, region in spec.labels.blocks(level):
        yield numbers[tuple(sorted(index.items()))], index, region

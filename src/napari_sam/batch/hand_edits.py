"""What people have drawn into the labels of a job since it wrote them: it stays, unless they say otherwise.

Before a block is written, a file of the job says what its parts will be (hashes, one for each file of the labels). So
later runs know their own work, finished or cut off by a kill, from that of people and other programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.batch.executor import Executor
from napari_sam.batch.job_spec import JobSpec, Region, region_name
from napari_sam.batch.journal import JobJournal, storing
from napari_sam.batch.records_file import read_arrays, write_arrays
from napari_sam.errors import InputError
from napari_sam.io.journal import digest_array

__all__ = ["EditedLabelsError", "block_key", "find_edits", "note_writing", "was_edited"]

KIND = "labels"  # folder of the files in the job's
NAMED = 3  # places that a message names
Index = dict[str, int]
Block = tuple[int, Index, Region]  # number of the plane, its index, place in it


class EditedLabelsError(InputError):
    """Labels that hold what people drew, and that would be written anew."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Hold what the journal says of a block: whether it was wholly written, and the hash of all of it."""

    whole: bool
    digest: str


def block_key(plane: int, region: Region) -> str:
    """Return the name of a block of the labels in the journal."""
    return f"labels {plane} {region}"


def note_writing(spec: JobSpec, plane: int, region: Region, output: str, labels: npt.NDArray[np.int32]) -> None:
    """Note what is going to be written to a block; it is on the disk when this returns.

    Parameters
    ----------
    spec
        Of the job.
    plane, region
        Of the block.
    output
        Tells apart labels that were made anew.
    labels
        (h, w) int32.

    Raises
    ------
    StorageError
        If the disk does not take it.
    """
    known = _noted(spec, plane, region, output)
    digests = _digests(spec, labels)
    if digests not in known:
        path = spec.file(KIND, plane, *region[:2])
        with storing(f"write {path}"):
            write_arrays(path, digests=np.array([*known, digests]), output=np.array(output))


def was_edited(spec: JobSpec, plane: int, index: Index, region: Region, output: str, written: Written) -> bool:
    """Return whether a block holds anything that the job did not write; what cannot be read is not kept."""
    try:
        labels = spec.labels.read(index, region)
    except InputError:
        return False
    if digest_array(labels) == written.digest:
        return False
    known = [set(column) for column in zip(*_noted(spec, plane, region, output), strict=True)]
    found = _digests(spec, labels)
    empty = [] if written.whole else _digests(spec, np.zeros_like(labels))
    own = known or [set[str]() for _ in found]
    return any(part not in own[k] and part not in empty[k : k + 1] for k, part in enumerate(found))


def find_edits(
    spec: JobSpec, journal: JobJournal, executor: Executor, output: str, blocks: Sequence[Block]
) -> Iterator[int]:
    """Look for edits in blocks; yields after each how many have been looked at.

    Parameters
    ----------
    spec, journal, executor
        Of the job.
    output
        Of the journal; tells apart labels that were made anew.
    blocks
        That would be written: number and index of the plane, and region, of each.

    Raises
    ------
    EditedLabelsError
        Naming the first places.
    """
    known = {block_key(plane, region): (plane, index, region) for plane, index, region in blocks}
    calls = ((key, (spec, *block, output, _written(journal, output, key))) for key, block in known.items())
    places: list[Block] = []
    with closing(executor.run(was_edited, calls)) as outcomes:
        for number, outcome in enumerate(outcomes, start=1):
            if outcome.error is not None:
                raise outcome.error
            if outcome.value:
                places.append(known[outcome.name])
            if len(places) > NAMED:
                break
            yield number
    if places:
        raise EditedLabelsError(_message(spec, places))


def _message(spec: JobSpec, places: list[Block]) -> str:
    first = sorted(places, key=lambda block: (block[0], block[2]))[:NAMED]
    named = "; ".join(region_name(index, region) for _, index, region in first)
    more = " and further places" if len(places) > NAMED else ""
    return (
        f"The labels {spec.settings.label} of {spec.output} were edited since this job wrote them ({named}{more}), and "
        "would be written anew: they stay as they are; give another label (--label) for the new ones, or ask for the "
        "edits to be replaced (--replace-edits)."
    )


def _written(journal: JobJournal, output: str, key: str) -> Written:
    line: dict[str, Any] = journal.last(key) or {}
    same = line.get("output") == output
    return Written(whole=same, digest=line["digest"] if same else "")


def _noted(spec: JobSpec, plane: int, region: Region, output: str) -> list[list[str]]:
    """Return what was noted of a block, one list for each time."""
    path = spec.file(KIND, plane, *region[:2])
    if not path.exists():
        return []
    arrays = read_arrays(path)
    return arrays["digests"].tolist() if str(arrays["output"]) == output else []


def _digests(spec: JobSpec, labels: npt.NDArray[np.int32]) -> list[str]:
    """Return the hash of each part of a block that lies in a file of its own: files are written whole, blocks not."""
    array = spec.labels.array
    high, wide = (array.shards or array.chunks)[-2:]
    rows, cols = range(0, labels.shape[0], high), range(0, labels.shape[1], wide)
    return [digest_array(labels[row : row + high, col : col + wide]) for row in rows for col in cols]

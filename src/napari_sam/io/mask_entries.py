"""Masks as files list them: what can be used, and what is odd about the rest."""

from __future__ import annotations

import csv
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["DAMAGED", "MaskEntries", "free_numbers", "gather", "left_out", "number_of"]

Entry = TypeVar("Entry")
# what readers make of damaged files; RuntimeError: an encrypted zip, or JSON that is nested too deeply
DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError),
    *(csv.Error, struct.error, zipfile.BadZipFile, zlib.error),
)
NAMED = 5  # entries in one sentence


@dataclass
class MaskEntries:
    """Hold the masks of a file.

    Parameters
    ----------
    records
        In the order of the file, none of them empty.
    labels
        The number that the file gives each, None where it gives none.
    problems
        What is wrong with each entry that is left out, without a stop.
    """

    records: list[MaskRecord] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def gather(
    entries: Iterable[tuple[str, Entry]],
    make: Callable[[Entry], MaskRecord],
    label: Callable[[Entry], Any] = lambda _: None,
) -> MaskEntries:
    """Make the record of each entry; an entry of which none can be made is left out and named.

    Parameters
    ----------
    entries
        What they are called in messages, and what the file says.
    make
        Returns the record, or raises what readers raise (`InputError`, or one of `DAMAGED`).
    label
        Returns the number that the file gives it, or anything else for none.

    Raises
    ------
    InputError
        If there are entries, and none of them can be used.
    """
    found = MaskEntries()
    for name, entry in entries:
        try:
            record = make(entry)
            if not record.area:
                raise InputError("it covers no pixel of the image")
        except InputError as error:
            found.problems.append(f"{name}: {str(error).rstrip('.')}")
        except DAMAGED as error:
            reason = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            found.problems.append(f"{name} is damaged ({reason.splitlines()[0].rstrip('.')})")
        else:
            found.records.append(record)
            found.labels.append(number_of(label(entry)))
    if found.problems and not found.records:
        raise InputError(found.problems[0])
    return found


def number_of(value: Any) -> int | None:
    """Return a whole number of at least 1 that a file gives something, None for anything else."""
    try:
        number = int(value)
        return number if number >= 1 and number == float(value) and not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        return None


def free_numbers(given: Sequence[int | None]) -> list[int]:
    """Return a number for each: the given one; for those without, their place from 1 if it is free, else a new one."""
    taken = {number for number in given if number is not None}
    numbers: list[int] = []
    new = max([len(given), *taken])
    for place, number in enumerate(given, start=1):
        if number is None:
            number = place if place not in taken else (new := new + 1)
        numbers.append(number)
    return numbers


def left_out(problems: Sequence[str], name: object) -> str:
    """Return a sentence that names the entries of a file which were left out, "" if there are none."""
    if not problems:
        return ""
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    entries = "1 entry" if len(problems) == 1 else f"{len(problems)} entries"
    was = "was" if len(problems) == 1 else "were"
    return f"{entries} of {name} {was} left out: {'; '.join(problems[:NAMED])}{more}."

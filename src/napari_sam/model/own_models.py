"""The list of the user's own models: trained or imported, kept as user data."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from napari_sam.errors import InputError
from napari_sam.model.folders import cache_folder, data_folder

__all__ = ["read_rows", "write_rows"]

LIST = "user_models.json"
Row = dict[str, Any]


def read_rows() -> list[Row]:
    """Return the rows of the user's models; what an older version kept in the cache is moved first, with a warning.

    Raises
    ------
    InputError
        If the list cannot be read.
    """
    rows = _read(data_folder() / LIST)
    old = cache_folder() / LIST
    return _adopt(rows, old) if old.is_file() and old.parent != data_folder() else rows


def write_rows(rows: list[Row]) -> None:
    """Write the list anew, whole or not at all."""
    file = data_folder() / LIST
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(rows, indent=1))
    os.replace(part, file)


def _read(file: Path) -> list[Row]:
    if not file.is_file():
        return []
    try:
        rows = json.loads(file.read_text())
        return [dict(row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"Cannot read {file} ({error}): remove it and import your models again.") from error


def _adopt(rows: list[Row], old: Path) -> list[Row]:
    """Move the models of an old list to the user's data; where that cannot be, they are used where they lie."""
    known = {row.get("name") for row in rows}
    found = [row for row in _read(old) if row.get("name") not in known]
    try:
        for row in found:
            _copy(old.parent / str(row["file"]), data_folder() / str(row["file"]))
        write_rows([*rows, *found])
        for row in found:  # not before the new list is there
            _remove(old.parent / str(row["file"]))
        old.unlink()
    except OSError as error:
        warnings.warn(
            f"Your own models stay in the cache {old.parent}, as {data_folder()} cannot be written "
            f"({error.strerror or error}): make room there, or set NAPARI_SAM_DATA to a folder that you can write to.",
            stacklevel=2,
        )
        return [*rows, *({**row, "file": str(old.parent / str(row["file"]))} for row in found)]
    if found:
        names = ", ".join(str(row["name"]) for row in found)
        warnings.warn(
            f"Your own models ({names}) were moved from the cache to {data_folder()}, where no cleaning of caches "
            "removes them.",
            stacklevel=2,
        )
    return [*rows, *found]


def _copy(file: Path, target: Path) -> None:
    """Copy weights and their card; a file that is gone stays gone."""
    for source, place in ((file, target), (file.with_suffix(".md"), target.with_suffix(".md"))):
        if source.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f"{place.name}.{os.getpid()}.part")
            shutil.copyfile(source, part)
            os.replace(part, place)


def _remove(file: Path) -> None:
    for each in (file, file.with_suffix(".md")):
        each.unlink(missing_ok=True)

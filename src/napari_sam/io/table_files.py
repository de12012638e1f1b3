"""Tables of measurements as files, their format told by the extension."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import check_folder, write_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLES", "check_table_output", "write_table"]

TABLES = (".csv", ".parquet")


def check_table_output(path: str | Path) -> None:
    """Check that a table can be written to `path`, before any work is done.

    Raises
    ------
    InputError
        If the extension is unknown, or the folder missing or not writable.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLES:
        raise InputError(f"Cannot write a table to {path}: use {' or '.join(TABLES)}.")
    check_folder(path)


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV (UTF-8, commas) or Parquet, wholly or not at all.

    Raises
    ------
    InputError
        As `check_table_output`, or if the disk does not take it.
    """
    path = Path(path)
    check_table_output(path)
    if path.suffix.lower() == ".csv":
        data = table.to_csv(index=False, lineterminator="\n").encode()
    else:
        stream = io.BytesIO()
        table.to_parquet(stream, index=False)
        data = stream.getvalue()
    write_whole(path, data)

"""CSV files as people have them: of any program, with its separators, its encoding and its stray columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from napari_sam.errors import InputError

__all__ = ["CsvRow", "csv_number", "read_csv_rows"]

SEPARATORS = (",", ";", "\t")
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class CsvRow(NamedTuple):
    """Hold one line: its number in the file, from 1, and its cells by the names of the columns, without spaces."""

    line: int
    cells: dict[str, str]


def read_csv_rows(data: bytes) -> tuple[list[str], list[CsvRow]]:
    """Read a table whose first line names the columns.

    Commas, semicolons or tabs separate; the text is UTF-8, UTF-16 or, failing these, Windows' Latin; a line `sep=;`
    of Excel may come first. Names of columns are read in small letters; empty columns and lines are passed over.

    Returns
    -------
    columns
        Names in their order.
    rows
        All lines that say something.

    Raises
    ------
    InputError
        If the file holds no text, or two columns have one name.
    csv.Error
        If it is no table.
    """
    text = _decode(data)
    first, _, rest = text.partition("\n")
    separator = ""
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        separator, text = first.strip()[4], "\n" + rest  # the lines keep their numbers
    header = next((line for line in text.splitlines() if line.strip(f"{''.join(SEPARATORS)} ")), "")
    separator = separator or max(SEPARATORS, key=header.count)
    with _any_field_size():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        return [], []
    names = [name.lower() for name in lines[0][1]]
    columns = [name for name in names if name]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"the column {twice} is there twice")
    rows = [
        CsvRow(number, {name: cell for name, cell in zip(names, cells, strict=False) if name})
        for number, cells in lines[1:]
    ]
    return columns, rows


def csv_number(text: str) -> float:
    """Return the number in a cell; a comma may stand for the point, as spreadsheets of many countries write it.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        return float(text)
    except ValueError:
        if text.count(",") != 1 or "." in text:
            raise
        return float(text.replace(",", "."))


def _decode(data: bytes) -> str:
    encoding = next((encoding for mark, encoding in MARKS if data.startswith(mark)), "")
    if not encoding:
        # text of UTF-16 without a mark has a zero in every other byte
        half = [data[start:400:2].count(0) for start in (0, 1)]
        encoding = "utf-8" if max(half) < 0.3 * len(data[:400:2]) else ("utf-16-be", "utf-16-le")[half[1] > half[0]]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(f"it is no text ({encoding} ends within a letter)") from error
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise InputError("it is no text")
    return text


@contextmanager
def _any_field_size() -> Iterator[None]:
    """Let the run lengths of a ragged mask be longer than the 131072 characters that csv reads of its own accord."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)

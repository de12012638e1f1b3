"""A summary laid out in tables, which the terminal and the web page show alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_sam.evaluation.scores import MODEL

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Cell", "ReportTable", "lay_out", "measure_title", "rich_tables"]

TITLES = {
    "msa": "mSA",
    "ap50": "AP@.5",
    "ap75": "AP@.75",
    "mean_iou": "mean best IoU",
    "boundary_f": "boundary F",
    "final_boundary_f": "boundary F, last click",
    "noc85": "NoC@85",
    "noc90": "NoC@90",
    "box": "box IoU",
    "score_correlation": "rank correlation",
}
COUNTS = ("images", "units", "objects", "found")
ROUND = "round_"
WHOLE = "all"


class Cell(NamedTuple):
    """Hold what a cell says, and beneath it in small print the interval."""

    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """Hold a table: one row for each group and method."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def lay_out(summary: dict[str, Any]) -> list[ReportTable]:
    """Return the table of all measures, and for clicks that of mean IoUs by round; see `summarise`."""
    measures = list(summary[WHOLE]["intervals"])
    rounds = [name for name in measures if name.startswith(ROUND)]
    main = [name for name in measures if name not in rounds]
    if "score_correlation" in summary[WHOLE]:
        main.append("score_correlation")
    counts = [name for name in COUNTS if name in summary[WHOLE]]
    tables = [_table("Measures", summary, [*counts, *main])]
    if rounds:
        tables.append(_table("Mean IoU after each click", summary, rounds))
    return tables


def rich_tables(summary: dict[str, Any]) -> list[Table]:
    """Return the same tables for the terminal."""
    from rich.table import Table

    tables = []
    for table in lay_out(summary):
        shown = Table(*table.columns, title=table.title, title_justify="left", box=None)
        for row in table.rows:
            shown.add_row(*("\n".join(filter(None, cell)) for cell in row))
        tables.append(shown)
    return tables


def measure_title(name: str) -> str:
    """Return what tables call a measure."""
    return TITLES.get(name, name.removeprefix(ROUND).replace("_", " "))


def _table(title: str, summary: dict[str, Any], names: Sequence[str]) -> ReportTable:
    methods = {MODEL: summary, **summary.get("baselines", {})}
    rows = []
    for group in [*summary["groups"], WHOLE]:
        for method, found in methods.items():
            part = found[WHOLE] if group == WHOLE else found["groups"][group]
            rows.append((Cell(group), Cell(method), *_cells(part, names)))
    return ReportTable(title=title, columns=("group", "method", *map(measure_title, names)), rows=tuple(rows))


def _cells(part: dict[str, Any], names: Sequence[str]) -> Iterator[Cell]:
    for name in names:
        value, ends = part.get(name), part["intervals"].get(name)
        if value is None:
            yield Cell("-")
        elif isinstance(value, int):
            yield Cell(str(value))
        else:
            yield Cell(f"{value:.3f}", f"{ends[0]:.3f}-{ends[1]:.3f}" if ends else "")

"""An evaluation as one web page that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from napari_sam.evaluation.pictures import BOTH_COLOUR, FOUND_COLOUR, TRUTH_COLOUR, Picture
from napari_sam.evaluation.tables import Cell, ReportTable, lay_out, measure_title

__all__ = ["html_report"]

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 84rem;
  padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:nth-child(-n+2), td:nth-child(-n+2), dl { text-align: left; }
td small { display: block; color: #666; white-space: nowrap; }
tr.baseline td { color: #555; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem; }
dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 100%; vertical-align: top; }
figure img { max-width: 100%; image-rendering: pixelated; }
figcaption { overflow-wrap: anywhere; max-width: 35rem; }
.key { border: 1px solid #888; display: inline-block; width: .9em; height: .9em; vertical-align: -.1em; }
</style>
</head>
<body>
<h1>$title</h1>
<dl>
$facts
</dl>
$tables
<p>Small print: 95 % bootstrap interval of the mean, whole images drawn with replacement.</p>
$pictures
</body>
</html>
""")


def html_report(title: str, summary: Mapping[str, Any], pictures: Sequence[Picture], *, ranked_by: str = "") -> str:
    """Return the page: facts, tables and pictures.

    Parameters
    ----------
    title
        Heading.
    summary
        From `summarise`, and facts (texts and numbers) of its own, which are listed.
    pictures
        Embedded as data URIs; may be empty.
    ranked_by
        The measure that ranks them.
    """
    facts = {name: value for name, value in summary.items() if isinstance(value, str | int | float)}
    return PAGE.substitute(
        title=escape(title),
        facts="\n".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items()),
        tables="\n".join(_table(table) for table in lay_out(dict(summary))),
        pictures=_pictures(pictures, ranked_by) if pictures else "",
    )


def _table(table: ReportTable) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "\n".join(_row(row) for row in table.rows)
    return f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'


def _row(row: Sequence[Cell]) -> str:
    kind = "" if row[1].text == "model" else ' class="baseline"'
    cells = (
        f"<td>{escape(cell.text)}{f'<small>{escape(cell.note)}</small>' if cell.note else ''}</td>" for cell in row
    )
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _pictures(pictures: Sequence[Picture], ranked_by: str) -> str:
    keys = ", ".join(
        f'<span class="key" style="background: rgb{colour}"></span> {meaning}'
        for colour, meaning in ((TRUTH_COLOUR, "truth"), (FOUND_COLOUR, "found"), (BOTH_COLOUR, "both"))
    )
    figures = "\n".join(_figure(picture, ranked_by) for picture in pictures)
    return f"<h2>Images</h2>\n<p>Outlines: {keys}.</p>\n{figures}"


def _figure(picture: Picture, ranked_by: str) -> str:
    group = f" ({picture.group})" if picture.group else ""
    text = escape(f"{picture.rank}: {picture.image}{group}, {measure_title(ranked_by)} {picture.value:.3f}")
    data = base64.b64encode(picture.png).decode()
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'

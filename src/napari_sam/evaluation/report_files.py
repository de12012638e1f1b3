"""Reports as files: the summary as JSON, the records as CSV, a page with pictures as HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_sam.errors import InputError
from napari_sam.evaluation.html_report import html_report
from napari_sam.evaluation.pictures import Gallery
from napari_sam.evaluation.scores import Score
from napari_sam.io.atomic_file import check_folder, write_whole

__all__ = ["check_report_files", "records_csv", "write_reports"]

EXTENSIONS = (".json", ".csv", ".html")


def check_report_files(paths: Sequence[Path]) -> None:
    """Check that reports can be written, before any work is done.

    Raises
    ------
    InputError
        If an extension is unknown, or a folder missing or not writable.
    """
    for path in paths:
        if path.suffix.lower() not in EXTENSIONS:
            raise InputError(f"Cannot write a report to {path}: use {', '.join(EXTENSIONS[:-1])} or {EXTENSIONS[-1]}.")
        check_folder(path)


def write_reports(
    paths: Sequence[Path], summary: dict[str, Any], scores: Sequence[Score], gallery: Gallery, *, ranked_by: str
) -> None:
    """Write each file in the kind that its extension names.

    Parameters
    ----------
    paths
        See `check_report_files`.
    summary
        From `summarise`, with facts that the page lists.
    scores
        The rows of the CSV.
    gallery
        With the labels of all images, for the pictures of the page.
    ranked_by
        The measure that tells the best image from the worst.

    Raises
    ------
    InputError
        If a disk does not take a file.
    """
    for path in paths:
        kind = path.suffix.lower()
        if kind == ".json":
            text = json.dumps(summary, indent=1) + "\n"
        elif kind == ".csv":
            text = records_csv(scores)
        else:
            title = f"{summary.get('model', 'Model')} on {Path(str(summary.get('dataset', 'images'))).name}"
            text = html_report(title, summary, gallery.pictures(scores, ranked_by), ranked_by=ranked_by)
        write_whole(path, text.encode())


def records_csv(scores: Sequence[Score]) -> str:
    """Return one line for each object or image and method, under a line of names; empty cells where nothing is."""
    about = list(dict.fromkeys(name for score in scores for name in score.about))
    values = list(dict.fromkeys(name for score in scores for name in score.values))
    guessed = any(score.predicted is not None for score in scores)
    stream = io.StringIO()
    columns = ["image", "group", "method", *about, *values, *(["predicted"] if guessed else [])]
    writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for score in scores:
        numbers = {name: round(value, 6) for name, value in score.values.items()}
        guess = "" if score.predicted is None else round(score.predicted, 6)
        row = {"image": score.image, "group": score.group, "method": score.method, "predicted": guess}
        writer.writerow({**row, **score.about, **numbers})
    return stream.getvalue()

"""Tables of prompts: CSV rows and GeoJSON features, one group of them for each object."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from skimage.draw import polygon2mask

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import write_whole
from napari_sam.paths import local_path
from napari_sam.types import Prompts

__all__ = ["COLUMNS", "PromptRow", "group_prompts", "read_prompt_table", "write_prompt_csv"]

COLUMNS = ("object_id", "kind", "row", "col", "row1", "col1", "label", "t", "z", "text")


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """Hold one prompt of a table.

    Parameters
    ----------
    object_id
        The label that the object gets, 1 or more.
    kind
        "point", "box", "polygon", or "text" for a text that has no place.
    row, col
        Of the point, or of the box's first corner.
    row1, col1
        Of the box's other corner (exclusive).
    label
        1 or 0, for points.
    vertices
        (row, col) pairs of a polygon.
    plane
        (t, z) where the table gives them.
    text
        What the object is, in words; "" where the row says nothing of it.
    """

    object_id: int
    kind: str
    row: float = 0.0
    col: float = 0.0
    row1: float = 0.0
    col1: float = 0.0
    label: int = 1
    vertices: tuple[tuple[float, float], ...] = ()
    plane: tuple[int | None, int | None] = field(default=(None, None))
    text: str = ""


def read_prompt_table(path: str | Path) -> list[PromptRow]:
    """Read a .csv or .geojson file.

    Raises
    ------
    InputError
        If the file cannot be read, or a line or feature is not usable; it is named.
    """
    path = local_path(path)
    readers = {".csv": _read_csv, ".geojson": _read_geojson, ".json": _read_geojson}
    if path.suffix.lower() not in readers:
        raise InputError(f"Cannot read prompts from {path}: give a .csv or .geojson file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the prompts {path} ({error}): give an existing text file.") from error
    rows = readers[path.suffix.lower()](text, path)
    if not rows:
        raise InputError(f"There are no prompts in {path}: give at least one point, box, polygon or text.")
    return rows


def group_prompts(rows: Iterable[PromptRow], shape: tuple[int, int]) -> dict[int, Prompts]:
    """Collect the rows of each object, in the order of their first rows.

    Parameters
    ----------
    rows
        Of one plane.
    shape
        (H, W) of the image, for the masks of polygons.

    Raises
    ------
    InputError
        If an object has two boxes, two texts, or a polygon without area.
    """
    objects: dict[int, list[PromptRow]] = {}
    for row in rows:
        objects.setdefault(row.object_id, []).append(row)
    return {number: _one_object(number, group, shape) for number, group in objects.items()}


def write_prompt_csv(path: str | Path, prompts: Mapping[int, Prompts]) -> None:
    """Write points, boxes and texts of objects as a table that `read_prompt_table` reads; masks are left out."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    for number, what in prompts.items():
        said = {"object_id": number, "text": what.text}
        for (row, col), label in zip(what.points, what.labels, strict=True):
            writer.writerow({**said, "kind": "point", "row": row, "col": col, "label": label})
        if what.box is not None:
            row0, col0, row1, col1 = what.box
            corners = {"row": row0, "col": col0, "row1": row1, "col1": col1}
            writer.writerow({**said, "kind": "box", **corners})
        if what.text and replace(what, text="").empty:
            writer.writerow({**said, "kind": "text"})
    write_whole(local_path(path), stream.getvalue().encode())


def _read_csv(text: str, path: Path) -> list[PromptRow]:
    reader = csv.DictReader(text.splitlines())
    names = set(reader.fieldnames or ())
    missing = {"object_id", "kind", "row", "col"} - names
    if missing:
        raise InputError(f"{path} lacks the column {sorted(missing)[0]}: columns are {', '.join(COLUMNS)}.")
    return [_csv_row(values, f"Line {number} of {path}") for number, values in enumerate(reader, start=2)]


def _csv_row(values: Mapping[str, Any], where: str) -> PromptRow:
    def number(name: str, default: float | None = None) -> float:
        text = (values.get(name) or "").strip()
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            raise InputError(f"{where}: column {name} is {text!r}, give a number.") from None
        if not np.isfinite(value):
            raise InputError(f"{where}: column {name} is {text!r}, give a finite number.")
        return value

    def index(name: str) -> int | None:
        return int(number(name)) if (values.get(name) or "").strip() else None

    kind = (values.get("kind") or "").strip()
    if kind not in ("point", "box", "text"):
        raise InputError(f"{where}: column kind is {kind!r}, give point, box or text.")
    words = (values.get("text") or "").strip()
    if kind == "text" and not words:
        raise InputError(f"{where}: column text is empty, give words, such as bright round nuclei.")
    box, placed = kind == "box", kind != "text"
    label = number("label", 1)
    if label not in (0, 1):
        raise InputError(f"{where}: column label is {label:g}, give 1 (object) or 0 (not object).")
    return PromptRow(
        object_id=_object_id(number("object_id"), where),
        kind=kind,
        row=number("row") if placed else 0.0,
        col=number("col") if placed else 0.0,
        row1=number("row1") if box else 0.0,
        col1=number("col1") if box else 0.0,
        label=int(label),
        plane=(index("t"), index("z")),
        text=words,
    )


def _read_geojson(text: str, path: Path) -> list[PromptRow]:
    try:
        features = json.loads(text)["features"]
        return [row for i, feature in enumerate(features) for row in _feature(feature, i, path)]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no GeoJSON of points and polygons ({error}): give a FeatureCollection.") from error


def _feature(feature: Mapping[str, Any], number: int, path: Path) -> list[PromptRow]:
    """Turn one feature into prompts; coordinates are (col, row), as the standard says (x, y)."""
    where = f"Feature {number} of {path}"
    properties = feature.get("properties") or {}
    object_id = _object_id(float(properties.get("object_id", number + 1)), where)
    words = properties.get("text") or ""
    if not isinstance(words, str):
        raise InputError(f"{where}: the text is {words!r}, give words, such as bright round nuclei.")
    words, geometry = words.strip(), feature["geometry"]
    if geometry is None and words:  # as the standard says of what has no place
        return [PromptRow(object_id=object_id, kind="text", text=words)]
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind in ("Point", "MultiPoint"):
        places = [coordinates] if kind == "Point" else coordinates
        label = int(properties.get("label", 1))
        if label not in (0, 1):
            raise InputError(f"{where}: the label is {label}, give 1 (object) or 0 (not object).")
        return [
            PromptRow(object_id=object_id, kind="point", row=float(row), col=float(col), label=label, text=words)
            for col, row, *_ in places
        ]
    if kind == "Polygon":
        outline = tuple((float(row), float(col)) for col, row, *_ in coordinates[0])
        return [PromptRow(object_id=object_id, kind="polygon", vertices=outline, text=words)]
    raise InputError(f"{where} is a {kind}: give Point, MultiPoint or Polygon.")


def _object_id(value: float, where: str) -> int:
    if value < 1 or value != int(value):
        raise InputError(f"{where}: object_id is {value:g}, give a whole number of at least 1.")
    return int(value)


def _one_object(number: int, rows: list[PromptRow], shape: tuple[int, int]) -> Prompts:
    points = [row for row in rows if row.kind == "point"]
    boxes = [(row.row, row.col, row.row1, row.col1) for row in rows if row.kind == "box"]
    if len(boxes) > 1:
        raise InputError(f"Object {number} has {len(boxes)} boxes: give one, or another object_id to the others.")
    texts = [*dict.fromkeys(row.text for row in rows if row.text)]
    if len(texts) > 1:
        raise InputError(
            f"Object {number} has the texts {texts[0]!r} and {texts[1]!r}: give one, or another object_id to the rest."
        )
    mask = np.zeros(shape, bool)
    for row in rows:
        if row.kind == "polygon":
            mask |= polygon2mask(shape, np.array(row.vertices))
    outlined = any(row.kind == "polygon" for row in rows)
    if outlined and not mask.any():
        raise InputError(f"The polygon of object {number} covers no pixel of the image: give (col, row) inside it.")
    return Prompts(
        points=tuple((row.row, row.col) for row in points),
        labels=tuple(row.label for row in points),
        box=boxes[0] if boxes else None,
        mask=mask if outlined else None,
        text=texts[0] if texts else "",
    )

"""Tables of prompts: CSV rows, GeoJSON features and exported masks, one group of them for each object."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import write_whole
from napari_sam.io.coco_masks import is_coco
from napari_sam.io.csv_rows import CsvRow, csv_number, read_csv_rows
from napari_sam.io.geojson_features import Feature, feature_polygons, read_features
from napari_sam.io.mask_entries import DAMAGED, free_numbers
from napari_sam.io.mask_files import DECODE
from napari_sam.io.outlines import outline_to_record
from napari_sam.io.roi_masks import holds_rois
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.paths import local_path
from napari_sam.types import Prompts

__all__ = [
    "COLUMNS",
    "PromptRow",
    "PromptTable",
    "group_prompts",
    "has_texts",
    "is_table",
    "on_plane",
    "read_prompt_table",
    "write_prompt_csv",
]

Read = TypeVar("Read")
COLUMNS = ("object_id", "kind", "row", "col", "row1", "col1", "label", "t", "z", "text")
KINDS = ("point", "box", "text")
LARGEST_ID = 2**31 - 1
# what people write for 1 (inside) and 0 (outside)
WORDS = {
    **dict.fromkeys(("positive", "foreground", "inside", "object", "true", "yes", "+"), 1),
    **dict.fromkeys(("negative", "background", "outside", "false", "no", "-"), 0),
}


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """Hold one prompt of a table.

    Parameters
    ----------
    object_id
        The label that the object gets, 1 or more.
    kind
        "point", "box", "polygon" (an outline or a mask), or "text" for a text that has no place.
    row, col
        Of the point, or of the box's first corner.
    row1, col1
        Of the box's other corner (exclusive).
    label
        1 or 0, for points.
    record
        The pixels of a "polygon".
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
    record: MaskRecord | None = None
    plane: tuple[int | None, int | None] = field(default=(None, None))
    text: str = ""


@dataclass(frozen=True)
class PromptTable:
    """Hold the prompts of a file, and what is wrong with each entry that is left out, without a stop.

    An object of which an entry is left out is left out as a whole: with half of what was said it would be another.
    """

    rows: list[PromptRow]
    problems: list[str]


def read_prompt_table(path: str | Path, shape: tuple[int, int]) -> PromptTable:
    """Read prompts, or whatever `write_masks` writes: .csv, .geojson, .json (COCO or GeoJSON) or .zip (ImageJ).

    Parameters
    ----------
    path
        The file.
    shape
        (H, W) of the image; outlines are cut off at its border.

    Raises
    ------
    InputError
        If the file cannot be read, or none of its entries is usable; the first is named.
    """
    readers = {".csv": _read_csv, ".geojson": _read_json, ".json": _read_json, ".zip": _read_zip}
    table = _read(local_path(path), readers, shape)
    if not table.rows:
        more = f" ({table.problems[0]})" if table.problems else ""
        raise InputError(f"There are no prompts in {path}{more}: give at least one point, box, polygon or text.")
    return table


def has_texts(path: str | Path) -> bool:
    """Tell whether a table of prompts says of some object in words what it is; outlines are not looked at.

    Raises
    ------
    InputError
        If the file cannot be read.
    """

    def in_csv(data: bytes) -> bool:
        columns, rows = read_csv_rows(data)
        return "rle" not in columns and any(row.cells.get("text") for row in rows)

    def in_json(data: bytes) -> bool:
        content = json.loads(data)
        return not is_coco(content) and any(feature.properties.get("text") for feature in read_features(content))

    return _read(local_path(path), {".csv": in_csv, ".geojson": in_json, ".json": in_json, ".zip": lambda _: False})


def is_table(path: str) -> bool:
    """Tell whether a file is one that `read_prompt_table` reads, by its name; of zips, by what is in them."""
    if path.lower().endswith(".zip"):
        return local_path(path).is_file() and holds_rois(path)
    return path.lower().endswith((".csv", ".geojson", ".json"))


def _read(path: Path, readers: Mapping[str, Callable[..., Read]], *how: Any) -> Read:
    """Read a file by its extension; what goes wrong becomes one sentence."""
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(f"Cannot read prompts from {path}: give a .csv or .geojson file, or exported masks.")
    try:
        return readers[suffix](path.read_bytes(), *how)
    except OSError as error:
        raise InputError(f"Cannot read the prompts {path} ({error.strerror}): give an existing file.") from error
    except InputError as error:
        raise InputError(f"Cannot use the prompts in {path}: {str(error).rstrip('.')}.") from error
    except DAMAGED as error:
        kind = {".csv": "CSV table", ".zip": "zip of ImageJ ROIs"}.get(
            suffix, "GeoJSON of points and polygons, or COCO"
        )
        reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        raise InputError(f"{path} is damaged or no {kind} ({reason}): write it anew.") from error


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
        If an object has two boxes or two texts.
    """
    objects: dict[int, list[PromptRow]] = {}
    for row in rows:
        objects.setdefault(row.object_id, []).append(row)
    return {number: _one_object(number, group, shape) for number, group in objects.items()}


def on_plane(row: PromptRow, index: Mapping[str, int]) -> bool:
    """Tell whether a row is on a plane, given by its axes ("t", "z"); what either does not say counts as fitting.

    An axis that the image does not have is 0.
    """
    said = zip("tz", row.plane, strict=True)
    return all(index.get(axis, 0) == number for axis, number in said if number is not None)


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


def _read_csv(data: bytes, shape: tuple[int, int]) -> PromptTable:
    columns, rows = read_csv_rows(data)
    if "rle" in columns:
        return _of_masks(".csv", data, shape)
    missing = [name for name in ("object_id", "kind", "row", "col") if name not in columns]
    if missing:
        raise InputError(f"the column {missing[0]} is missing, columns are {', '.join(COLUMNS)}")
    return _collect((f"Line {row.line}", row.cells.get("object_id"), _csv_prompts(row)) for row in rows)


def _read_json(data: bytes, shape: tuple[int, int]) -> PromptTable:
    content = json.loads(data)
    if is_coco(content):
        return _of_masks(".json", data, shape)
    features = read_features(content, shape)
    return _collect((f.name, f.properties.get("object_id"), _feature_prompts(f, shape)) for f in features)


def _read_zip(data: bytes, shape: tuple[int, int]) -> PromptTable:
    return _of_masks(".zip", data, shape)


def _of_masks(suffix: str, data: bytes, shape: tuple[int, int]) -> PromptTable:
    found = DECODE[suffix](data, shape)
    numbers = free_numbers(found.labels)
    rows = zip(numbers, found.records, strict=True)
    return PromptTable([PromptRow(object_id=n, kind="polygon", record=record) for n, record in rows], found.problems)


def _collect(entries: Iterable[tuple[str, Any, Iterator[PromptRow]]]) -> PromptTable:
    """Read all entries: what they are called, the id they give, their prompts (with 0 for the id).

    Raises
    ------
    InputError
        If there are entries and none is usable.
    """
    read: list[list[PromptRow]] = []
    numbers: list[int | None] = []
    problems: list[str] = []
    spoilt: set[int] = set()
    for name, said, prompts in entries:
        number: int | None = None
        try:
            number = _object_id(said)
            rows = list(prompts)
        except InputError as error:
            problems.append(f"{name}: {str(error).rstrip('.')}")
        except DAMAGED as error:
            problems.append(f"{name} is damaged ({type(error).__name__}: {error})")
        else:
            read.append(rows)
            numbers.append(number)
            continue
        spoilt |= {number} if number is not None else set()
    whole = zip(free_numbers(numbers), read, strict=True)
    rows = [replace(row, object_id=n) for n, group in whole if n not in spoilt for row in group]
    if problems and not rows:
        raise InputError(problems[0])
    return PromptTable(rows, problems)


def _csv_prompts(line: CsvRow) -> Iterator[PromptRow]:
    def number(name: str) -> float:
        text = line.cells.get(name, "")
        try:
            value = csv_number(text)
        except ValueError:
            raise InputError(f"column {name} is {text!r}, give a number") from None
        if not math.isfinite(value):
            raise InputError(f"column {name} is {text!r}, give a finite number")
        return value

    def index(name: str) -> int | None:
        value = number(name) if line.cells.get(name) else None
        if value is not None and value != int(value):
            raise InputError(f"column {name} is {value:g}, give a whole number")
        return None if value is None else int(value)

    kind, words = line.cells.get("kind", "").lower(), line.cells.get("text", "")
    if kind not in KINDS:
        raise InputError(f"column kind is {line.cells.get('kind', '')!r}, give point, box or text")
    if kind == "text" and not words:
        raise InputError("column text is empty, give words, such as bright round nuclei")
    box, placed = kind == "box", kind != "text"
    yield PromptRow(
        object_id=0,
        kind=kind,
        row=number("row") if placed else 0.0,
        col=number("col") if placed else 0.0,
        row1=number("row1") if box else 0.0,
        col1=number("col1") if box else 0.0,
        label=_label(line.cells.get("label")) if kind == "point" else 1,
        plane=(index("t"), index("z")),
        text=words,
    )


def _feature_prompts(feature: Feature, shape: tuple[int, int]) -> Iterator[PromptRow]:
    """Turn one feature into prompts; coordinates are (col, row), as the standard says (x, y)."""
    words = feature.properties.get("text") or ""
    if not isinstance(words, str):
        raise InputError(f"the text is {words!r}, give words, such as bright round nuclei")
    words = words.strip()
    if feature.geometry is None:
        if not words:
            raise InputError("it has no geometry and no text")
        yield PromptRow(object_id=0, kind="text", text=words)  # as the standard says of what has no place
        return
    for part in feature.parts:
        kind, coordinates = part["type"], part.get("coordinates", ())
        if kind in ("Point", "MultiPoint"):
            label = _label(feature.properties.get("label"))
            for col, row, *_ in [coordinates] if kind == "Point" else coordinates:
                if not (math.isfinite(row) and math.isfinite(col)):
                    raise InputError("a coordinate is no finite number")
                yield PromptRow(object_id=0, kind="point", row=float(row), col=float(col), label=label, text=words)
        elif kind not in ("Polygon", "MultiPolygon"):
            raise InputError(f"it is a {kind}, give Point, MultiPoint, Polygon or MultiPolygon")
    polygons = feature_polygons(feature)
    if polygons:
        record = outline_to_record(polygons, shape, {})
        yield PromptRow(object_id=0, kind="polygon", record=record, text=words)


def _object_id(value: Any) -> int | None:
    """Return the id that an entry gives its object; None where it gives none."""
    if value is None or value == "":
        return None
    try:
        number = csv_number(value) if isinstance(value, str) else float(value)
        whole = math.isfinite(number) and number == int(number)
    except (TypeError, ValueError):
        whole = False
    if not whole or not 1 <= number <= LARGEST_ID:
        raise InputError(f"object_id is {value!r}, give a whole number from 1 to {LARGEST_ID}")
    return int(number)


def _label(value: Any) -> int:
    """Return 1 (object) or 0 (not object); nothing is 1."""
    if value is None or value == "":
        return 1
    if isinstance(value, str) and value.lower() in WORDS:
        return WORDS[value.lower()]
    try:
        number = csv_number(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if number not in (0, 1):
        raise InputError(f"the label is {value!r}, give 1 (object) or 0 (not object)")
    return int(number)


def _one_object(number: int, rows: Sequence[PromptRow], shape: tuple[int, int]) -> Prompts:
    points = [row for row in rows if row.kind == "point"]
    boxes = [(row.row, row.col, row.row1, row.col1) for row in rows if row.kind == "box"]
    if len(boxes) > 1:
        raise InputError(f"Object {number} has {len(boxes)} boxes: give one, or another object_id to the others.")
    texts = [*dict.fromkeys(row.text for row in rows if row.text)]
    if len(texts) > 1:
        raise InputError(
            f"Object {number} has the texts {texts[0]!r} and {texts[1]!r}: give one, or another object_id to the rest."
        )
    outlines = [row.record for row in rows if row.record is not None]
    mask = np.zeros(shape, bool) if outlines else None
    for record in outlines:
        assert mask is not None  # noqa: S101 - there are outlines
        mask[record.slices] |= record.patch
    return Prompts(
        points=tuple((row.row, row.col) for row in points),
        labels=tuple(row.label for row in points),
        box=boxes[0] if boxes else None,
        mask=mask,
        text=texts[0] if texts else "",
    )

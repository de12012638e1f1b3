"""What was said of each object on a plane, read from points and shapes; knows neither napari nor Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_sam.types import BoolArray, Prompts

__all__ = ["MaskSeed", "ObjectPrompts", "PointPrompt", "ShapePrompt", "group_objects"]

Position = tuple[float, float]
Box = tuple[float, float, float, float]

SCRIBBLE_SPACING = 16.0  # pixels
SCRIBBLE_POINTS = 2, 4  # at least and at most; one is ambiguous, and the bundled model gets worse with many
ELLIPSE_CORNERS = 48


@dataclass(frozen=True)
class PointPrompt:
    """A click: its (row, col), whether it is part of the object, and its row in the Points layer."""

    position: Position
    positive: bool
    row: int


@dataclass(frozen=True)
class ShapePrompt:
    """A drawn shape: napari's shape type, its vertices (row, col), and its row in the Shapes layer."""

    kind: str
    vertices: tuple[Position, ...]
    positive: bool
    row: int

    @cached_property
    def bounds(self) -> Box:
        """(row0, col0, row1, col1) with exclusive ends; pixel centres are at integers, so edges at halves."""
        corners = np.asarray(self.vertices)
        (row0, col0), (row1, col1) = corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5
        return float(row0), float(col0), float(row1), float(col1)

    @property
    def outline(self) -> tuple[Position, ...]:
        """The polygon of an ellipse (napari stores the corners of its box) or of a polygon."""
        if self.kind != "ellipse":
            return self.vertices
        corners = np.asarray(self.vertices)
        centre = corners.mean(axis=0)
        half_a, half_b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
        angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
        return _positions(centre + np.outer(np.cos(angles), half_a) + np.outer(np.sin(angles), half_b))

    @property
    def scribble(self) -> tuple[Position, ...]:
        """Points spread evenly along a path or line, its ends pulled in by half a step."""
        vertices = np.asarray(self.vertices)
        along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(vertices, axis=0), axis=1))]
        count = int(np.clip(round(along[-1] / SCRIBBLE_SPACING), *SCRIBBLE_POINTS))
        stops = (np.arange(count) + 0.5) / count * along[-1]
        return _positions(np.stack([np.interp(stops, along, vertices[:, axis]) for axis in (0, 1)], axis=1))


@dataclass(frozen=True, eq=False)
class MaskSeed:
    """A mask to start from: `patch` (h, w) bool with its first pixel at `origin`, of an existing label or of none."""

    patch: BoolArray
    origin: tuple[int, int]
    label: int | None = None

    @classmethod
    def of(cls, mask: npt.ArrayLike, label: int | None = None, at: tuple[int, int] = (0, 0)) -> MaskSeed:
        """Crop a (h, w) mask that is not empty, its first pixel `at` (row, col), to its bounding box."""
        mask = np.asarray(mask, dtype=bool)
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        patch = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
        return cls(patch, (at[0] + int(rows[0]), at[1] + int(cols[0])), label)

    @property
    def bounds(self) -> Box:
        """(row0, col0, row1, col1) with exclusive ends."""
        (row, col), (height, width) = self.origin, self.patch.shape
        return float(row), float(col), float(row + height), float(col + width)


@dataclass(frozen=True, kw_only=True)
class ObjectPrompts:
    """Hold what was said of one object.

    Parameters
    ----------
    points, labels
        (row, col) positions of clicks and scribbles, 1 for part of the object and 0 for not.
    box
        (row0, col0, row1, col1) with exclusive ends.
    outlines
        Polygons that were drawn around the object or parts of it.
    seed
        A mask to start from.
    point_rows, shape_rows
        Where these prompts stand in their layers.
    """

    points: tuple[Position, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    outlines: tuple[tuple[Position, ...], ...] = ()
    seed: MaskSeed | None = None
    point_rows: tuple[int, ...] = field(default=(), compare=False)
    shape_rows: tuple[int, ...] = field(default=(), compare=False)

    @property
    def empty(self) -> bool:
        """Tell whether nothing was said of where the object is."""
        return not (any(self.labels) or self.box or self.outlines or self.seed)

    def extends(self, other: ObjectPrompts) -> bool:
        """Tell whether this is the other with points added and nothing else changed."""
        count = len(other.points)
        return (
            len(self.points) > count
            and (self.points[:count], self.labels[:count]) == (other.points, other.labels)
            and (self.box, self.outlines, self.seed) == (other.box, other.outlines, other.seed)
        )

    def extent(self, shape: tuple[int, int]) -> Box:
        """Return the box around everything that was said, cut to an image of (H, W)."""
        places = [*self.points, *(corner for outline in self.outlines for corner in outline)]
        boxes = [(row, col, row, col) for row, col in places] + ([self.box] if self.box else [])
        return _clip(_union(boxes + ([self.seed.bounds] if self.seed else [])), shape)

    def moved(self, rows: int, cols: int) -> ObjectPrompts:
        """Return outlines and seed in an image whose pixels lie so many rows and columns further."""
        outlines = tuple(tuple((row + rows, col + cols) for row, col in outline) for outline in self.outlines)
        seed = self.seed
        if seed is not None:
            seed = replace(seed, origin=(seed.origin[0] + rows, seed.origin[1] + cols))
        return ObjectPrompts(outlines=outlines, seed=seed)

    def render(self, shape: tuple[int, int]) -> Prompts:
        """Turn it into what the predictor takes; outlines and seed become one (H, W) mask of the whole image."""
        mask = None
        if self.outlines or self.seed:
            from skimage.draw import polygon, polygon_perimeter

            mask = np.zeros(shape, dtype=bool)
            for outline in self.outlines:
                rows, cols = np.asarray(outline, float).T
                inside = polygon(rows, cols, shape)
                if not len(inside[0]):  # too thin to hold the middle of a pixel, as at its first corners
                    inside = polygon_perimeter(rows, cols, shape, clip=True)
                mask[inside] = True
            if self.seed:
                (row, col), (height, width) = self.seed.origin, self.seed.patch.shape
                mask[row : row + height, col : col + width] |= self.seed.patch
        return Prompts(points=self.points, labels=self.labels, box=self.box, mask=mask)


def group_objects(
    points: Sequence[PointPrompt],
    shapes: Sequence[ShapePrompt],
    *,
    shape: tuple[int, int],
    one_per_shape: bool,
    seed: MaskSeed | None = None,
) -> list[ObjectPrompts]:
    """Sort prompts into objects.

    Parameters
    ----------
    points, shapes
        The prompts on one plane; what lies outside the image is left out.
    shape
        (H, W) of the image.
    one_per_shape
        Whether each shape is an object of its own, to which the points inside its bounds belong (the smallest
        shape's, where several hold a point), and the other points another object; else all is one object.
    seed
        A mask to start from, of the object without shape.

    Returns
    -------
    list
        Objects that have at least one positive prompt; a box and an outline of the whole object come before points.
    """
    points = [point for point in points if _inside(point.position, shape)]
    shapes = [drawn for drawn in shapes if _has_extent(drawn, shape)]
    if not one_per_shape:
        objects = [_combine(points, shapes, shape, seed)]
    else:
        objects = []
        by_size = sorted(shapes, key=lambda drawn: _area(drawn.bounds))
        owners = {p.row: next((s.row for s in by_size if _holds(s.bounds, p.position)), None) for p in points}
        for drawn in shapes:
            objects.append(_combine([p for p in points if owners[p.row] == drawn.row], [drawn], shape, None))
        objects.append(_combine([p for p in points if owners[p.row] is None], [], shape, seed))
    return [prompts for prompts in objects if not prompts.empty]


def _combine(
    points: Sequence[PointPrompt], shapes: Sequence[ShapePrompt], shape: tuple[int, int], seed: MaskSeed | None
) -> ObjectPrompts:
    boxes = [drawn.bounds for drawn in shapes if drawn.kind == "rectangle"]
    outlined = [drawn for drawn in shapes if drawn.kind in ("polygon", "ellipse")]
    if not boxes:  # a mask alone tells the models little, a mask in its box much
        boxes = [drawn.bounds for drawn in outlined] + ([seed.bounds] if seed is not None else [])
    scribbles = [drawn for drawn in shapes if drawn.kind in ("path", "line")]
    said = [(at, drawn.positive) for drawn in scribbles for at in drawn.scribble if _inside(at, shape)]
    said += [(point.position, point.positive) for point in points]
    return ObjectPrompts(
        points=tuple(position for position, _ in said),
        labels=tuple(int(positive) for _, positive in said),
        box=_clip(_union(boxes), shape) if boxes else None,
        outlines=tuple(drawn.outline for drawn in outlined),
        seed=seed,
        point_rows=tuple(point.row for point in points),
        shape_rows=tuple(drawn.row for drawn in shapes),
    )


def _positions(array: npt.NDArray[np.float64]) -> tuple[Position, ...]:
    return tuple((float(row), float(col)) for row, col in array)


def _union(boxes: Iterable[Box]) -> Box:
    row0, col0, row1, col1 = zip(*boxes, strict=True)
    return min(row0), min(col0), max(row1), max(col1)


def _clip(box: Box, shape: tuple[int, int]) -> Box:
    row0, col0, row1, col1 = box
    return max(row0, 0.0), max(col0, 0.0), min(row1, float(shape[0])), min(col1, float(shape[1]))


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _holds(box: Box, position: Position) -> bool:
    return box[0] - 0.5 <= position[0] <= box[2] - 0.5 and box[1] - 0.5 <= position[1] <= box[3] - 0.5


def _inside(position: Position, shape: tuple[int, int]) -> bool:
    return all(-0.5 <= at <= size - 0.5 for at, size in zip(position, shape, strict=True))


def _has_extent(drawn: ShapePrompt, shape: tuple[int, int]) -> bool:
    """Tell whether a shape says anything: a box or outline with area inside the image, or a path."""
    if drawn.kind in ("path", "line"):
        return len(drawn.vertices) > 1
    row0, col0, row1, col1 = _clip(drawn.bounds, shape)
    return row1 - row0 >= 1 and col1 - col0 >= 1

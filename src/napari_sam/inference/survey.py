"""What the object head sees in a whole region: its maps of all windows in one, and the prompts that they suggest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage

from napari_sam.inference.views import View
from napari_sam.inference.window_cover import cover_boxes
from napari_sam.inference.windows import CLOSE_SCALE, close_window, is_small, place_window, window_around
from napari_sam.model.object_head import ObjectMaps
from napari_sam.model.sam import Sam
from napari_sam.ops.seeds import find_seeds, grow_seeds
from napari_sam.types import Window

__all__ = ["Survey", "fitting_level", "split_region", "survey_windows"]

Points = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]

SMALLEST = 14.0  # model pixels: objects of a smaller usual diameter are surveyed from nearby
LARGEST = 110.0
PART = 2048  # pixels: larger regions are surveyed part by part, so that memory stays what it is
HALO = 256  # by which parts reach into each other
CLOSEST, FARTHEST = -2, 6  # levels
WELL_INSIDE = 0.4  # of a window, for objects that are looked at where they were surveyed
AROUND = 0.1  # of a close-up, between an object and its edge
OVERLAP = 0.25  # of a window, between the windows of a survey
STEPS = 0.25  # of a window, between the points for which windows are looked up


def split_region(region: Box) -> list[tuple[Box, Box]]:
    """Split (row0, col0, row1, col1) into parts that overlap, and the core of each; the cores do not overlap."""
    bands = [_split(region[axis], region[axis + 2]) for axis in (0, 1)]
    pairs = [(rows, cols) for rows in bands[0] for cols in bands[1]]
    return [((r[0], c[0], r[3], c[3]), (r[1], c[1], r[2], c[2])) for r, c in pairs]


def fitting_level(diameter: float, level: int = 0) -> int:
    """Return the level at which objects are seen best that have this diameter, in model pixels, at `level`."""
    change = 0
    while diameter * 2**change < SMALLEST:
        change += 1
    while diameter * 2**change > LARGEST:
        change -= 1
    return int(np.clip(level - change, CLOSEST, FARTHEST))


def survey_windows(shape: tuple[int, int], img_size: int, level: int, *, lattice: bool = False) -> list[Window]:
    """List windows of a level that cover a region of (H, W) pixels and overlap by a quarter, or those of the lattice.

    The lattice has twice as many; embeddings on disk are of its windows.
    """
    first = window_around(shape, img_size, (0.0, 0.0), level)
    if not lattice:
        rows, cols = (_spread(length, side) for length, side in zip(shape, (first.height, first.width), strict=True))
        return [replace(first, row=row, col=col) for row in rows for col in cols]
    step = img_size * STEPS / first.scale[0]
    at = (np.append(np.arange(0, side, step), side) for side in shape)
    points = product(*at)
    found = (window_around(shape, img_size, (float(row), float(col)), level) for row, col in points)
    return list(dict.fromkeys(found))


class Survey:
    """Blend the maps of windows, and find the objects in them.

    Parameters
    ----------
    model
        With an object head.
    shape
        (H, W) of the region.
    level
        At which its windows lie, see `window_around`.
    lattice
        Whether the windows are those of the lattice, see `survey_windows`.
    """

    def __init__(self, model: Sam, shape: tuple[int, int], level: int = 0, *, lattice: bool = False) -> None:
        self.level = level
        self._model, self._shape = model, shape
        self.windows = survey_windows(shape, model.img_size, level, lattice=lattice)
        scale = max(self.windows[0].scale)
        # cells of the maps are kept where they are smaller than pixels
        self._zoom = max(1.0, scale * model.mask_size / model.img_size)
        self._size = tuple(max(1, round(side * self._zoom)) for side in shape)
        self._maps = np.zeros((3, *self._size), np.float32)
        self._weights = np.zeros(self._size, np.float32)

    def add(self, window: Window, maps: ObjectMaps) -> None:
        """Add what was seen through a window; its middle counts more than its rim."""
        cell = self._model.img_size / self._model.mask_size
        rows, cols = (int(np.ceil(side / cell)) for side in (window.input_height, window.input_width))
        seen = torch.stack([maps.foreground[0].sigmoid(), maps.middle[0].sigmoid(), maps.diameter[0]])[:, :rows, :cols]
        top, left = round(window.row * self._zoom), round(window.col * self._zoom)
        bottom = min(self._size[0], round((window.row + window.height) * self._zoom))
        right = min(self._size[1], round((window.col + window.width) * self._zoom))
        size = bottom - top, right - left
        values = F.interpolate(seen[None].float().cpu(), size, mode="bilinear", align_corners=False)[0].numpy()
        weight = np.minimum.outer(_inwards(size[0]), _inwards(size[1]))
        self._maps[:, top:bottom, left:right] += values * weight
        self._weights[top:bottom, left:right] += weight

    def better_level(self) -> int:
        """Return the level at which objects of the usual size are seen best: this one, a closer or a coarser one."""
        sizes = self.log_diameters()
        return fitting_level(2.0 ** float(np.median(sizes)), self.level) if len(sizes) else self.level

    def log_diameters(self) -> Points:
        """Return the (n,) binary logarithms of the objects' diameters in model pixels."""
        foreground, middle, diameter = self._blend()
        markers, points = find_seeds(foreground, middle)
        if not len(points):
            return np.empty(0)
        return np.asarray(ndimage.median(diameter, markers, np.arange(1, len(points) + 1)))

    def views(self, core: Box | None = None) -> list[View]:
        """Return the views through which to ask for each object with a box; small ones are looked at from nearby.

        Of a part of a larger region only the objects whose middle lies in its core (row0, col0, row1, col1) count.
        """
        points, boxes = self._objects()
        if core is not None:
            mine = ((points >= np.array(core[:2]) - 0.5) & (points < np.array(core[2:]) - 0.5)).all(axis=1)
            points, boxes = points[mine], boxes[mine]
        if not len(points):
            return []
        chosen: dict[tuple[Window, int], list[int]] = {}
        small = []
        for number, (point, box) in enumerate(zip(points, boxes, strict=True)):
            found = self._window_for(point, box)
            if found is None:
                small.append(number)
            else:
                chosen.setdefault(found, []).append(number)
        for window, own in self._close_ups(boxes[small]):
            chosen[window, -1] = [small[number] for number in own]
        return [View(window, points[own], level, level, boxes[own]) for (window, level), own in chosen.items()]

    def _window_for(self, point: Points, box: Points) -> tuple[Window, int] | None:
        """Return where to look at one object, and the level of that; None for a small one, which is seen closer."""
        size = self._model.img_size
        if self.level < 0 and max(box[2] - box[0], box[3] - box[1]) * 2**-self.level <= size * WELL_INSIDE:
            return self._surveyed(point), self.level
        extent = float(box[0]), float(box[1]), float(box[2]), float(box[3])
        window, level = place_window(self._shape, size, extent, box=True, level=max(self.level, 0))
        return None if is_small(size, extent, max(window.scale)) else (window, level)

    def _surveyed(self, point: Points) -> Window:
        """Return the window of the survey in whose middle a point lies."""
        return min(
            self.windows,
            key=lambda w: max(abs(w.row + w.height / 2 - point[0]), abs(w.col + w.width / 2 - point[1])),
        )

    def _close_ups(self, boxes: Points) -> Iterator[tuple[Window, list[int]]]:
        """Yield windows that show small objects twice as large, each with the numbers of its objects."""
        side = int(self._model.img_size / CLOSE_SCALE)
        sides = min(self._shape[0], side), min(self._shape[1], side)
        for origin, own in cover_boxes(boxes, self._shape, sides, AROUND * side):
            yield close_window(self._shape, self._model.img_size, origin), own.tolist()

    def _blend(self) -> npt.NDArray[np.float32]:
        return np.divide(self._maps, np.maximum(self._weights, np.float32(1e-6)), dtype=np.float32)

    def _objects(self) -> tuple[Points, Points]:
        """Return (n, 2) middles and (n, 4) boxes in pixels of the region."""
        foreground, middle, _ = self._blend()
        markers, middles = find_seeds(foreground, middle)
        regions = ndimage.find_objects(grow_seeds(foreground, middle, markers))
        found = [number for number, region in enumerate(regions) if region is not None]
        corners = np.array([[r.start, c.start, r.stop, c.stop] for r, c in (regions[n] for n in found)], float)
        points = (middles[found].reshape(-1, 2) + 0.5) / self._zoom - 0.5
        limits = np.array(self._shape)
        return np.clip(points, 0, limits - 1), np.clip(corners.reshape(-1, 4) / self._zoom, 0, np.tile(limits, 2))


def _split(start: int, stop: int) -> list[tuple[int, int, int, int]]:
    """Return (start, start of the core, end of the core, end) of each part of an interval."""
    count = max(1, -(-(stop - start - HALO) // PART))
    edges = np.linspace(start, stop, count + 1).round().astype(int).tolist()
    return [(max(start, a - HALO), a, b, min(stop, b + HALO)) for a, b in pairwise(edges)]


def _spread(length: int, side: int) -> list[int]:
    """Return where windows of `side` pixels begin that cover an axis evenly."""
    overlap = side * OVERLAP
    count = max(1, -int(-(length - overlap) // (side - overlap)))
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def _inwards(length: int) -> npt.NDArray[np.float32]:
    """Return the distance of each of some pixels from the ends, at least half a pixel."""
    at = np.arange(length, dtype=np.float32) + 0.5
    return np.minimum(at, length - at)

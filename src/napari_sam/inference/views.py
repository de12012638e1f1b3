"""What automatic segmentation looks at: crops of the image, or windows over it, and the points asked in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.picture import view_of
from napari_sam.inference.windows import level_scales, window_around
from napari_sam.model.sam import Sam
from napari_sam.ops.crops import crop_boxes, point_grid
from napari_sam.types import Window

__all__ = ["View", "coarser_views", "list_views"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A part of the region, the points to ask there, and the group within which its masks compete.

    Parameters
    ----------
    window
        What the model sees, in pixels of the region.
    points
        (n, 2) points (row, col) in pixels of the region.
    group
        Number of the crop, or of the scale.
    level
        Scale of a windowed model: an index of `level_scales`; -1, -2 … look twice, four times as closely.
    boxes
        (n, 4) boxes (row0, col0, row1, col1) to ask instead of the points that lie in them, or None.
    """

    window: Window
    points: Points
    group: int
    level: int = 0
    boxes: Points | None = None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(row0, col0, row1, col1) of the window."""
        window = self.window
        return window.row, window.col, window.row + window.height, window.col + window.width


def list_views(
    model: Sam, shape: tuple[int, int], settings: AutoSettings, grids: Sequence[Points] | None = None
) -> list[View]:
    """List the views of a region of (H, W) pixels.

    Models that see the whole image get the paper's crops. A model that looks through windows gets windows at its own
    scale, and closer ones for each layer of crops; each point goes to the window in whose middle it lies.

    Parameters
    ----------
    model
        Whose input decides.
    shape
        (H, W) of the region.
    settings
        Of which the grid and the crops count.
    grids
        For each layer (n, 2) points as shares (row, col) of the crop's sides, instead of even grids.
    """
    if model.spec.windowed:
        return _window_views(model, shape, settings, grids)
    views = []
    for number, (box, layer) in enumerate(crop_boxes(shape, settings.crop_n_layers, settings.crop_overlap_ratio)):
        side = settings.points_in_layer(layer)
        shares = point_grid(side, side) if grids is None else grids[layer]
        size = np.array([box[2] - box[0], box[3] - box[1]])
        views.append(View(view_of(model, box), shares * size + np.array(box[:2]), number))
    return views


def coarser_views(model: Sam, shape: tuple[int, int], points: Points, level: int) -> list[View]:
    """List the views, one level coarser than `level`, of points whose objects run out of their windows."""
    return _windows(model, shape, points, level + 1, level + 1)


def _window_views(
    model: Sam, shape: tuple[int, int], settings: AutoSettings, grids: Sequence[Points] | None
) -> list[View]:
    scales = level_scales(shape, model.img_size)
    views = []
    for layer in range(settings.crop_n_layers + 1):
        scale = 2.0**layer if layer else scales[0]
        if layer and scale <= scales[0]:
            continue  # a small image is shown as large already
        if grids is None:  # as dense as the grid is in one window
            spacing = model.img_size / scale / settings.points_in_layer(layer)
            points = point_grid(*(max(1, round(side / spacing)) for side in shape)) * np.array(shape)
        else:
            points = grids[layer] * np.array(shape)
        views += _windows(model, shape, points, -layer, len(scales) + layer if layer else 0)
    return views


def _windows(model: Sam, shape: tuple[int, int], points: Points, level: int, group: int) -> list[View]:
    by_window: dict[Window, list[Points]] = {}
    for point in points:
        window = window_around(shape, model.img_size, (float(point[0]), float(point[1])), level)
        by_window.setdefault(window, []).append(point)
    return [View(window, np.array(own), group, level) for window, own in by_window.items()]

"""The Points and Shapes layers that hold the prompts: making, reading, writing and restoring them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Points, Shapes

from napari_sam.widgets.drawing import end_drag, finish_drawing, finish_in_mode, is_drawing, prepare_drawing
from napari_sam.widgets.object_prompts import PointPrompt, ShapePrompt
from napari_sam.widgets.screen_marks import set_screen_size
from napari_sam.widgets.transforms import apply_matrix, data_to_data, data_to_world_matrix, lay_over, placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from napari.utils.events import Event

    from napari_sam.widgets.plane import Plane

__all__ = [
    "NEGATIVE_COLOR",
    "POSITIVE_COLOR",
    "PromptContent",
    "PromptLayers",
    "insert_below_prompts",
    "is_prompt_layer",
]

_MARK = "napari-sam-stack prompts"  # in the layer's metadata

POSITIVE_COLOR = "#1fb4ff"  # told apart from the other by every kind of colour vision
NEGATIVE_COLOR = "#ff8c1a"
_NAMES = {True: "positive", False: "negative"}
_COLORS = {True: POSITIVE_COLOR, False: NEGATIVE_COLOR}
_SYMBOLS = {True: "disc", False: "cross"}
_BORDERS = {True: 0.15, False: 0.06}  # of a point's size; a cross is little else where it is wide
_SCRIBBLING = ("add_path", "add_polyline", "add_line")
_DRAGGED = ("add_rectangle", "add_ellipse", "add_line")  # whose outlines are shown while they are drawn
MODES = {
    "point": "add",
    "rectangle": "add_rectangle",
    "ellipse": "add_ellipse",
    "polygon": "add_polygon",
    "path": "add_path",
}


@dataclass(frozen=True)
class PromptContent:
    """Hold all points (n, ndim) and shapes (napari's type and (k, ndim) vertices), with their polarity.

    `matrix` takes the positions to the world; None if there were no layers.
    """

    points: npt.NDArray[np.float64]
    point_positive: tuple[bool, ...]
    shapes: tuple[tuple[str, npt.NDArray[np.float64]], ...]
    shape_positive: tuple[bool, ...]
    matrix: npt.NDArray[np.float64] | None = None

    def equals(self, other: PromptContent) -> bool:
        """Tell whether the other holds the same prompts."""
        return (
            (self.point_positive, self.shape_positive) == (other.point_positive, other.shape_positive)
            and np.array_equal(self.points, other.points)
            and all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(self.shapes, other.shapes, strict=True))
        )


class PromptLayers:
    """Hold the two layers of one viewer.

    Parameters
    ----------
    viewer
        The viewer that shows them.
    on_change
        Called after each change of a prompt, with False while it is still being dragged or drawn.
    on_tool
        Called when another tool may be in hand.
    """

    def __init__(
        self, viewer: ViewerModel, on_change: Callable[[bool], None], on_tool: Callable[[], None] = lambda: None
    ) -> None:
        self._viewer = viewer
        self._on_change = on_change
        self._on_tool = on_tool
        self._silent = False
        self.points: Points | None = None
        self.shapes: Shapes | None = None
        self.positive = True
        self._painted: dict[Layer, list[bool]] = {}
        self._shapes_mode: Any = None  # before it changes
        self._fresh = False  # whether points were added just now
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)

    def close(self) -> None:
        """Let go of viewer and layers, which stay as they are."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        for layer in (self.points, self.shapes):
            if layer is not None:
                self._disconnect(layer)
        self.points = self.shapes = None

    def ensure(self, image: Image) -> tuple[Points, Shapes]:
        """Make the layers that are missing, with the axes and the placement of the image."""
        for layer in (self.points, self.shapes):
            if layer is not None and layer.ndim != image.ndim:
                self._viewer.layers.remove(layer)
        if self.shapes is None:
            self.shapes = Shapes(ndim=image.ndim, name="SAM shapes", **placement(image))
            self.shapes.current_face_color = "transparent"
            prepare_drawing(self.shapes)
            self._add(self.shapes)
        if self.points is None:
            self.points = Points(ndim=image.ndim, name="SAM points", **placement(image))
            self.points.current_border_color = "white"  # told from any picture and any mask
            self.points.current_border_width = _BORDERS[True]
            self._add(self.points)
        if not len(self.points.data) and not self.shapes.nshapes:
            for layer in (self.points, self.shapes):
                lay_over(layer, image)
        return self.points, self.shapes

    @property
    def tool(self) -> str | None:
        """The tool in hand, one of `MODES`; None while the mouse does anything else."""
        active = self._viewer.layers.selection.active
        if active is None or active not in (self.points, self.shapes):
            return None
        return next((tool for tool, mode in MODES.items() if mode == active.mode), None)

    def take(self, image: Image, tool: str) -> None:
        """Make the layers that are missing, and get one of `MODES` ready for the mouse."""
        self.end_drawing()
        points, shapes = self.ensure(image)
        layer = points if tool == "point" else shapes
        layer.visible = layer.editable = True  # else napari does not change the mode
        self._viewer.layers.selection.active = layer
        layer.mode = MODES[tool]

    def end_drawing(self, *, keep: bool = True) -> bool:
        """Finish the shape that is being drawn, or remove it, and let the mouse go; tell whether one was drawn."""
        if self.points is not None:
            end_drag(self.points)
        return self.shapes is not None and finish_drawing(self.shapes, keep=keep)

    def set_polarity(self, positive: bool) -> None:
        """Choose what the next points and paths say: part of the object, or not."""
        self.positive = positive
        self._apply_polarity(positive)

    def read(self, image: Image, plane: Plane) -> tuple[list[PointPrompt], list[ShapePrompt]]:
        """Read the prompts that lie on a plane, as positions in that plane."""
        points, shapes = [], []
        if self.points is not None and self.points.ndim == image.ndim and len(self.points.data):
            positions, on_plane = plane.project(data_to_data(self.points, image, self.points.data))
            flags = _polarities(self.points)
            points = [
                PointPrompt((float(row), float(col)), flags[i], i)
                for i, (row, col) in enumerate(positions)
                if on_plane[i]
            ]
        if self.shapes is not None and self.shapes.ndim == image.ndim:
            flags = _polarities(self.shapes)
            for i, (kind, vertices) in self._finished_shapes():
                positions, on_plane = plane.project(data_to_data(self.shapes, image, vertices))
                if on_plane.all():
                    corners = tuple((float(row), float(col)) for row, col in positions)
                    shapes.append(ShapePrompt(kind, corners, flags[i], i))
        return points, shapes

    def add_points(self, image: Image, positions: npt.ArrayLike, positive: bool) -> None:
        """Add points at (n, ndim) data coordinates of the image."""
        layer, _ = self.ensure(image)
        self._apply_polarity(positive)
        layer.add(data_to_data(image, layer, positions))
        self._apply_polarity(self.positive)

    def add_shapes(
        self, image: Image, kind: str, outlines: Sequence[npt.NDArray[np.float64]], positive: bool = True
    ) -> None:
        """Add shapes of a napari type, each with (k, ndim) data coordinates of the image."""
        if not outlines:
            return
        _, layer = self.ensure(image)
        _set_default(layer, positive)
        layer.add(
            [data_to_data(image, layer, each) for each in outlines], shape_type=kind, edge_color=_COLORS[positive]
        )
        self._apply_polarity(self.positive)

    def remove(self, point_rows: Iterable[int], shape_rows: Iterable[int]) -> None:
        """Remove prompts by their rows in the layers, without a call of `on_change`."""
        with self.silence():
            if self.points is not None and (rows := sorted(point_rows)):
                self.points.selected_data = set()
                self.points.remove(rows)
            if self.shapes is not None and (rows := sorted(shape_rows)):
                self.shapes.selected_data = set()
                self.shapes.remove(rows)

    def content(self) -> PromptContent:
        """Return all prompts on all planes."""
        points = np.zeros((0, 0)) if self.points is None else np.array(self.points.data, dtype=float)
        shapes = self._finished_shapes()
        flags = [] if self.shapes is None else _polarities(self.shapes)
        return PromptContent(
            points if len(points) else np.zeros((0, 0)),
            () if self.points is None else tuple(_polarities(self.points)),
            tuple((kind, np.array(vertices, dtype=float)) for _, (kind, vertices) in shapes),
            tuple(flags[i] for i, _ in shapes),
            None if self.shapes is None else data_to_world_matrix(self.shapes),
        )

    def restore(self, content: PromptContent, image: Image) -> None:
        """Put all prompts that fit the image's axes back as they were, without a call of `on_change`."""
        with self.silence():
            points, shapes = self.ensure(image)
            points.selected_data = set()
            shapes.selected_data = set()
            fit = content.points.shape[1] == points.ndim
            moved: npt.NDArray[Any] = np.eye(points.ndim + 1)
            if content.matrix is not None and content.matrix.shape == moved.shape:
                moved = np.linalg.solve(data_to_world_matrix(shapes), content.matrix)
            points.data = apply_matrix(moved, content.points) if fit else np.zeros((0, points.ndim))
            points.features = {"label": _names(content.point_positive if fit else ())}
            self._paint(points)
            if shapes.nshapes:
                shapes.remove(list(range(shapes.nshapes)))
            if content.shapes and content.shapes[0][1].shape[1] == shapes.ndim:
                kinds, vertices = zip(*content.shapes, strict=True)
                shapes.add([apply_matrix(moved, each) for each in vertices], shape_type=list(kinds))
                shapes.features = {"label": _names(content.shape_positive)}
                self._paint(shapes)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Change prompts without a call of `on_change`."""
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before

    def _finished_shapes(self) -> list[tuple[int, tuple[str, Any]]]:
        """Shapes with their rows; without the one being drawn whose last vertex still follows the cursor."""
        if self.shapes is None:
            return []
        shapes = list(enumerate(zip(self.shapes.shape_type, self.shapes.data, strict=True)))
        return shapes[:-1] if is_drawing(self.shapes) and self.shapes.mode not in _DRAGGED else shapes

    def _add(self, layer: Points | Shapes) -> None:
        layer.metadata[_MARK] = True
        layer.features = {"label": np.zeros(0, dtype=object)}
        layer.mouse_drag_callbacks.insert(0, self._on_press)
        layer.events.data.connect(self._on_data)
        layer.events.set_data.connect(self._on_drag)
        layer.events.features.connect(self._on_features)
        layer.events.mode.connect(self._on_mode)
        layer.events.scale_factor.connect(self._on_zoomed)
        self._viewer.add_layer(layer)
        set_screen_size(layer, self._viewer.camera.zoom)
        self._apply_polarity(self.positive)

    def _disconnect(self, layer: Points | Shapes) -> None:
        self._painted.pop(layer, None)
        layer.events.data.disconnect(self._on_data)
        layer.events.set_data.disconnect(self._on_drag)
        layer.events.features.disconnect(self._on_features)
        layer.events.mode.disconnect(self._on_mode)
        layer.events.scale_factor.disconnect(self._on_zoomed)
        if self._on_press in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._on_press)

    def _apply_polarity(self, positive: bool) -> None:
        """Give the next prompts this polarity, and leave the selected ones alone."""
        if self.points is not None:
            _set_default(self.points, positive)
            with self.points.block_update_properties():
                self.points.current_face_color = _COLORS[positive]
                self.points.current_symbol = _SYMBOLS[positive]
                self.points.current_border_width = _BORDERS[positive]
        if self.shapes is not None:
            positive = positive or self.shapes.mode not in _SCRIBBLING  # boxes and outlines are always of the object
            _set_default(self.shapes, positive)
            with self.shapes.block_update_properties():
                self.shapes.current_edge_color = _COLORS[positive]

    def _paint(self, layer: Points | Shapes) -> None:
        flags = self._painted[layer] = _polarities(layer)
        if flags and isinstance(layer, Points):
            layer.face_color = [_COLORS[flag] for flag in flags]
            layer.symbol = [_SYMBOLS[flag] for flag in flags]
            layer.border_width = [_BORDERS[flag] for flag in flags]
        elif flags:
            layer.edge_color = [_COLORS[flag] for flag in flags]

    def _on_mode(self, event: Event) -> None:
        if event.source is self.shapes:
            if is_drawing(self.shapes):
                finish_in_mode(self.shapes, self._shapes_mode)
            self._shapes_mode = self.shapes._mode
        self._apply_polarity(self.positive)
        self._on_tool()

    def _on_active(self, _event: Event) -> None:
        if is_drawing(self.shapes) and self._viewer.layers.selection.active is not self.shapes:
            self.end_drawing()
        self._on_tool()

    def _on_press(self, layer: Layer, event: Event) -> None:
        """Let Shift or Ctrl during the click turn what it says around to `not part of the object`."""
        modified = "Shift" in event.modifiers or "Control" in event.modifiers
        self._apply_polarity(self.positive and not modified)

    def _on_zoomed(self, event: Event) -> None:
        with self.silence():
            set_screen_size(event.source)

    def _on_data(self, event: Event) -> None:
        action = str(getattr(event.action, "value", event.action))
        self._fresh = self._fresh or (action == "added" and event.source is self.points)
        if action in ("added", "removed", "changed"):
            self._notify(settled=True)

    def _on_drag(self, event: Event) -> None:
        self._notify(settled=False)

    def _on_features(self, event: Event) -> None:
        layer = event.source
        if "label" not in layer.features:  # somebody replaced the table: what was said before counts
            known = self._painted.get(layer, [])
            layer.features = layer.features.assign(label=_names((known + [True] * len(layer.data))[: len(layer.data)]))
            return
        flags = _polarities(layer)
        if self._fresh and self.points is not None and layer is self.points:
            self._fresh = False  # by now napari has selected what was added,
            self.points.selected_data = set()  # and drawn it in blue, as if it were of the object
        if self._silent or flags == self._painted.get(layer):
            return  # napari says so at each step of a drag, too
        with self.silence():
            self._paint(layer)
            self._apply_polarity(self.positive)
        self._notify(settled=True)

    def _on_removed(self, event: Event) -> None:
        if event.value is self.points:
            self._disconnect(event.value)
            self.points = None
        elif event.value is self.shapes:
            self._disconnect(event.value)
            self.shapes = None
        else:
            return
        self._on_tool()
        self._notify(settled=True)

    def _notify(self, *, settled: bool) -> None:
        if not self._silent:
            self._on_change(settled)


def insert_below_prompts(viewer: ViewerModel, layer: Layer) -> None:
    """Add a layer below the prompts, which stay within reach of the mouse, and leave the selected layer selected."""
    layers = viewer.layers
    active = layers.selection.active
    prompts = [i for i, other in enumerate(layers) if _MARK in other.metadata]
    place = min(prompts, default=len(layers))
    if active is None:
        layers.insert(place, layer)
        return
    with layers.selection.events.active.blocker():  # the next shape may be being drawn: a change would end it
        layers.insert(place, layer)
        layers.selection.active = active


def is_prompt_layer(layer: Layer) -> bool:
    """Tell whether a layer holds prompts."""
    return _MARK in layer.metadata


def _polarities(layer: Points | Shapes) -> list[bool]:
    if "label" not in layer.features:
        return [True] * len(layer.data)
    return [value != _NAMES[False] for value in layer.features["label"]]


def _set_default(layer: Points | Shapes, positive: bool) -> None:
    """Let the next prompts have this polarity, whatever other columns anyone gave the table."""
    columns = [name for name in layer.features if name != "label"]
    others = {name: layer.feature_defaults[name].iloc[0] for name in columns}
    layer.feature_defaults = {**others, "label": _NAMES[positive]}


def _names(flags: Sequence[bool]) -> npt.NDArray[np.object_]:
    return np.array([_NAMES[flag] for flag in flags], dtype=object)

"""What the model is shown: which image layer, which plane of it, with what brightness, and which model it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import InputError
from napari_sam.io.image_level import axis_name
from napari_sam.model.weights_files import weights_mark
from napari_sam.widgets.colours import Colour, Colours
from napari_sam.widgets.plane import Plane, PlaneView, base_level, current_plane, plane_reader, stack_planes
from napari_sam.widgets.stack_look import StackLook

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from napari.utils.events import Event

    from napari_sam.model.sam import Sam

__all__ = ["ImageView"]

_numbers = itertools.count(1)


class ImageView(QObject):
    """Follow one image layer of a viewer.

    Emits `replaced` when another image, model or brightness makes earlier predictions void, `moved` when another plane
    may be displayed, and `lost` when the image layer was removed.

    Parameters
    ----------
    viewer
        The viewer.
    """

    replaced = Signal()
    moved = Signal()
    lost = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.layer: Image | None = None
        self.model: str | Sam = "cells"
        self._normalization: str | tuple[float, float] = "auto"
        self._weights: str | None = None  # what the model's name stood for when it was last asked about
        self._colours: Colours | None = None
        self._looks: dict[Any, StackLook] = {}
        self.number = next(_numbers)  # tells this image, seen in this way by this model, from any other
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.connect(self._on_dims)

    def close(self) -> None:
        """Let go of viewer and layer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.dims.events.disconnect(self._on_dims)
        self._follow(None)

    def set_layer(self, layer: Image | None) -> None:
        """Choose the image layer."""
        if layer is not self.layer:
            self._follow(layer)
            self._replace()

    def set_model(self, model: str | Sam) -> None:
        """Choose the model by name, or give one."""
        self.model = model
        self._weights = None
        self._replace()

    def check_model(self) -> None:
        """Emit `replaced` if the model's name stands for other weights than before, after training, say."""
        try:
            now = weights_mark(self.model) if isinstance(self.model, str) else ""
        except InputError:  # loading says so
            return
        before, self._weights = self._weights, now
        if before is not None and before != now:
            self._replace()

    def set_normalization(self, normalization: str | tuple[float, float]) -> None:
        """Choose how values become brightness: "auto", "none", (low, high), or "displayed" as in the layer."""
        self._normalization = normalization
        self._replace()

    @property
    def normalization(self) -> str | tuple[float, float]:
        """How values become brightness."""
        return self._normalization

    def set_colours(self, colours: Colours | None) -> None:
        """Show the model channels as red, green and blue instead of the image layer, over which they lie; or no longer.

        Raises
        ------
        InputError
            If they do not lie over it.
        """
        if colours is not None:
            colours.check(self.place()[0])
        self._follow_colours(colours)
        self._replace()

    @property
    def colours(self) -> Colours | None:
        """The channels that the model is shown, None: the image layer."""
        return self._colours

    def reader(self, image: Image, plane: Plane) -> Callable[[], Any]:
        """Return what reads a plane as the model is shown it."""
        if self._colours is not None:
            return self._colours.reader(plane, self._normalization)
        return plane_reader(image, plane)

    def place(self) -> tuple[Image, Plane]:
        """Return the image layer and its displayed plane.

        Raises
        ------
        InputError
            If no image is chosen or no plane of it is displayed.
        """
        if self.layer is None:
            raise InputError('No image layer is chosen: open an image and choose it under "Image".')
        return self.layer, current_plane(self._viewer, self.layer)

    def question(self, image: Image, plane: Plane) -> dict[str, Any]:
        """Return how a task sees the plane: `view`, `model`, `read` and `normalization`."""
        return {
            "view": (self.number, plane),
            "model": self.model,
            "read": self.reader(image, plane),
            "normalization": self.stretch(image, plane),
        }

    def stretch(self, image: Image, plane: Plane) -> Any:
        """Return how values of the plane become brightness, as the workers take it: of a stack a `StackLook`."""
        normalization: Any = self._normalization
        if self._colours is not None:
            normalization = "none"  # each colour is stretched on its own as it is read
        elif normalization == "displayed":
            low, high = (float(limit) for limit in image.contrast_limits)
            normalization = "none" if image.rgb else (low, high)
        elif normalization == "auto":
            normalization = self._stack_look(image, plane) or normalization
        return normalization

    def _stack_look(self, image: Image, plane: Plane) -> StackLook | None:
        """Return what settles the brightness of all planes of the same channel at once, None for a single one."""
        channels = [axis for axis, name in enumerate(image.axis_labels) if axis_name(name) == "c"]
        at = tuple(plane.index[axis] for axis in channels)
        planes = [each for each in stack_planes(image, plane) if tuple(each.index[axis] for axis in channels) == at]
        if len(planes) == 1:
            return None
        key = self.number, plane.axes, at
        if key not in self._looks:
            data = base_level(image)
            self._looks = {known: look for known, look in self._looks.items() if known[0] == self.number}
            self._looks[key] = StackLook([PlaneView(data, each, rgb=image.rgb) for each in planes])
        return self._looks[key]

    def _follow_colours(self, colours: Colours | None) -> None:
        for layer in self._colours.layers if self._colours is not None else ():
            layer.events.data.disconnect(self._on_colour_data)
            layer.events.contrast_limits.disconnect(self._on_colour_contrast)
        self._colours = colours
        for layer in colours.layers if colours is not None else ():
            layer.events.data.connect(self._on_colour_data)
            layer.events.contrast_limits.connect(self._on_colour_contrast)

    def _follow(self, layer: Image | None) -> None:
        self._follow_colours(None)
        if self.layer is not None:
            for name, react in self._reactions().items():
                self.layer.events[name].disconnect(react)
        self.layer = layer
        if layer is not None:
            for name, react in self._reactions().items():
                layer.events[name].connect(react)

    def _reactions(self) -> dict[str, Callable[[Event], None]]:
        placing = ("scale", "translate", "rotate", "shear", "affine")
        return dict.fromkeys(placing, self._on_placed) | {"data": self._on_data, "contrast_limits": self._on_contrast}

    def _replace(self) -> None:
        self.number = next(_numbers)
        self.replaced.emit()

    def _on_data(self, _event: Event) -> None:
        self._replace()

    def _on_colour_data(self, _event: Event) -> None:
        """Forget what was settled of the former pixels; colours that no longer fit are given up."""
        if self._colours is not None and self.layer is not None:
            fresh = Colours([each and Colour(each.layer, each.axis, each.channel) for each in self._colours.colours])
            self._follow_colours(fresh if fresh.fit(self.layer) else None)
            self._replace()

    def _on_colour_contrast(self, _event: Event) -> None:
        if self._normalization == "displayed":
            self._replace()

    def _on_placed(self, _event: Event) -> None:
        self.moved.emit()

    def _on_contrast(self, _event: Event) -> None:
        if self._normalization == "displayed":
            self._replace()

    def _on_dims(self, event: Event) -> None:
        if event.type in ("point", "ndisplay", "order"):
            self.moved.emit()

    def _on_removed(self, event: Event) -> None:
        if event.value is self.layer:
            self.set_layer(None)
            self.lost.emit()
        elif self._colours is not None and event.value in self._colours.layers:
            self._follow_colours(None)
            self._replace()

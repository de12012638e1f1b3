"""Choosing a layer of the viewer: by name, by itself, or in a combo box that follows the layers of one kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox

from napari_sam.errors import InputError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

__all__ = ["LayerChoice", "find_layer", "first_image", "is_image"]

_LISTS = ("inserted", "removed", "reordered")


class LayerChoice(QObject):
    """Keep a combo box filled with layers; emits `picked(layer)` when the user picks one, None for the first entry.

    Parameters
    ----------
    viewer
        Whose layers to follow.
    combo
        The box.
    kind
        Tells which layers belong into it.
    first
        Text of the entry that stands for no layer.
    eager
        Whether a layer that comes while none is chosen is picked at once.
    """

    picked = Signal(object)

    def __init__(
        self, viewer: ViewerModel, combo: QComboBox, kind: Callable[[Layer], bool], first: str, *, eager: bool = False
    ) -> None:
        super().__init__(combo)
        self._viewer = viewer
        self._combo = combo
        self._kind = kind
        self._first = first
        self._shown: list[Layer | None] = []
        self._chosen: Layer | None = None
        for name in _LISTS:
            getattr(viewer.layers.events, name).connect(self.refill)
        if eager:
            viewer.layers.events.inserted.connect(self._on_inserted)
        combo.activated.connect(self._on_activated)
        self.refill()

    def close(self) -> None:
        """Let go of the viewer."""
        for name in _LISTS:
            getattr(self._viewer.layers.events, name).disconnect(self.refill)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._watch_names([])

    @property
    def chosen(self) -> Any:
        """The chosen layer, None while the first entry is."""
        return self._chosen

    def choose(self, layer: Layer | None) -> None:
        """Show a layer as the chosen one, without a signal."""
        self._chosen = layer
        self.refill()

    def refill(self, _event: Event | None = None) -> None:
        """List the layers anew, the topmost first."""
        layers: list[Layer | None] = [None, *(layer for layer in reversed(self._viewer.layers) if self._kind(layer))]
        if self._chosen not in layers:
            self._chosen = None
        self._watch_names(layers)
        self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems([self._first if layer is None else layer.name for layer in layers])
        self._combo.setCurrentIndex(layers.index(self._chosen))
        self._combo.blockSignals(False)

    def _watch_names(self, layers: list[Layer | None]) -> None:
        for layer in self._shown:
            if layer is not None:
                layer.events.name.disconnect(self.refill)
        self._shown = layers
        for layer in layers:
            if layer is not None:
                layer.events.name.connect(self.refill)

    def _on_inserted(self, event: Event) -> None:
        if self._chosen is None and self._kind(event.value):
            self.choose(event.value)
            self.picked.emit(event.value)

    def _on_activated(self, index: int) -> None:
        self._chosen = self._shown[index]
        self.picked.emit(self._chosen)


def find_layer(viewer: ViewerModel, layer: Layer | str) -> Layer:
    """Return a layer of the viewer, given by itself or by name.

    Raises
    ------
    InputError
        If the viewer does not have it.
    """
    if isinstance(layer, Layer):
        if layer not in viewer.layers:
            raise InputError(f"The layer {layer.name!r} is not in this viewer: add it first.")
        return layer
    if layer not in viewer.layers:
        names = ", ".join(repr(each.name) for each in viewer.layers) or "none"
        raise InputError(f"There is no layer {layer!r}: choose one of the viewer's layers ({names}).")
    return viewer.layers[layer]


def first_image(viewer: ViewerModel) -> Image | None:
    """Return the selected layer if it is an image, else the topmost image, else None."""
    active = viewer.layers.selection.active
    if is_image(active):
        return active
    return next((layer for layer in reversed(viewer.layers) if is_image(layer)), None)


def is_image(layer: Layer | None) -> TypeGuard[Image]:
    """Tell whether a layer is an image."""
    return isinstance(layer, Image)

"""Choosing what is seen as red, green and blue: three combo boxes of layers and channels, folded away at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_sam.widgets.colours import Colour, Colours
from napari_sam.widgets.form_parts import make_combo, make_form
from napari_sam.widgets.layer_choice import is_image
from napari_sam.widgets.plane import base_level

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["ColourChoice", "channel_axis"]

NAMES = ("Red", "Green", "Blue")
CHANNEL_AXES = ("c", "channel", "channels")


class ColourChoice(QWidget):
    """Offer channels for three colours; emits `picked(list of three Colour or None)` when the user picked one."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.fold = QToolButton()
        self.fold.setText("Several channels as colours")
        self.fold.setToolTip("Let the model see up to three layers or channels at once, each with its own brightness")
        self.fold.setCheckable(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setArrowType(Qt.ArrowType.RightArrow)
        self.combos = [make_combo(f"What the model sees as {name.lower()}") for name in NAMES]
        self._offered: list[Colour | None] = [None]
        folded = QWidget()
        folded.setLayout(make_form(list(zip(NAMES, self.combos, strict=True))))
        folded.setVisible(False)
        self.fold.toggled.connect(folded.setVisible)
        self.fold.toggled.connect(
            lambda on: self.fold.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        layout.addWidget(folded)
        for combo in self.combos:
            combo.activated.connect(self._on_activated)

    def offer(self, viewer: ViewerModel, image: Image | None, chosen: Colours | None) -> None:
        """List what lies over an image, and show what is chosen of it."""
        self._offered = [None, *_channels(viewer, image)]
        places = [None if each is None else each.place for each in self._offered]
        colours: Any = chosen.colours if chosen is not None else (None, None, None)
        for combo, colour in zip(self.combos, colours, strict=True):
            combo.clear()
            combo.addItems(["dark" if each is None else _name(each) for each in self._offered])
            place = None if colour is None else colour.place
            combo.setCurrentIndex(places.index(place) if place in places else 0)
        if chosen is not None:
            self.fold.setChecked(True)

    def _on_activated(self, _index: int) -> None:
        self.picked.emit([self._offered[max(0, combo.currentIndex())] for combo in self.combos])


def channel_axis(image: Image) -> int | None:
    """Return the axis of a layer that is named as one of channels, None if there is none."""
    names = [str(name).lower() for name in image.axis_labels]
    return next((k for k, name in enumerate(names) if name in CHANNEL_AXES), None)


def _channels(viewer: ViewerModel, image: Image | None) -> list[Colour]:
    """Return what may be a colour over an image: its channels where an axis has that name, else layers of its shape."""
    if image is None or image.rgb:
        return []
    if (axis := channel_axis(image)) is not None:
        return [Colour(image, axis, number) for number in range(base_level(image).shape[axis])]
    shape = base_level(image).shape
    layers = [layer for layer in viewer.layers if is_image(layer) and not layer.rgb]
    return [Colour(layer) for layer in layers if base_level(layer).shape == shape]


def _name(colour: Colour) -> str:
    return colour.layer.name if colour.axis is None else f"channel {colour.channel}"

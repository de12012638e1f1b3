"""Choosing a place on disk or in a network: by a layer that shows it, by typing, or in a file dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMenu, QToolButton, QVBoxLayout, QWidget

from napari_sam.errors import InputError
from napari_sam.io.zarr_location import is_remote
from napari_sam.widgets.form_parts import make_combo, make_row
from napari_sam.widgets.image_location import locate_image, source_location
from napari_sam.widgets.overlay import is_overlay
from napari_sam.widgets.stored_labels import stored_place

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

__all__ = ["Arrivals", "PlaceRow", "are_seeds", "image_place", "lies_on_disk", "seeds_place"]


class PlaceRow(QWidget):
    """A line for a place, with a button that asks for a folder or a file; emits `entered(place)` when the user did.

    Parameters
    ----------
    hint
        What the empty line shows.
    tip
        What it is for.
    files
        Filter of the file dialog.
    layers
        Tip of a list of layers above the line, in `layers`; without one there is none.
    """

    entered = Signal(str)

    def __init__(self, hint: str, tip: str, files: str, layers: str = "") -> None:
        super().__init__()
        self.layers = make_combo(layers)
        self.line = QLineEdit()
        self.line.setPlaceholderText(hint)
        self.line.setToolTip(tip)
        self._files, self._shown = files, ""
        self.browse = QToolButton()
        self.browse.setText("…")
        self.browse.setToolTip("Choose in a dialog")
        self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.browse.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(self.browse)
        menu.addAction("Folder…", self._ask_folder)
        menu.addAction("File…", self._ask_file)
        self.browse.setMenu(menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        if layers:
            layout.addWidget(self.layers)
        layout.addLayout(make_row(self.line, self.browse))
        self.line.editingFinished.connect(self._on_edited)

    def show_place(self, place: str) -> None:
        """Show a place, without a signal."""
        self._shown = place
        self.line.setText(place)
        self.line.setCursorPosition(len(place))

    def _on_edited(self) -> None:
        text = self.line.text().strip()
        if text != self._shown:
            self._shown = text
            self.entered.emit(text)

    def _ask_folder(self) -> None:
        self._take(QFileDialog.getExistingDirectory(self, "Folder"))

    def _ask_file(self) -> None:
        self._take(QFileDialog.getOpenFileName(self, "File", "", self._files)[0])

    def _take(self, place: str) -> None:
        if place:
            self.line.setText(place)
            self._on_edited()


class Arrivals(QObject):
    """Tell of image layers from a disk that come into a viewer; emits `arrived(layer)`."""

    arrived = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        viewer.layers.events.inserted.connect(self._on_inserted)

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)

    def _on_inserted(self, event: Event) -> None:
        if lies_on_disk(event.value):
            self.arrived.emit(event.value)


def lies_on_disk(layer: Layer) -> bool:
    """Tell whether an image layer was read from a file, a folder or an address."""
    return isinstance(layer, Image) and bool(source_location(layer))


def are_seeds(layer: Layer) -> bool:
    """Tell whether a layer shows labels that lie on disk or at an address."""
    return isinstance(layer, Labels) and not is_overlay(layer) and bool(source_location(layer))


def image_place(layer: Image) -> tuple[str, int]:
    """Return where the image of a layer lies, and the level of the pyramid that is the layer's finest.

    Raises
    ------
    InputError
        If it lies in memory only, or in a file that jobs do not read.
    """
    image = locate_image(layer)
    if image is not None:
        return image.location, image.level
    place = source_location(layer)
    if is_remote(place):
        return place, 0
    if not place:
        raise InputError(
            f"The layer {layer.name!r} lies in memory only: save it as OME-Zarr or TIFF first, or use SAM Auto."
        )
    raise InputError(
        f"The layer {layer.name!r} shows {place}, which jobs cannot read, or read with other axes: save it as "
        "OME-Zarr or OME-TIFF first, or use SAM Auto."
    )


def seeds_place(layer: Labels, image: str) -> str:
    """Return what a job takes as the seeds of a labels layer: the name of labels of the image, or a location.

    Raises
    ------
    InputError
        If it lies in memory only.
    """
    stored = stored_place(layer)
    if stored is not None:
        location, name = stored
        return name if location == image else f"{location}/labels/{name}"
    place = source_location(layer)
    if not place:
        raise InputError(
            f"The labels layer {layer.name!r} lies in memory only: save it as TIFF or OME-Zarr, then choose that."
        )
    return place

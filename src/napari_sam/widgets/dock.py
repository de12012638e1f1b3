"""What the docks have in common: a form that scrolls, brightness, waiting for the threads, and an end."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QComboBox, QDockWidget, QMainWindow, QVBoxLayout, QWidget

from napari_sam.errors import InputError
from napari_sam.widgets.bindings import Binding, KeyBindings
from napari_sam.widgets.colour_choice import ColourChoice, channel_axis
from napari_sam.widgets.colours import Colour, Colours
from napari_sam.widgets.form_parts import Sentence, TallScrollArea, make_sentence
from napari_sam.widgets.layer_choice import find_layer
from napari_sam.widgets.overlay import is_overlay
from napari_sam.widgets.reporter import Reporter
from napari_sam.widgets.waiting import wait_until

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.widgets.image_view import ImageView

__all__ = ["Dock", "ImageDock", "plain_viewer"]


def plain_viewer(viewer: ViewerModel) -> ViewerModel:
    """Return the viewer behind the proxy that napari hands to plugins.

    The proxy's layers are new proxies each time, which is useless for telling which layer is meant.
    """
    plain: ViewerModel = getattr(viewer, "__wrapped__", viewer)
    return plain


class Work(Protocol):
    """What a dock asks of the work behind it."""

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""

    def take_error(self) -> BaseException | None:
        """Return the last error of the threads, once."""


class Session(Work, Protocol):
    """What a dock that shows one image asks of its session."""

    view: ImageView


class Form(Protocol):
    """What a dock asks of its form, a widget."""

    status: Sentence


class ImageForm(Form, Protocol):
    """What a dock that shows one image asks of its form."""

    stretch: QComboBox
    colours: ColourChoice


class Dock(QWidget):
    """Show a form and hold the work that it belongs to.

    Subclasses set `_end`, which ends the work and knows nothing of the dock, so that it can be called when the dock is
    gone; and `_missing`, how `wait_idle` names what did not come.
    """

    _missing: str
    _form: Form
    _end: Callable[[], None]

    def __init__(self, viewer: ViewerModel, work: Work, form: QWidget) -> None:
        super().__init__()
        self._viewer = viewer
        self._work = work
        self._form = form  # type: ignore[assignment]  # a widget with the attributes of Form
        self._keys: KeyBindings | None = None
        self._shown = self._docked = False  # whether it was ever shown, and found its place among the others
        self._next_step = make_sentence()
        self._next_step.setContentsMargins(8, 6, 8, 2)
        self._form.status.setContentsMargins(8, 2, 8, 6)
        scroll = TallScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._next_step)
        layout.addWidget(scroll, 1)
        layout.addWidget(self._form.status)  # below the scrolled part, so that it is always seen
        self._form.status.hide()
        self._reporter = Reporter(self._form.status, self._next_step)

    def wait_idle(self, timeout: float = 60) -> None:
        """Process events until nothing more is to come from the threads.

        Raises
        ------
        NapariSamError
            What the work failed with.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        wait_until(lambda: not self._work.busy, timeout, self._missing)
        error = self._work.take_error()
        if error is not None:
            raise error

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""
        return self._work.busy

    @property
    def status(self) -> str:
        """The sentence in the status line: what happened last, or went wrong."""
        return str(self._form.status.text())

    @property
    def next_step(self) -> str:
        """The sentence that says what to do next."""
        return self._next_step.text()

    def event(self, event: QEvent | None) -> bool:
        """End the work when napari takes the dock out of its window; become a tab of others when it is put there."""
        kind = event.type() if event is not None else QEvent.Type.None_
        if kind == QEvent.Type.ParentChange and self.parent() is None:
            self._end()
        elif kind == QEvent.Type.Enter and self._keys is not None:
            self._keys.touch()
        elif kind == QEvent.Type.Show and not self._shown:
            self._shown = True
            QTimer.singleShot(0, self._join_others)  # once napari has put it into the window
        return bool(super().event(event))

    def _join_others(self) -> None:
        """Become a tab of the docks of ours that are there already, and the one in front."""
        self._docked, frame = True, self.parent()
        if isinstance(frame, QDockWidget):  # a tab has no room for the plugin's name, which the title bar shows
            frame.setWindowTitle(frame.windowTitle().removesuffix(" (napari-sam-stack)"))
        window = frame.parent() if isinstance(frame, QDockWidget) else None
        if not isinstance(frame, QDockWidget) or not isinstance(window, QMainWindow) or frame.isFloating():
            return
        area = window.dockWidgetArea(frame)
        for dock in window.findChildren(Dock):
            other = dock.parent()
            if (
                dock is self
                or not dock._docked
                or not isinstance(other, QDockWidget)
                or other.isHidden()
                or other.isFloating()
            ):
                continue
            if window.dockWidgetArea(other) == area and other not in window.tabifiedDockWidgets(frame):
                window.tabifyDockWidget(other, frame)
                frame.raise_()
                return

    def _bind_keys(self, actions: dict[str, Callable[[], object]], bindings: Sequence[Binding]) -> KeyBindings:
        """Let keys of the viewer call actions while this dock is in front."""
        self._keys = KeyBindings(self._viewer, actions, bindings, partial(_is_seen, weakref.ref(self)))
        return self._keys


class ImageDock(Dock):
    """A dock that shows a model one image, and writes to labels of it."""

    _session: Session
    _form: ImageForm

    def __init__(self, viewer: ViewerModel, session: Session, form: QWidget) -> None:
        super().__init__(viewer, session, form)
        self._session = session
        stretch = self._form.stretch
        stretch.activated.connect(lambda i: session.view.set_normalization(stretch.itemData(i)))
        self._form.colours.picked.connect(lambda picked: self._reporter.guarded(lambda: self._on_colours(picked))())
        session.view.replaced.connect(self._offer_colours)
        self._form.colours.fold.clicked.connect(self._offer_colours)

    def set_normalization(self, normalization: str | tuple[float, float]) -> None:
        """Choose how values become brightness: "auto", "none", (low, high), or "displayed" as in the layer."""
        index = self._form.stretch.findData(normalization) if isinstance(normalization, str) else -1
        if index >= 0:
            self._form.stretch.setCurrentIndex(index)
        self._session.view.set_normalization(normalization)

    def set_colours(self, channels: Sequence[Image | str | int | None] | None, axis: int | None = None) -> None:
        """Let the model see several channels of one image as red, green and blue, each with its own brightness.

        Parameters
        ----------
        channels
            One to three, for red, green and blue: layers or their names, the first of which becomes the image; or
            whole numbers, channels of the chosen image; None leaves a colour dark. None alone: the image as it is.
        axis
            Of the image that numbers count along; None: the one that is called c or channel.

        Raises
        ------
        InputError
            If they do not lie over each other pixel on pixel, or there are no such channels.
        """
        if channels is None:
            self.take_colours(None)
            return
        layers = [find_layer(self._viewer, each) for each in channels if isinstance(each, str | Layer)]
        for layer in layers:
            if not isinstance(layer, Image):
                raise InputError(f"The layer {layer.name!r} is not an image: choose image layers.")
        image = self._session.view.layer
        if layers and image not in layers:
            self.set_image(layers[0])
        self.take_colours(Colours([self._colour(each, axis) for each in channels]))

    def set_image(self, layer: Image | str) -> None:
        """Choose the image layer, by itself or by name."""
        raise NotImplementedError

    def _colour(self, channel: Image | str | int | None, axis: int | None) -> Colour | None:
        if channel is None:
            return None
        if not isinstance(channel, int):
            return Colour(find_layer(self._viewer, channel))
        image, _ = self._session.view.place()
        along = channel_axis(image) if axis is None else axis
        if along is None or not 0 <= along < image.ndim:
            raise InputError(f"No axis of {image.name!r} is called c or channel: say which one it is (axis).")
        return Colour(image, along, channel)

    def take_colours(self, colours: Colours | None) -> None:
        """Show the model colours that were made already, as those of another dock."""
        try:
            self._session.view.set_colours(colours)
        finally:
            self._offer_colours()

    def _on_colours(self, picked: list[Colour | None]) -> None:
        self.take_colours(Colours(picked) if any(picked) else None)

    def _offer_colours(self, _event: Any = None) -> None:
        view = self._session.view
        self._form.colours.offer(self._viewer, view.layer, view.colours)

    def _is_target(self, layer: Layer) -> bool:
        """Tell whether labels of the image can be written to a layer."""
        image = self._session.view.layer
        return isinstance(layer, Labels) and not is_overlay(layer) and (image is None or layer.ndim == image.ndim)


def _is_seen(reference: weakref.ref[Dock]) -> bool:
    """Tell whether a dock is in front, not behind another tab."""
    dock = reference()
    return dock is not None and not dock.visibleRegion().isEmpty()

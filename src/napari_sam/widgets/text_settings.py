"""The settings of ranking by text as controls, made from the fields of `TextSettings`."""

from __future__ import annotations

import dataclasses

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_sam.config.settings import describe_fields
from napari_sam.config.text import TextSettings
from napari_sam.errors import InputError
from napari_sam.widgets.form_parts import make_form
from napari_sam.widgets.setting_editors import Editor, make_editor

__all__ = ["TextSettingsForm"]

NAMES = {
    "views": "Around the mask",
    "expansion": "Crop around box",
    "templates": "Sentences",
    "contrasts": "Weigh opposites",
    "negatives": "Weigh also",
    "exclusive": "One text per object",
    "top_k": "At most, per text",
    "temperature": "Temperature",
    "min_area": "Pixels from",
    "batch_size": "Crops at once",
}  # the threshold has a handle


class TextSettingsForm(QWidget):
    """Show and edit all of a `TextSettings` but the threshold, folded away at first.

    Emits `changed(settings)` when the user did, `failed(error)` if they cannot be.
    """

    changed = Signal(object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._settings = TextSettings()
        texts = describe_fields(TextSettings)
        defaults = {field.name: field.default for field in dataclasses.fields(TextSettings)}
        self.editors: dict[str, Editor] = {name: make_editor(defaults[name], (), self._on_changed) for name in NAMES}
        for name, editor in self.editors.items():
            editor.widget.setToolTip(f"<p>{texts[name]}</p>")
        self.more = QToolButton()
        self.more.setText("More settings")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.toggled.connect(self._fold)
        self._folded = QWidget()
        form = make_form([(NAMES[name], editor.widget) for name, editor in self.editors.items()])
        form.setContentsMargins(0, 0, 0, 0)
        self._folded.setLayout(form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.more)
        layout.addWidget(self._folded)
        self._fold(False)
        self.show_settings(self._settings)

    def show_settings(self, settings: TextSettings) -> None:
        """Show settings, without a signal."""
        self._settings = settings
        for name, editor in self.editors.items():
            editor.show(getattr(settings, name))

    def _fold(self, unfolded: bool) -> None:
        self._folded.setVisible(unfolded)
        self.more.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)

    def _on_changed(self) -> None:
        values = {name: editor.get() for name, editor in self.editors.items()}
        changes = {name: value for name, value in values.items() if value != getattr(self._settings, name)}
        if not changes:
            return
        try:
            self._settings = self._settings.changed(**changes)
        except InputError as error:
            self.failed.emit(error)
        else:
            self.changed.emit(self._settings)
        self.show_settings(self._settings)

"""The settings of automatic masks as controls, made from the fields of `AutoSettings`."""

from __future__ import annotations

import dataclasses
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QToolButton, QVBoxLayout, QWidget

from napari_sam.config.auto import AUTO_PRESETS, CHOICES, AutoSettings, load_auto_settings
from napari_sam.config.auto_words import AUTO_WORDS, applies, setting_help
from napari_sam.errors import InputError
from napari_sam.widgets.form_parts import make_combo, make_form
from napari_sam.widgets.setting_editors import Editor, NumberSlider, make_editor

__all__ = ["SettingsForm"]

BASIC = ("points", "object_size", "points_per_side", "crop_n_layers", "mode")
SLIDERS = ("pred_iou_thresh", "stability_score_thresh", "min_area", "max_area")
NO_RUN = "Acts at once on what was found, without the model."
NEEDS_RUN = "Counts for the next preview or run."
SLACK_TEXT = (
    " A run finds more than it shows, so that the slider can also be lowered: the score by 0.2 and the stability by "
    "0.15. Below that, run again."
)
FILTER_FIELDS = (
    *SLIDERS,
    "rank_by",
    "box_nms_thresh",
    "crop_nms_thresh",
    "min_mask_region_area",
    "overlap",
    "nesting",
    "remove_background",
    "conditions",
)
CUSTOM = "changed"


class SettingsForm(QWidget):
    """Show and edit an `AutoSettings`; emits `changed(settings)` when the user did, `failed(error)` if they cannot be.

    The sliders are in `filter`, to be laid out apart from the rest.
    """

    changed = Signal(object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.preset = make_combo("Settings that suit a kind of image; a change of any of them is one of your own")
        self.preset.addItems(list(AUTO_PRESETS))
        self.preset.activated.connect(self._on_preset)
        self.filter = QWidget()
        self._settings = AutoSettings()
        self.editors: dict[str, Editor] = {
            field.name: self._make(field.name, field.default) for field in dataclasses.fields(AutoSettings)
        }
        self.more = QToolButton()
        self.more.setText("More settings")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.toggled.connect(self._fold)
        self._lay_out()
        self._fold(False)
        self.show_settings(load_auto_settings("cells"))

    @property
    def settings(self) -> AutoSettings:
        """What is shown."""
        return self._settings

    def show_settings(self, settings: AutoSettings) -> None:
        """Show settings, without a signal."""
        self._settings = settings
        for name, editor in self.editors.items():
            editor.show(getattr(settings, name))
            editor.widget.setEnabled(applies(name, dataclasses.asdict(settings)))
        self._show_preset()

    def set_largest(self, pixels: int) -> None:
        """Let the sliders of sizes reach to the size of the image."""
        for name in ("min_area", "max_area"):
            slider = self.editors[name].widget
            if isinstance(slider, NumberSlider):
                slider.set_largest(max(pixels, 2))

    def _make(self, name: str, default: Any) -> Editor:
        if name in SLIDERS:
            whole = isinstance(default, int)
            slider = NumberSlider(
                2**20 if whole else 1, whole=whole, unlimited=AUTO_WORDS[name].zero * (name == "max_area")
            )
            slider.changed.connect(self._on_changed)
            editor = Editor(slider, slider.value, slider.show_value)
        else:
            editor = make_editor(default, CHOICES.get(name, ()), self._on_changed, AUTO_WORDS[name].zero)
        when = NO_RUN + SLACK_TEXT * (name in SLIDERS[:2]) if name in FILTER_FIELDS else NEEDS_RUN
        editor.widget.setToolTip(f"<p>{setting_help(name)}</p><p>{when}</p>")
        return editor

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(make_form([("Preset", self.preset), *self._rows(BASIC)]))
        layout.addWidget(self.more)
        self._folded = QWidget()
        self._folded.setLayout(self._form([name for name in self.editors if name not in (*BASIC, *SLIDERS)]))
        layout.addWidget(self._folded)
        self.filter.setLayout(self._form(SLIDERS))

    def _form(self, names: Any) -> QFormLayout:
        form = make_form(self._rows(names))
        form.setContentsMargins(0, 0, 0, 0)
        return form

    def _rows(self, names: Any) -> list[tuple[str, QWidget]]:
        return [(AUTO_WORDS[name].name, self.editors[name].widget) for name in names]

    def _fold(self, unfolded: bool) -> None:
        self._folded.setVisible(unfolded)
        self.more.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)

    def _on_changed(self) -> None:
        values = {name: editor.get() for name, editor in self.editors.items()}
        changes = {name: value for name, value in values.items() if value != getattr(self._settings, name)}
        if not changes:
            return
        try:
            self._settings = self._settings.changed(**self._together(changes))
        except InputError as error:
            self.failed.emit(error)
            self.show_settings(self._settings)
            return
        self.show_settings(self._settings)
        self.changed.emit(self._settings)

    def _together(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Let the two sizes push each other."""
        low = changes.get("min_area", self._settings.min_area)
        high = changes.get("max_area", self._settings.max_area)
        if 0 < high < low:
            return changes | ({"max_area": low} if "min_area" in changes else {"min_area": high})
        return changes

    def _on_preset(self, _index: int) -> None:
        if (name := self.preset.currentText()) in AUTO_PRESETS:
            self.show_settings(load_auto_settings(name))
            self.changed.emit(self._settings)

    def _show_preset(self) -> None:
        name = next((name for name in AUTO_PRESETS if load_auto_settings(name) == self._settings), CUSTOM)
        if (index := self.preset.findText(CUSTOM)) >= 0:
            self.preset.removeItem(index)
        if name == CUSTOM:
            self.preset.addItem(CUSTOM)
        self.preset.setCurrentText(name)

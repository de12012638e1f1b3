"""The settings of a batch job as controls, made from the fields of `BatchSettings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLineEdit, QSizePolicy, QToolButton, QWidget

from napari_sam.config.batch import CHOICES, BatchSettings
from napari_sam.config.settings import describe_fields
from napari_sam.widgets.form_parts import make_combo, make_form
from napari_sam.widgets.setting_editors import Editor, make_editor

__all__ = ["MODES", "BatchEditors", "Fold", "make_more"]

NO_TEXT = "On the command line, as napari-sam batch IN.zarr --mode text --text NUCLEI; in the viewer the dock SAM Text"
MODES = {"auto": "everything", "prompts": "what prompts ask for", "text": "what is named (command line only)"}
LINKS = {"": "no", "z": "along z", "t": "along t"}
SEEDS = {"box": "a box around each seed", "point": "one point in each seed"}
DEVICES = ("auto", "cpu", "cuda", "mps")
NAMES = {
    "channels": "Channels",
    "level": "Level",
    "pixel_size": "Pixel size",
    "normalization": "Brightness",
    "link": "Link objects",
    "link_threshold": "Link from IoU",
    "link_gap": "Link over gaps",
    "tile": "Tile",
    "overlap": "Overlap",
    "threads": "Threads",
    "retries": "Tries again",
    "device": "Device",
    "precision": "Precision",
}
MORE = ("tile", "overlap", "normalization", "link_threshold", "link_gap", "threads", "device", "precision", "retries")


class BatchEditors(QObject):
    """Hold one control for each setting, in `editors`, to be laid out by a form; emits `changed(name, value)`."""

    changed = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        default = BatchSettings()
        self.mode = _named(MODES, self._tell("mode"))
        text = list(MODES).index("text")
        model = self.mode.model()
        item = model.item(text) if isinstance(model, QStandardItemModel) else None
        assert item is not None  # noqa: S101 - every plain combo box has such a model
        item.setEnabled(False)
        self.mode.setItemData(text, NO_TEXT, Qt.ItemDataRole.ToolTipRole)
        self.level = make_combo("")
        self.level.activated.connect(lambda index: self.changed.emit("level", index))
        self.show_levels(["0"])
        self.editors: dict[str, Editor] = {
            "mode": _by_data(self.mode),
            "link": _by_data(_named(LINKS, self._tell("link"))),
            "seeds": _by_data(_named(SEEDS, self._tell("seeds"))),
            "level": Editor(self.level, self.level.currentIndex, self._show_level),
            "pixel_size": _size_editor(self._tell("pixel_size")),
            "label": _text_editor(self._tell("label")),
            "normalization": _brightness_editor(self._tell("normalization")),
        }
        for name in ("channels", "tile", "overlap", "link_threshold", "link_gap", "threads", "retries", "precision"):
            self.editors[name] = make_editor(getattr(default, name), CHOICES.get(name, ()), self._tell(name))
        self.editors["device"] = make_editor(default.device, DEVICES, self._tell("device"))
        texts = describe_fields(BatchSettings)
        for name, editor in self.editors.items():
            editor.widget.setToolTip(f"<p>{texts[name]}</p>")
            editor.show(getattr(default, name))
        self.show_channels(())

    def show_settings(self, values: Mapping[str, Any]) -> None:
        """Show settings, without a signal."""
        for name, editor in self.editors.items():
            editor.show(values[name])
        self.level.setEnabled(not values["pixel_size"])

    def show_levels(self, texts: list[str]) -> None:
        """Offer the levels of an image; the chosen one stays chosen."""
        chosen = self.level.currentIndex()
        self.level.clear()
        self.level.addItems(texts)
        self._show_level(max(0, chosen))

    def show_channels(self, names: tuple[str, ...]) -> None:
        """Say which channels there are."""
        line = self.editors["channels"].widget
        assert isinstance(line, QLineEdit)  # noqa: S101 - made in here
        line.setPlaceholderText(f"all ({', '.join(names)})" if names else "all")

    def rows(self, *names: str) -> list[tuple[str, QWidget]]:
        """Return controls with their names."""
        return [(NAMES[name], self.editors[name].widget) for name in names]

    def _tell(self, name: str) -> Callable[..., None]:
        return lambda *_: self.changed.emit(name, self.editors[name].get())

    def _show_level(self, level: int) -> None:
        while self.level.count() <= level:  # no image has told its levels yet
            self.level.addItem(str(self.level.count()))
        self.level.setCurrentIndex(level)


class Fold(QToolButton):
    """A button that shows and hides a part of a form."""

    def __init__(self, text: str, part: QWidget) -> None:
        super().__init__()
        self._part = part
        self.setText(text)
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggled.connect(self._fold)
        self._fold(False)

    def _fold(self, unfolded: bool) -> None:
        self._part.setVisible(unfolded)
        self.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)


def make_more(editors: BatchEditors) -> tuple[Fold, QWidget]:
    """Make the part of the form with the settings that are seldom changed, and its button."""
    part = QWidget()
    form = make_form(editors.rows(*MORE))
    form.setContentsMargins(0, 0, 0, 0)
    part.setLayout(form)
    return Fold("More settings", part), part


def _named(names: Mapping[str, str], changed: Callable[..., None]) -> QComboBox:
    box = make_combo("")
    for value, text in names.items():
        box.addItem(text, value)
    box.activated.connect(changed)
    return box


def _by_data(box: QComboBox) -> Editor:
    return Editor(box, box.currentData, lambda value: box.setCurrentIndex(box.findData(value)))


def _text_editor(changed: Callable[..., None]) -> Editor:
    line = QLineEdit()
    line.editingFinished.connect(changed)
    return Editor(line, lambda: line.text().strip(), line.setText)


def _brightness_editor(changed: Callable[..., None]) -> Editor:
    box = make_combo("")
    box.setEditable(True)
    box.addItems(["auto", "none"])
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    line = box.lineEdit()
    assert line is not None  # noqa: S101 - it is editable
    line.editingFinished.connect(changed)
    box.activated.connect(changed)
    return Editor(box, lambda: box.currentText().strip(), box.setCurrentText)


def _size_editor(changed: Callable[..., None]) -> Editor:
    box = QDoubleSpinBox()
    box.setDecimals(3)
    box.setRange(0, 1e6)
    box.setSingleStep(0.1)
    box.setSpecialValueText("by level")
    box.setSuffix(" µm")
    box.setMinimumWidth(80)  # its widest number would take half of the dock
    box.setKeyboardTracking(False)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.valueChanged.connect(changed)

    def show(value: float) -> None:
        with QSignalBlocker(box):
            box.setValue(value)

    return Editor(box, box.value, show)

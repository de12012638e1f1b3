"""One control for each setting of a dataclass: number box, list of choices, check box or line of text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QLineEdit, QSizePolicy, QSlider, QSpinBox, QWidget

from napari_sam.widgets.form_parts import make_combo

__all__ = ["Editor", "NumberSlider", "make_editor"]

LARGEST = 2**30
STEPS = 1000  # of a slider
NARROW = 80  # pixels of a number box in a narrow dock


@dataclass(frozen=True)
class Editor:
    """Hold a control, and how its value is read and shown (without a signal)."""

    widget: QWidget
    get: Callable[[], Any]
    show: Callable[[Any], None]


def make_editor(default: Any, choices: tuple[str, ...], changed: Callable[[], None], zero: str = "") -> Editor:
    """Make the control for a setting.

    Parameters
    ----------
    default
        Its default, which tells the type.
    choices
        The values it may have, empty: any.
    changed
        Called when the user changed it.
    zero
        What to show in place of the number 0.
    """
    if choices:
        box = make_combo("")
        box.addItems(choices)
        box.activated.connect(lambda _: changed())
        return Editor(box, box.currentText, box.setCurrentText)
    if isinstance(default, bool):
        check = QCheckBox()
        check.toggled.connect(lambda _: changed())
        return Editor(check, check.isChecked, _silently(check, check.setChecked))
    if isinstance(default, int):
        whole = QSpinBox()
        whole.setRange(0, LARGEST)
        whole.setSpecialValueText(zero)
        whole.setKeyboardTracking(False)
        whole.setMinimumWidth(NARROW)
        whole.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        whole.valueChanged.connect(lambda _: changed())
        return Editor(whole, whole.value, _silently(whole, whole.setValue))
    if isinstance(default, float):
        number = QDoubleSpinBox()
        number.setDecimals(3)
        number.setSpecialValueText(zero)
        number.setSingleStep(0.01)
        number.setRange(0, 100)
        number.setKeyboardTracking(False)
        number.setMinimumWidth(NARROW)
        number.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        number.valueChanged.connect(lambda _: changed())
        return _exact(number)
    line = QLineEdit()
    line.editingFinished.connect(changed)
    return Editor(line, lambda: _split(line.text()), lambda value: line.setText(", ".join(value)))


class NumberSlider(QWidget):
    """A slider and a number box that show the same value; emits `changed` when the user moved either.

    Parameters
    ----------
    largest
        The slider's end. Whole numbers above 1 are spread by their logarithm.
    whole
        Whether it is a whole number.
    unlimited
        Text of the value 0 where that means no limit, which is then at the slider's right end.
    """

    changed = Signal()

    def __init__(self, largest: float, *, whole: bool = False, unlimited: str = "") -> None:
        super().__init__()
        self._largest, self._whole, self._unlimited = largest, whole, bool(unlimited)
        self._exact = 0.0  # more digits than the box shows
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.box = QDoubleSpinBox()
        self.box.setDecimals(0 if whole else 2)
        self.box.setRange(0, LARGEST if whole else largest)
        self.box.setSingleStep(1 if whole else 0.01)
        self.box.setKeyboardTracking(False)
        self.box.setSpecialValueText(unlimited)
        self.box.setFixedWidth(84)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider)
        layout.addWidget(self.box)
        self.slider.valueChanged.connect(self._on_slider)
        self.box.valueChanged.connect(self._on_box)
        self.show_value(0)

    def value(self) -> Any:
        """Return the value."""
        return round(self._exact) if self._whole else self._exact

    def show_value(self, value: float) -> None:
        """Show a value, without a signal."""
        self._exact = float(value)
        with QSignalBlocker(self.box), QSignalBlocker(self.slider):
            self.box.setValue(value)
            self.slider.setValue(self._position(value))

    def set_largest(self, largest: float) -> None:
        """Move the slider's end."""
        self._largest = largest
        self.show_value(self._exact)

    def _position(self, value: float) -> int:
        if self._unlimited and value == 0:
            return STEPS
        share = math.log1p(value) / math.log1p(self._largest) if self._whole else value / self._largest
        return round(min(max(share, 0), 1) * STEPS)

    def _on_slider(self, position: int) -> None:
        if self._unlimited and position == STEPS:
            value = 0.0
        elif self._whole:
            value = float(round(math.expm1(position / STEPS * math.log1p(self._largest))))
            value = max(value, 1.0) if self._unlimited else value
        else:
            value = round(position / STEPS * self._largest, 2)
        with QSignalBlocker(self.box):
            self.box.setValue(value)
        self._exact = value
        self.changed.emit()

    def _on_box(self, value: float) -> None:
        self.show_value(value)
        self.changed.emit()


def _exact(box: QDoubleSpinBox) -> Editor:
    """Keep all digits of a value that the box rounds, until the user changes it."""
    shown: list[float] = [0.0]

    def show(value: float) -> None:
        shown[0] = value
        with QSignalBlocker(box):
            box.setValue(value)

    return Editor(box, lambda: shown[0] if abs(shown[0] - box.value()) < 1e-3 else box.value(), show)


def _silently(widget: QWidget, show: Callable[[Any], object]) -> Callable[[Any], None]:
    def call(value: Any) -> None:
        with QSignalBlocker(widget):
            show(value)

    return call


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())

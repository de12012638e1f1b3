"""A combo box of the models, with the sizes of those that have to be downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox

if TYPE_CHECKING:
    from napari_sam.model.sam import Sam

__all__ = ["ModelChoice"]


class ModelChoice(QObject):
    """Fill a combo box with the models; emits `picked(name or model)` when the user picks one.

    Parameters
    ----------
    combo
        The box.
    """

    picked = Signal(object)

    def __init__(self, combo: QComboBox) -> None:
        super().__init__(combo)
        self._combo = combo
        for name in ("cells", "vit_t", "vit_b", "vit_l", "vit_h"):
            combo.addItem(name, name)
        combo.activated.connect(self._on_activated)

    def choose(self, model: Sam | str) -> None:
        """Show a model as the chosen one, without a signal."""
        index = self._combo.findData(model)
        if index < 0:
            self._combo.addItem(model if isinstance(model, str) else f"{model.name} (from a script)", model)
            index = self._combo.count() - 1
        self._combo.setCurrentIndex(index)

    def _on_activated(self, index: int) -> None:
        self.picked.emit(self._combo.itemData(index))

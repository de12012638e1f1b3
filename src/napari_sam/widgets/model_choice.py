"""A combo box of the models, with the sizes of those that have to be downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QComboBox

from napari_sam.model.registry import CLIP_MODELS, MODELS, ModelRow, bundled_file, cache_folder, user_models

if TYPE_CHECKING:
    from napari_sam.model.clip import Clip
    from napari_sam.model.sam import Sam

__all__ = ["ModelChoice", "is_windowed"]


class ModelChoice(QObject):
    """Fill a combo box with the models; emits `picked(name or model)` when the user picks one.

    Parameters
    ----------
    combo
        The box.
    kind
        "sam", or "clip" for models that tell how well an image fits a text.
    """

    picked = Signal(object)

    def __init__(self, combo: QComboBox, kind: str = "sam") -> None:
        super().__init__(combo)
        self._combo = combo
        self._kind = kind
        for row in self._rows():
            combo.addItem(_text(row), row.name)
            combo.setItemData(combo.count() - 1, _tip(row), Qt.ItemDataRole.ToolTipRole)
        combo.activated.connect(self._on_activated)

    def choose(self, model: Sam | Clip | str) -> None:
        """Show a model as the chosen one, without a signal."""
        index = self._index(model)
        if index < 0:
            self._combo.addItem(model if isinstance(model, str) else f"{model.name} (from a script)", model)
            index = self._combo.count() - 1
        self._combo.setCurrentIndex(index)

    def refresh(self) -> None:
        """Bring the texts up to date after a download."""
        for row in self._rows():
            if (index := self._index(row.name)) >= 0:
                self._combo.setItemText(index, _text(row))

    def _rows(self) -> tuple[ModelRow, ...]:
        return (*(CLIP_MODELS if self._kind == "clip" else MODELS), *user_models(self._kind))

    def _index(self, model: Sam | Clip | str) -> int:
        return next((i for i in range(self._combo.count()) if _same(self._combo.itemData(i), model)), -1)

    def _on_activated(self, index: int) -> None:
        self.picked.emit(self._combo.itemData(index))


def _same(one: Sam | Clip | str, other: Sam | Clip | str) -> bool:
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _is_here(row: ModelRow) -> bool:
    return not row.urls or bundled_file(row) is not None or (cache_folder() / row.file).is_file()


def _text(row: ModelRow) -> str:
    if _is_here(row):
        return row.name
    return f"{row.name} (download {row.size / 1e6:.0f} MB)" if row.size else f"{row.name} (download)"


def _tip(row: ModelRow) -> str:
    return f"{row.about}; licence {row.licence}" if row.licence else row.about


def is_windowed(model: Sam | str) -> bool:
    """Tell whether a model looks through windows at the image's own scale, as the bundled one does."""
    return model == "cells" if isinstance(model, str) else model.spec.windowed

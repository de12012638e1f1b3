"""A combo box of the models: one's own first, each with what it is good for; asks before it is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QComboBox, QMessageBox, QWidget

from napari_sam.errors import CheckpointError, DownloadError, InputError
from napari_sam.model.registry import CLIP_MODELS, MODELS, ModelRow, find_model, user_models
from napari_sam.model.weights_files import is_here

if TYPE_CHECKING:
    from napari_sam.model.clip import Clip
    from napari_sam.model.sam import Sam

__all__ = ["ModelChoice", "ask_download", "is_windowed"]

BUNDLED = {"sam": "cells", "clip": "bundled"}


class ModelChoice(QObject):
    """Fill a combo box with the models; emits `picked(name or model)` when the user picks one.

    A model that has to be downloaded is picked only if the user agrees; scripts that choose it agree by that.

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
        self._model: Sam | Clip | str = BUNDLED[kind]
        self._sure: Sam | Clip | str = self._model  # the last one that was there when it was chosen
        self.refresh()
        self._show(self._model)
        combo.activated.connect(self._on_activated)

    def choose(self, model: Sam | Clip | str) -> None:
        """Show a model as the chosen one, without a signal."""
        self._show(model)
        self._take(model)

    def refresh(self) -> None:
        """Bring the list up to date after a download or a training; the choice stays."""
        for number, row in enumerate(self._rows()):
            if (index := self._index(row.name)) < 0:
                index = number
                self._combo.insertItem(index, "", row.name)
            self._combo.setItemText(index, _text(row))
            self._combo.setItemData(index, _tip(row), Qt.ItemDataRole.ToolTipRole)
        if (view := self._combo.view()) is not None:
            view.setMinimumWidth(view.sizeHintForColumn(0) + 24)  # the list may be wider than the dock

    def fall_back(self, error: BaseException) -> Sam | Clip | str | None:
        """Go back to the last model that was there if the chosen one is why something failed, and return that one."""
        if not isinstance(self._model, str) or not _is_lost(self._model, error) or self._sure is self._model:
            return None
        self.choose(self._sure)
        return self._sure

    def _take(self, model: Sam | Clip | str) -> None:
        if not isinstance(self._model, str) or _is_here(self._model):
            self._sure = self._model
        self._model = model

    def _show(self, model: Sam | Clip | str) -> None:
        index = self._index(model)
        if index < 0:
            self._combo.addItem(model if isinstance(model, str) else f"{model.name} (from a script)", model)
            index = self._combo.count() - 1
        self._combo.setCurrentIndex(index)

    def _rows(self) -> tuple[ModelRow, ...]:
        return (*user_models(self._kind), *(CLIP_MODELS if self._kind == "clip" else MODELS))

    def _index(self, model: Sam | Clip | str) -> int:
        return next((i for i in range(self._combo.count()) if _same(self._combo.itemData(i), model)), -1)

    def _on_activated(self, index: int) -> None:
        model = self._combo.itemData(index)
        if isinstance(model, str) and not _is_here(model) and not ask_download(self._combo, find_model(model, "")):
            self._show(self._model)
            return
        self._take(model)
        self.picked.emit(model)


def ask_download(parent: QWidget, row: ModelRow) -> bool:
    """Ask whether the weights of a model may be downloaded."""
    size = f"{row.size / 1e6:.0f} MB" if row.size else "some hundred MB (the exact size is not published)"
    host = row.urls[0].split("/")[2]
    question = (
        f"{row.name} ({row.about}) is not on this computer.\n\nDownload {size} from {host}? It is kept for later; "
        f"its licence is {row.licence}."
    )
    buttons = QMessageBox.StandardButton
    return bool(QMessageBox.question(parent, "Download a model", question, buttons.Yes | buttons.No) == buttons.Yes)


def _same(one: Sam | Clip | str, other: Sam | Clip | str) -> bool:
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _is_here(name: str) -> bool:
    try:
        return is_here(find_model(name, ""))
    except InputError:  # a name that no list has
        return False


def _is_lost(name: str, error: BaseException) -> bool:
    """Tell whether an error says that a model cannot be had."""
    if isinstance(error, DownloadError) or (isinstance(error, InputError) and repr(name) in str(error)):
        return not _is_here(name)
    return isinstance(error, CheckpointError) and any(part in str(error) for part in (name, _file_name(name)))


def _file_name(name: str) -> str:
    try:
        return find_model(name, "").file
    except InputError:
        return name


def _text(row: ModelRow) -> str:
    text = f"{row.name}: {row.about}"
    if is_here(row):
        return text
    return f"{text} (download {row.size / 1e6:.0f} MB)" if row.size else f"{text} (download)"


def _tip(row: ModelRow) -> str:
    return f"{row.about}; licence {row.licence}" if row.licence else row.about


def is_windowed(model: Sam | str) -> bool:
    """Tell whether a model looks through windows at the image's own scale, as the bundled one does."""
    return model == "cells" if isinstance(model, str) else model.spec.windowed

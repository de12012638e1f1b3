"""The list of what is learnt from: pairs of layers and folders, as they stand in the dock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QListWidget

from napari_sam.errors import InputError
from napari_sam.widgets.train_data import LayerPair

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

__all__ = ["TrainSources"]


class TrainSources(QObject):
    """Keep a list box of sources; emits `changed`. Pairs leave it with their layers.

    Parameters
    ----------
    viewer
        Whose layers are paired.
    box
        The list box.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, box: QListWidget) -> None:
        super().__init__(box)
        self._viewer = viewer
        self._box = box
        self._sources: list[LayerPair | Path] = []
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of the viewer and its layers."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._sources = []

    @property
    def pairs(self) -> list[LayerPair]:
        """The pairs of layers."""
        return [source for source in self._sources if isinstance(source, LayerPair)]

    @property
    def folders(self) -> list[Path]:
        """The folders and other sources on disk."""
        return [source for source in self._sources if isinstance(source, Path)]

    @property
    def names(self) -> list[str]:
        """What the card calls them, pairs first."""
        return [f"layers {pair}" for pair in self.pairs] + [str(folder) for folder in self.folders]

    @property
    def first_name(self) -> str:
        """A word for the data, for the result's name; empty without any."""
        if not self._sources:
            return ""
        first = self._sources[0]
        return first.stem if isinstance(first, Path) else first.image.name

    def add(self, source: LayerPair | Path) -> None:
        """Add a source.

        Raises
        ------
        InputError
            If it is there already, or there is no such file or folder.
        """
        if isinstance(source, Path) and not source.exists():
            raise InputError(f"There is no folder {source}: choose one with images/ and labels/ in it.")
        if any(_same(source, other) for other in self._sources):
            raise InputError(f"{source} is in the list already: choose another image and its labels.")
        self._show([*self._sources, source])

    def remove(self, rows: list[int]) -> None:
        """Remove sources by their place in the list."""
        self._show([source for row, source in enumerate(self._sources) if row not in rows])

    def remove_selected(self) -> None:
        """Remove what the user selected in the list box, all if nothing is."""
        rows = [self._box.row(item) for item in self._box.selectedItems()]
        self.remove(rows or list(range(len(self._sources))))

    def _show(self, sources: list[LayerPair | Path]) -> None:
        self._sources = sources
        self._box.clear()
        self._box.addItems([str(source) for source in sources])
        self.changed.emit()

    def _on_removed(self, event: Event) -> None:
        kept = [s for s in self._sources if isinstance(s, Path) or event.value not in (s.image, s.labels)]
        if len(kept) < len(self._sources):
            self._show(kept)


def _same(one: LayerPair | Path, other: LayerPair | Path) -> bool:
    if isinstance(one, LayerPair) and isinstance(other, LayerPair):
        return one.image is other.image and one.labels is other.labels
    return one == other

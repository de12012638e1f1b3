"""Chooses objects among candidates and measures them, away from the GUI thread and without the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_sam.config.auto import AutoSettings
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.measurements import add_micrometres
from napari_sam.widgets.background_work import BackgroundWork
from napari_sam.widgets.findings import choose
from napari_sam.widgets.mask_table import Columns, MaskTable
from napari_sam.widgets.plane import Plane

__all__ = ["Chosen", "Measured", "Sieve", "Sifter", "Sight"]


@dataclass(frozen=True)
class Chosen:
    """Say which candidates of a plane become objects; `preview` if they only pass by."""

    plane: Plane
    candidates: tuple[MaskRecord, ...]
    settings: AutoSettings
    records: Sequence[MaskRecord]
    preview: bool = False


@dataclass(frozen=True)
class Sight:
    """Hold the objects of a plane to be measured.

    Parameters
    ----------
    plane
        Where they are.
    objects
        By label.
    settled
        Labels that no filter changes.
    read
        Reads the pixels of the plane.
    pixel_size
        (row, col) micrometres; None where nobody knows.
    """

    plane: Plane
    objects: dict[int, MaskRecord]
    settled: set[int]
    read: Callable[[], Any]
    pixel_size: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Measured:
    """Hand over the rows of a plane's objects."""

    sight: Sight
    columns: Columns


@dataclass(frozen=True)
class Sieve:
    """Hold the candidates of a plane to choose from."""

    plane: Plane
    candidates: tuple[MaskRecord, ...]
    settings: AutoSettings
    read: Callable[[], Any]
    preview: bool = False

    def sift(self) -> Chosen:
        """Choose; the image is read only if a condition may need it."""
        image = self.read() if self.settings.conditions else None
        return Chosen(
            self.plane, self.candidates, self.settings, choose(self.candidates, self.settings, image), self.preview
        )


class Sifter(QObject):
    """Keep two worker threads.

    Emits `chosen(Chosen)`, `measured(Measured)`, `failed(error)`, and `rested` when one of them is idle again.
    """

    chosen = Signal(object)
    measured = Signal(object)
    failed = Signal(object)
    rested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.table = MaskTable()
        self._choosing = BackgroundWork("filter")
        self._measuring = BackgroundWork("measurement")
        self._choosing.arrived.connect(self.chosen)
        self._measuring.arrived.connect(self.measured)
        for work in (self._choosing, self._measuring):
            work.ended.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to come."""
        return self._choosing.busy or self._measuring.busy

    @property
    def choosing(self) -> bool:
        """Tell whether candidates are being chosen from."""
        return self._choosing.busy

    def sift(self, sieves: Sequence[Sieve]) -> None:
        """Choose from the candidates of planes, one after the other; what was asked before is forgotten."""

        def work(emit: Callable[[Any], None]) -> None:
            for sieve in sieves:
                emit(None)  # stop here if newer work waits
                emit(sieve.sift())

        self._choosing.start(work)

    def measure(self, sights: Sequence[Sight]) -> None:
        """Measure the objects of planes, likewise."""

        def work(emit: Callable[[Any], None]) -> None:
            for sight in sights:
                emit(None)
                emit(self.measure_now(sight))

        self._measuring.start(work)

    def measure_now(self, sight: Sight) -> Measured:
        """Measure in this thread."""
        image = sight.read() if sight.objects else None
        if image is not None and any(r.image_shape != tuple(image.shape[:2]) for r in sight.objects.values()):
            image = None  # it was replaced by one of another size
        columns = self.table.measure(sight.plane, sight.objects, sight.settled, image)
        return Measured(sight, add_micrometres(columns, sight.pixel_size))

    def close(self) -> None:
        """End the threads."""
        self._choosing.close()
        self._measuring.close()

    def _on_ended(self, _complete: bool, error: BaseException | None) -> None:
        if error is not None:
            self.failed.emit(error)
        self.rested.emit()

"""Tables of all objects of a labels layer, measured on an image layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sam.io.table_files import check_table_output, write_table
from napari_sam.ops.measurements import measure
from napari_sam.widgets.background_work import BackgroundWork
from napari_sam.widgets.plane import base_level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LabelMeasurer", "ask_table", "measure_layers", "pixel_micrometres"]


def pixel_micrometres(layer: Image | Labels, axes: tuple[int, ...]) -> tuple[float, ...] | None:
    """Return the size of a layer's pixels along axes in micrometres; None where its units are no lengths."""
    sizes = []
    for axis in axes:
        unit = layer.units[axis]
        if not unit.is_compatible_with("micrometer"):
            return None
        factor = (1 * unit).to("micrometer").magnitude
        sizes.append(float(abs(layer.scale[axis]) * factor))
    return tuple(sizes)


def measure_layers(labels: Labels, image: Image) -> Callable[[], pd.DataFrame]:
    """Return what measures every plane of a labels layer on its image; layers are only looked at here.

    Stacks are measured plane by plane, along the last two axes of their data.
    """
    marked, pixels = base_level(labels), base_level(image)
    shape = tuple(int(side) for side in marked.shape)
    if tuple(pixels.shape[: len(shape)]) != shape:
        pixels = None  # of another size: shapes are measured all the same
    leading = len(shape) - 2
    size = pixel_micrometres(image, (leading, leading + 1)) if image.ndim == len(shape) else None
    colours = ["red", "green", "blue", "alpha"][: pixels.shape[-1]] if image.rgb and pixels is not None else None
    names = [str(name) if not str(name).startswith("-") else f"axis-{k}" for k, name in enumerate(labels.axis_labels)]
    return lambda: measure(marked, pixels, pixel_size=size, channels=colours, axes=names[:leading])


def ask_table(parent: QWidget, name: str) -> Path | None:
    """Ask where to write a table; None if the user thinks better of it."""
    path, chosen = QFileDialog.getSaveFileName(
        parent, "Measure objects", f"{name}.csv", "CSV (*.csv);;Parquet (*.parquet)"
    )
    if not path:
        return None
    return Path(path) if Path(path).suffix else Path(path + (".parquet" if "parquet" in chosen else ".csv"))


class LabelMeasurer(QObject):
    """Measure and write in a thread of its own.

    Emits `finished(text)` with a sentence, or `failed(error)`.
    """

    finished = Signal(str)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._work = BackgroundWork("table")
        self._work.arrived.connect(self._on_arrived)
        self._work.ended.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Tell whether a table is still to come."""
        return self._work.busy

    def start(self, labels: Labels, image: Image, path: str | Path) -> None:
        """Write the table of a labels layer.

        Raises
        ------
        InputError
            If it cannot be written there.
        """
        check_table_output(path)
        make = measure_layers(labels, image)

        def work(emit: Callable[[Any], None]) -> None:
            table = make()
            emit(None)
            write_table(path, table)
            emit(f"{len(table)} object{'' if len(table) == 1 else 's'} measured; the table is {Path(path).name}.")

        self._work.start(work)

    def close(self) -> None:
        """End the thread."""
        self._work.close()

    def _on_arrived(self, text: Any) -> None:
        self.finished.emit(text)

    def _on_ended(self, _complete: bool, error: BaseException | None) -> None:
        if error is not None:
            self.failed.emit(error)

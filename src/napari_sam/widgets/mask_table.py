"""The table of objects that a labels layer carries as its `features`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.ops.mask_features import measure_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.widgets.plane import Plane

__all__ = ["Columns", "MaskTable"]

Columns = dict[str, npt.NDArray[Any]]


class MaskTable:
    """Measure objects, each only once; threads may share it."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], dict[str, float]] = {}

    def count_new(self, plane: Plane, objects: Mapping[int, MaskRecord]) -> int:
        """Return how many objects were not measured yet."""
        return sum(_key(plane, record) not in self._rows for record in objects.values())

    def measure(self, plane: Plane, objects: Mapping[int, MaskRecord], settled: set[int], image: Any) -> Columns:
        """Return one row for each object.

        Parameters
        ----------
        plane
            Where the objects are.
        objects
            By label.
        settled
            Labels that no filter changes.
        image
            (H, W) or (H, W, C) pixels of the plane, or None if they do not fit.

        Returns
        -------
        dict
            `index` (by which napari finds a label's row), `label`, the plane's position along further axes as
            `plane-0` and so on, `settled`, and what `measure_records` measures.
        """
        keys = [_key(plane, record) for record in objects.values()]
        new = {key: record for key, record in zip(keys, objects.values(), strict=True) if key not in self._rows}
        measured = measure_records(list(new.values()), image)
        names = [name for name in measured if name != "label"]
        for number, key in enumerate(new):
            self._rows[key] = {name: measured[name][number].item() for name in names}
        labels = np.array(list(objects), np.int64)
        columns: Columns = {"index": labels, "label": labels}
        for axis, position in enumerate(plane.fixed):
            columns[f"plane-{axis}"] = np.full(len(labels), position)
        columns["settled"] = np.array([label in settled for label in objects], bool)
        rows = [self._rows[key] for key in keys]
        return columns | {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _key(plane: Plane, record: MaskRecord) -> tuple[Any, ...]:
    return plane, record.box, record.bits, record.predicted_iou, record.stability_score

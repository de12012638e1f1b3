"""One labels layer with what texts name; pixels that the user changed in it stay as they are."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.utils import DirectLabelColormap

from napari_sam.ops.measurements import add_micrometres
from napari_sam.widgets.feature_columns import FeatureColumns
from napari_sam.widgets.label_layers import add_labels_layer, check_labels_layer
from napari_sam.widgets.label_measurer import pixel_micrometres
from napari_sam.widgets.plane import LabelPlane

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.widgets.plane import Plane

__all__ = ["PALETTE", "Named", "TextSheet", "colour_of"]

# Okabe and Ito's colours, which colour-blind people can tell apart, without black
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#ffffff")
SHADES = (1.0, 0.75, 0.55)  # of one class, so that objects that touch can be told apart
MOSTLY = 0.5  # of an object that the user's pixels cover: it is theirs already
Labels32 = npt.NDArray[np.int32]


def colour_of(number: int) -> str:
    """Return the colour of the text with a number, from 0."""
    return PALETTE[number % len(PALETTE)]


@dataclass(frozen=True)
class Named:
    """Hold n objects of a plane: (H, W) int32 labels 1 to n, and for each its text, its score and its class number."""

    labels: Labels32
    texts: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    classes: tuple[int, ...]


class TextSheet:
    """Hold the layer, what was written to it, and what the user changed since.

    Parameters
    ----------
    viewer, image
        Where the layer is added, and what it lies over.
    text
        Which text it is for, "" for all.
    """

    def __init__(self, viewer: ViewerModel, image: Image, text: str) -> None:
        self.image = image
        self.text = text
        self.layer = add_labels_layer(viewer, image, self._name())
        self._columns = FeatureColumns()
        self._written: dict[Plane, npt.NDArray[Any]] = {}
        self._kept: dict[Plane, npt.NDArray[np.bool_]] = {}  # pixels that the user changed
        self._rows: dict[Plane, dict[int, tuple[str, float, int]]] = {}  # text, score, class of each label
        self._areas: dict[Plane, dict[int, int]] = {}  # pixels of each label

    @property
    def spare(self) -> bool:
        """Tell whether nothing is in it, so that it can serve another text."""
        return not any(self._rows.values()) and not any(kept.any() for kept in self._kept.values())

    def rename(self, text: str) -> None:
        """Make it that of another text."""
        self.text = text
        self.layer.name = self._name()

    def plane_of(self, label: int) -> Plane | None:
        """Return the plane on which an object is, None if it is on none."""
        for plane in self._written:
            if (self._read(plane) == label).any():
                return plane
        return None

    def write(self, plane: Plane, named: Named) -> None:
        """Show objects on a plane instead of those before, beside what the user changed.

        Raises
        ------
        InputError
            If the layer cannot be written.
        """
        check_labels_layer(self.layer, self.image)
        now = self._read(plane)
        kept = self._adopt(plane, now)
        mine = set(np.unique(now[kept]).tolist()) - {0}
        labels = _without_covered(named.labels, kept)
        taken = mine.union(*(rows for other, rows in self._rows.items() if other != plane))
        numbers = _free_numbers(len(named.texts), taken)
        after = np.where(kept, now, np.concatenate([[0], numbers])[labels]).astype(now.dtype)
        rows = zip(named.texts, named.scores.tolist(), named.classes, strict=True)
        known = self._rows.get(plane, {})
        all_rows = dict(zip(numbers.tolist(), rows, strict=True))
        all_rows |= {label: known.get(label, (self.text, float("nan"), -1)) for label in mine}
        ids, areas = np.unique(after, return_counts=True)
        self._areas[plane] = {label: area for label, area in zip(ids.tolist(), areas.tolist(), strict=True) if label}
        self._rows[plane] = {label: all_rows[label] for label in self._areas[plane]}
        self._written[plane] = after
        LabelPlane(self.layer, plane)[:, :] = after
        self._show_table()
        self.layer.refresh()

    def _name(self) -> str:
        what = self.text or self.image.name
        return f"SAM Text: {what if len(what) <= 40 else what[:37] + '...'}"

    def _read(self, plane: Plane) -> npt.NDArray[Any]:
        return LabelPlane(self.layer, plane)[:, :]

    def _adopt(self, plane: Plane, now: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return which pixels are the user's: what differs from what was written, and the objects that it is part of.

        The pixels of an object that was removed count, too, so that it does not come back.
        """
        before = self._written.get(plane, np.zeros_like(now))
        kept = self._kept.setdefault(plane, np.zeros(now.shape, bool))
        changed = now != before
        touched = np.union1d(now[changed], before[changed])
        kept |= changed | np.isin(now, touched[touched > 0])
        return kept

    def _show_table(self) -> None:
        places = [(plane, label, row) for plane, rows in self._rows.items() for label, row in rows.items()]
        columns: dict[str, Any] = {
            "index": [label for _, label, _ in places],
            "label": [label for _, label, _ in places],
        }
        for axis in range(len(places[0][0].fixed) if places else 0):
            columns[f"plane-{axis}"] = [plane.fixed[axis] for plane, _, _ in places]
        columns["text"] = np.array([row[0] for _, _, row in places], object)
        columns["score"] = np.array([row[1] for _, _, row in places], np.float32)
        columns["area"] = np.array([self._areas[plane][label] for plane, label, _ in places], np.int64)
        if places:
            columns = add_micrometres(columns, pixel_micrometres(self.image, places[0][0].axes))
        self._columns.write(self.layer, columns)
        colours: dict[int | None, Any] = {label: _shade(row[2], label) for _, label, row in places}
        rest = colour_of(places[0][2][2]) if self.text and places else "white"
        fixed: dict[int | None, Any] = {None: rest, 0: "transparent"}
        self.layer.colormap = DirectLabelColormap(color_dict=fixed | colours)


def _without_covered(labels: Labels32, kept: npt.NDArray[np.bool_]) -> Labels32:
    """Return labels without the objects that are mostly the user's already."""
    whole = np.bincount(labels.ravel())
    covered = np.bincount(labels[kept], minlength=len(whole))
    gone = np.flatnonzero(covered > MOSTLY * whole)
    return np.where(np.isin(labels, gone), 0, labels) if gone.any() else labels


def _free_numbers(count: int, taken: set[int]) -> Labels32:
    """Return the first so many labels that are not taken."""
    numbers = np.setdiff1d(np.arange(1, count + len(taken) + 1), list(taken))
    return numbers[:count].astype(np.int32)


def _shade(number: int, label: int) -> tuple[float, float, float, float]:
    if number < 0:
        return 1.0, 1.0, 1.0, 1.0  # the user's own
    code = colour_of(number)
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    return (*colorsys.hls_to_rgb(hue, lightness * SHADES[label % len(SHADES)], saturation), 1.0)

"""Accepting into a label that is there: one object on several planes, or an object that comes in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import InputError
from napari_sam.widgets.candidates import Patch
from napari_sam.widgets.plane import LabelPlane

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_sam.widgets.plane import Plane

__all__ = ["LabelJoin", "grow"]


class LabelJoin:
    """Know which label what is accepted joins, if it joins any."""

    def __init__(self) -> None:
        self._on = False
        self._last = 0  # label that was written last

    def switch(self, on: bool, layer: Labels | None) -> None:
        """Join the label that is selected in a layer, at first the one that was written last; or none."""
        self._on = on
        if on and self._last and layer is not None:
            layer.selected_label = self._last

    def label(self, layer: Labels) -> int | None:
        """Return the label to join, None if what is accepted gets a new one.

        Raises
        ------
        InputError
            If the background is selected.
        """
        if not self._on:
            return None
        if not (label := int(layer.selected_label)):
            raise InputError(
                'Label 0 is the background: select a label of the labels layer, or take the tick from "Same label".'
            )
        return label

    def note(self, label: int) -> None:
        """Note what was written."""
        self._last = label


def grow(patch: Patch, layer: Labels, plane: Plane, label: int) -> Patch:
    """Return a mask with the pixels around it that have the label already, which they then keep."""
    return Patch(patch.mask | (LabelPlane(layer, plane)[patch.where] == label), patch.at)

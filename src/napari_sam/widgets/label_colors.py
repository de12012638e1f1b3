"""Colours of new labels in layers that list theirs: napari shows no others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari.utils import DirectLabelColormap

from napari_sam.io.label_metadata import label_rgba

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["show_label", "show_labels"]


def show_label(layer: Labels, label: int) -> None:
    """Give a label a colour if the layer lists colours and shows labels without one not at all."""
    show_labels(layer, (label,))


def show_labels(layer: Labels, labels: Iterable[int]) -> None:
    """Do so with several at once."""
    colormap = layer.colormap
    if not isinstance(colormap, DirectLabelColormap):
        return
    listed: dict[int | None, Any] = dict(colormap.color_dict)
    if None in listed and listed[None][3] > 0:
        return
    fresh = {label: [part / 255 for part in label_rgba(label)] for label in labels if label and label not in listed}
    if fresh:
        layer.colormap = DirectLabelColormap(color_dict=listed | fresh)

"""Going on in the dock `SAM Prompts` with what another dock found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Labels

    from napari_sam.widgets.image_view import ImageView
    from napari_sam.widgets.prompt_dock import PromptDock

__all__ = ["hand_over_boxes", "hand_over_label", "open_prompt_dock"]


def open_prompt_dock(viewer: Viewer) -> PromptDock:
    """Return the viewer's prompt dock, opened beside the others if it was not, and in front."""
    dock: PromptDock
    frame, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts", tabify=True)
    frame.show()
    frame.raise_()
    return dock


def hand_over_label(viewer: Viewer, image: Image, labels: Labels, label: int, view: ImageView) -> PromptDock:
    """Start the prompt dock from an object on the displayed plane; accepting there replaces its label."""
    dock = open_prompt_dock(viewer)
    _set_up(dock, image, view)
    dock.set_labels_layer(labels)
    dock.improve_label(label)
    return dock


def hand_over_boxes(viewer: Viewer, image: Image, boxes: Sequence[Sequence[float]], view: ImageView) -> PromptDock:
    """Give the prompt dock boxes (row0, col0, row1, col1) on the displayed plane, one object each."""
    dock = open_prompt_dock(viewer)
    _set_up(dock, image, view)
    dock.set_one_per_shape(True)
    dock.add_boxes(boxes)
    return dock


def _set_up(dock: PromptDock, image: Image, view: ImageView) -> None:
    """Let the dock see what the other one sees."""
    dock.set_image(image)
    if dock.model is not view.model:
        dock.set_model(view.model)
    dock.set_normalization(view.normalization)
    if view.colours is not None:
        dock.take_colours(view.colours)

"""napari with the demo's picture, labels and prompt dock: `python -m napari_sam.widgets.demo_viewer LABELS.npy`."""

from __future__ import annotations

import sys
from pathlib import Path

import napari
import numpy as np
import numpy.typing as npt

from napari_sam.sample_data import demo_sample
from napari_sam.widgets.prompt_dock import PromptDock

__all__ = ["show_demo"]


def show_demo(viewer: napari.Viewer, labels: npt.NDArray[np.int32]) -> PromptDock:
    """Put the demo's picture, its labels and the prompt dock into a viewer, ready for a click on the next object.

    Parameters
    ----------
    viewer
        An open viewer.
    labels
        (H, W) int32 labels of the picture.
    """
    sample = demo_sample()
    image = viewer.add_image(sample.image, name=sample.name)
    target = viewer.add_labels(labels, name="demo labels")
    dock: PromptDock
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.set_image(image)
    dock.set_labels_layer(target)
    dock.start("point")
    return dock


def main(labels_file: Path) -> None:
    """Show the labels of a .npy file, remove the file to tell that the window is open, and run until it is closed."""
    show_demo(napari.Viewer(title="napari-sam-stack demo"), np.load(labels_file))
    labels_file.unlink()
    napari.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

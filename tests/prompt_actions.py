"""What a user does in the dock SAM Prompts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks

from napari_sam.inference.predictor import Predictor
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock


def click(dock: PromptDock, row: float, col: float, modifiers: tuple[str, ...] = ()) -> None:
    """Press and release the mouse on the Points layer as the canvas does."""
    layer = dock.viewer.layers["SAM points"]
    world = layer.data_to_world((row, col))
    event = SimpleNamespace(
        type="mouse_press", position=world, pos=np.array([1, 1]), modifiers=modifiers, handled=False,
        dims_displayed=list(dock.viewer.dims.displayed), view_direction=None, up_direction=None,
    )  # fmt: skip
    mouse_press_callbacks(layer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(layer, event)


def press(dock: PromptDock, key: str) -> None:
    """Press a key while the canvas has the focus."""
    assert dock.viewer.window._qt_viewer._key_map_handler.press_key(key) is not False


def expected(image: Any, model: Sam, **prompts: Any) -> Any:
    predictor = Predictor(model)
    predictor.set_image(image)
    return predictor.predict(**prompts)

"""The real dock in a real viewer on a virtual display."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.model.build import build_from_spec
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock


@pytest.fixture(autouse=True, scope="session")
def frozen_imports() -> Iterator[None]:
    """Keep what is imported out of the garbage collections that `make_napari_viewer` does after each test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def journal_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals of a test go to its own folder."""
    folder = tmp_path / "journals"
    monkeypatch.setenv("NAPARI_SAM_JOURNALS", str(folder))
    return folder


@pytest.fixture
def noise() -> npt.NDArray[np.uint16]:
    """A (50, 60) image that a random model answers differently at different places."""
    return np.random.default_rng(0).integers(0, 4000, (50, 60)).astype(np.uint16)


@pytest.fixture
def open_dock(make_napari_viewer: Callable[..., napari.Viewer], tiny_cell_model: Sam) -> Callable[..., PromptDock]:
    """Open the dock as a user does; an image and a model may be given."""

    def open_(image: Any = None, model: Any = tiny_cell_model, **options: Any) -> PromptDock:
        viewer = make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
        dock.set_model(model)
        if image is not None:
            dock.set_image(viewer.add_image(image, name="image", **options))
        dock.viewer = viewer
        return dock

    return open_


@pytest.fixture
def gated_model(tiny_spec_vit: Any) -> Any:
    """A model whose encoder waits in each step until the test opens `model.gate`."""
    model = build_from_spec(tiny_spec_vit)
    model.gate = threading.Event()
    model.entered = threading.Event()

    def wait(*_: Any) -> None:
        model.entered.set()
        assert model.gate.wait(20)

    for step in model.encoder_steps():
        step.register_forward_pre_hook(wait)
    return model

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
from skimage.measure import label as label_parts

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.mask_generator import AutoProgress
from napari_sam.model.build import build_from_spec
from napari_sam.model.sam import Sam
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.ops.selection import passes
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock


@pytest.fixture(autouse=True, scope="session")
def frozen_imports() -> Iterator[None]:
    """Keep what there is by now out of the garbage collections that `make_napari_viewer` does after each test."""
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


@pytest.fixture
def open_auto(make_napari_viewer: Callable[..., napari.Viewer], tiny_cell_model: Sam) -> Callable[..., AutoDock]:
    """Open the dock SAM Auto as a user does, with settings that let everything through."""

    def open_(image: Any = None, model: Any = tiny_cell_model, **options: Any) -> AutoDock:
        viewer = make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")
        dock.set_model(model)
        dock.set_settings("natural", points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0)
        if image is not None:
            dock.set_image(viewer.add_image(image, name="image", **options))
        dock.viewer = viewer
        return dock

    return open_


class Planted:
    """Stands in for the generator: each bright part of the image is one candidate, its score the value / 100."""

    searches: list[tuple[Any, AutoSettings]]  # of which regions, and how
    gate: threading.Event  # what a search waits for before those candidates that are held
    held: Callable[[int, int], bool]  # by the number of the search and of the candidate, from 1

    def __init__(self, _model: Sam, settings: AutoSettings, *, cache: Any = None) -> None:
        self.settings = settings

    def stream(
        self, image: Any, *, normalization: Any, region: Any, progress: Callable[[int, int], None]
    ) -> Iterator[AutoProgress]:
        Planted.searches.append((region, self.settings))
        records = [r for r in planted_records(image) if passes(r, self.settings) and _inside(r, region)]
        yield AutoProgress(done=0, total=len(records) + 1)
        for done, record in enumerate(records, start=1):
            if Planted.held(len(Planted.searches), done):
                assert Planted.gate.wait(20)
            yield AutoProgress(done=done, total=len(records) + 1, found=(record,))
        yield AutoProgress(done=len(records) + 1, total=len(records) + 1)


def planted_records(image: npt.NDArray[Any]) -> list[MaskRecord]:
    """Return one record for each part of one value above 0, in reading order."""
    parts = label_parts(image)
    masks = [parts == number for number in range(1, parts.max() + 1)]
    return [
        MaskRecord.from_patch(mask, image_shape=image.shape, predicted_iou=float(image[mask][0]) / 100)
        for mask in masks
    ]


def _inside(record: MaskRecord, region: Any) -> bool:
    return region is None or (region[0] <= record.point[0] < region[2] and region[1] <= record.point[1] < region[3])


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> type[Planted]:
    """Search for bright parts instead of with a model."""
    Planted.searches, Planted.gate, Planted.held = [], threading.Event(), staticmethod(lambda *_: False)
    monkeypatch.setattr("napari_sam.inference.mask_generator.AutomaticMaskGenerator", Planted)
    return Planted


@pytest.fixture
def squares() -> npt.NDArray[np.uint8]:
    """Six 6 x 6 squares of values 40 to 90 in a (40, 50) image, in reading order."""
    image = np.zeros((40, 50), np.uint8)
    for number, value in enumerate((40, 50, 60, 70, 80, 90)):
        row, col = 5 + 20 * (number // 3), 5 + 15 * (number % 3)
        image[row : row + 6, col : col + 6] = value
    return image

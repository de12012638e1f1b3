"""SAM Train in a real viewer: runs to the end, is stopped, refuses, never blocks the window."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication

from gui_helpers import LONGEST_PAUSE, longest_pause, wait_for, workers
from napari_sam.errors import InputError
from napari_sam.model.build import SPECS, build_from_spec
from napari_sam.model.load import load_model
from napari_sam.model.registry import user_models
from napari_sam.model.sam import Sam
from napari_sam.training import memory_estimate
from napari_sam.widgets.train_dock import TrainDock

OpenTrain = Callable[..., TrainDock]
QUICK = {"steps": 4, "batch": 2, "prompts": 2, "rounds": 2, "views": 2, "warmup": 1, "score_every": 2}


@pytest.fixture
def base(tiny_spec_cell: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sam:
    """A small model that passes for `cells`, and an empty model list."""
    spec = dataclasses.replace(tiny_spec_cell, architecture="cells")
    monkeypatch.setitem(SPECS, "cells", spec)
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    model = build_from_spec(spec, seed=5)
    model.name = "tiny"
    return model


@pytest.fixture
def open_train(make_napari_viewer: Callable[..., napari.Viewer], base: Sam) -> OpenTrain:
    """Open the dock as a user does, with a stack of discs of which planes 0, 2 and 3 are labelled."""

    def open_(**changes: Any) -> TrainDock:
        viewer = make_napari_viewer()
        image, labels = stack()
        viewer.add_image(image, name="discs")
        viewer.add_labels(labels, name="truth")
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Train")
        dock.set_model(base)
        dock.set_settings(**{**QUICK, "score_objects": 2, **changes})
        dock.set_held_out(0.3)
        dock.viewer = viewer
        return dock

    return open_


def discs(seed: int, size: int = 64) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:size, :size]
    image = rng.normal(60, 8, (size, size))
    labels = np.zeros((size, size), np.int32)
    for number, (r, c) in enumerate([(14, 14), (14, 46), (46, 14), (46, 46)], 1):
        inside = np.hypot(row - r - rng.uniform(-3, 3), col - c - rng.uniform(-3, 3)) < rng.uniform(6, 11)
        labels[inside] = number
        image[inside] += 110
    return image.clip(0, 255).astype(np.uint8), labels


def stack() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    images, labels = zip(*(discs(seed) for seed in range(5)), strict=True)
    labels[1][:], labels[4][:] = 0, 0
    return np.stack(images), np.stack(labels)


def weights(model: Sam) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], model: Sam) -> bool:
    return all(torch.equal(value, one[key]) for key, value in model.state_dict().items())


def slow_steps(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    from napari_sam.training import finetune

    real = finetune.training_step

    def step(*given: Any) -> Any:
        time.sleep(seconds)
        return real(*given)

    monkeypatch.setattr(finetune, "training_step", step)


def rising_scores(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Score with given numbers instead of the model."""
    from napari_sam.training import finetune

    left = iter(values)

    def score(_: Sam, samples: Any, **__: Any) -> Iterator[list[tuple[float, float]]]:
        value = next(left)
        for _each in samples:
            yield [(value, value)]

    monkeypatch.setattr(finetune, "score_images", score)


def offered(combo: Any) -> list[Any]:
    return [combo.itemData(i) for i in range(combo.count())]


def test_a_run_puts_a_model_with_a_card_into_every_list(
    open_train: OpenTrain, base: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising_scores(monkeypatch, [0.2, 0.5, 0.4])
    dock = open_train()
    _, prompts = dock.viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    _, auto = dock.viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Auto")
    before, shown = weights(base), auto._form.model.currentText()
    dock._form.add.click()
    assert dock.data == ["layers discs + truth"]
    dock.wait_idle()
    assert "GB are free" in dock._form.memory.text()
    assert dock._form.name.text() == "tiny_discs"
    dock._form.start.click()
    assert dock.busy
    dock.wait_idle(60)

    assert equal(before, base)  # the model that others use is not touched
    assert [row.name for row in user_models()] == ["tiny_discs"]
    for form in (prompts._form, auto._form, dock._form):
        assert offered(form.model).count("tiny_discs") == 1
    assert auto._form.model.currentText() == shown
    found = load_model("tiny_discs", device="cpu")
    assert not equal(before, found)
    auto.set_model("tiny_discs")  # as if picked
    assert "0.20 → 0.50" in dock.status
    card = dock.result.card.read_text()
    for said in ("from `tiny`", "layers discs + truth", "| one click | 0.200 | 0.500 |"):
        assert said in card
    assert dock.result.record.images + dock.result.record.held_out == 3  # labelled planes only
    assert dock.result.record.held_out >= 1
    assert [step for step, _ in dock._form.plot.losses] == [1, 2, 3, 4]
    assert dock._form.plot.clicks == [(0, 0.2), (2, 0.5), (4, 0.4)]
    assert dock._form.pictures.before is not dock._form.pictures.best
    assert dock._form.progress.isHidden()
    assert dock._form.name.text() == "tiny_discs_2"  # ready for another run


def test_stop_keeps_the_best_so_far(open_train: OpenTrain, base: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    rising_scores(monkeypatch, [0.2, 0.6] + [0.1] * 100)
    slow_steps(monkeypatch, 0.02)
    dock = open_train(steps=100, patience=0)
    dock.add_layers("discs", "truth")
    dock.start()
    with pytest.raises(InputError, match="A run is going on"):
        dock.start()
    with pytest.raises(InputError, match="A run is going on"):
        dock.clear_data()
    wait_for(lambda: len(dock._form.plot.clicks) >= 4, 30)
    dock._form.cancel.click()
    dock.wait_idle(30)
    assert dock.result.stopped
    assert len(dock._form.plot.losses) < 100
    assert dock.status.startswith("Stopped.")
    assert dock.result.record.after.one_click == 0.6
    assert not equal(weights(base), load_model(dock.result.name, device="cpu"))


def test_stopped_before_anything_was_learnt_nothing_is_saved(
    open_train: OpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_steps(monkeypatch, 0.5)
    dock = open_train()
    dock.add_layers("discs", "truth")
    dock.start()
    dock.cancel()
    dock.wait_idle(30)
    assert dock.result is None
    assert "nothing was saved" in dock.status
    assert user_models() == ()
    assert not dock._form.start.isHidden()


def test_what_does_not_fit_is_refused_with_advice(open_train: OpenTrain, monkeypatch: pytest.MonkeyPatch) -> None:
    dock = open_train(mode="all")
    monkeypatch.setattr(memory_estimate, "free_memory", lambda _: 200_000_000)
    dock.add_layers("discs", "truth")
    dock.wait_idle()
    assert "will not do" in dock._form.memory.text()
    dock.start()
    with pytest.raises(InputError, match=r"are free on cpu: .*smaller model"):
        dock.wait_idle()
    assert "are free" in dock.status
    assert user_models() == ()


def test_a_folder_and_no_held_out_images(open_train: OpenTrain, tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for seed in range(2):
        image, labels = discs(seed)
        tifffile.imwrite(tmp_path / "set" / "images" / f"{seed}.tif", image)
        tifffile.imwrite(tmp_path / "set" / "labels" / f"{seed}.tif", labels.astype(np.uint16))
    dock = open_train(steps=2)
    dock.add_folder(tmp_path / "set")
    dock.set_held_out(0)
    dock.set_name("mine")
    dock.start()
    dock.wait_idle(30)
    assert dock.result.name == "mine"
    assert (dock.result.record.images, dock.result.record.objects) == (2, 8)
    assert "nothing was measured" in dock.status
    assert dock._form.pictures.isHidden()


def test_the_window_stays_alive(open_train: OpenTrain) -> None:
    dock = open_train(steps=2)
    dock.add_layers("discs", "truth")
    dock.start()
    dock.wait_idle(30)  # imports
    dock.set_settings(steps=12)
    with longest_pause() as worst:
        dock.start()
        while dock.busy:
            QApplication.processEvents()
    assert dock.result.name == "tiny_discs_2"
    assert worst[0] < 4 * LONGEST_PAUSE  # on one core it shares with the training


def test_closing_the_dock_stops_the_run(open_train: OpenTrain, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, 0.05)
    dock = open_train(steps=1000)
    before = len(workers())
    dock.add_layers("discs", "truth")
    dock.start()
    wait_for(lambda: len(dock._form.plot.losses) > 1, 30)
    dock.viewer.window.remove_dock_widget(dock)
    wait_for(lambda: len(workers()) < before, 10)
    assert [row.name for row in user_models()] == ["tiny_discs"]  # what was learnt is not lost


def test_the_plot_draws_both_curves(open_train: OpenTrain) -> None:
    plot = open_train()._form.plot
    plot.resize(300, 150)
    plot.start(10)
    empty = plot.grab().toImage()
    for step in range(1, 11):
        plot.add_loss(step, 1 / step)
    plot.add_score(0, 0.2, 0.4)
    plot.add_score(10, 0.8, 0.9)
    drawn = plot.grab().toImage()
    for colour in ("#00beff", "#ff8c00"):
        exact = [
            sum(QColor(picture.pixel(x, y)).name() == colour for x in range(40, 270) for y in range(25, 130))
            for picture in (empty, drawn)
        ]
        assert exact[0] == 0 < exact[1]


def test_triton_is_not_loaded_beside_opengl() -> None:
    """Its LLVM and Mesa's in one process crash it."""
    code = (
        "import sys, torch\n"
        "from napari_sam.model.torch_imports import import_dynamo\n"
        "import_dynamo()\n"
        "assert 'torch._dynamo' in sys.modules and 'triton' not in sys.modules\n"
        "p = torch.nn.Parameter(torch.ones(2))\n"
        "optimizer = torch.optim.AdamW([p])\n"
        "p.sum().backward(); optimizer.step()\n"
        "torch.nn.Linear(3, 3, device='meta')\n"
        "assert 'triton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""The list of models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_sam.errors import DownloadError
from napari_sam.model.registry import MODELS, find_model, register_user_model
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def pick(dock: PromptDock, name: str) -> None:
    index = dock._form.model.findData(name)
    dock._form.model.setCurrentIndex(index)
    dock._form.model.activated.emit(index)


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer questions with yes, and list them."""
    asked: list[str] = []

    def question(_parent: Any, _title: str, text: str, _buttons: Any) -> QMessageBox.StandardButton:
        asked.append(text)
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


def listed(dock: PromptDock) -> list[str]:
    return [dock._form.model.itemText(i) for i in range(dock._form.model.count())]


def test_what_models_are_good_for_and_the_sizes_of_downloads_are_shown(
    open_dock: OpenDock, cache: Path, tiny_cell_model: Sam
) -> None:
    dock = open_dock()
    texts = listed(dock)
    assert all(text.startswith(f"{row.name}: {row.about}") for text, row in zip(texts, MODELS, strict=False))
    (number,) = [i for i, text in enumerate(texts) if text.startswith("vit_b:")]
    assert texts[number].endswith("(download 375 MB)")
    assert texts[-1] == "cell_tiny (from a script)"
    assert len(texts) == len(MODELS) + 1
    assert dock._form.model.currentText() == texts[-1]
    cache.mkdir(parents=True)
    (cache / find_model("vit_b").file).write_bytes(b"")
    dock._models.refresh()
    assert "download" not in listed(dock)[number]
    assert dock._form.model.currentText() == texts[-1]


def test_own_models_come_first_and_new_ones_change_no_choice(open_dock: OpenDock) -> None:
    row = find_model("cells")
    register_user_model(replace(row, name="axons", known_hash="sha256:0", about="fine-tuned from cells"))
    dock = open_dock(model="cells")
    assert listed(dock)[:2] == ["axons: fine-tuned from cells (download)", f"cells: {row.about}"]
    register_user_model(replace(row, name="nuclei", known_hash="sha256:0", about="imported"))
    dock._models.refresh()
    assert [text.split(":")[0] for text in listed(dock)[:3]] == ["axons", "nuclei", "cells"]
    assert dock._form.model.currentData() == "cells"


def test_a_download_is_asked_for_and_may_be_refused(
    open_dock: OpenDock, questions: list[str], monkeypatch: pytest.MonkeyPatch, tiny_cell_model: Sam
) -> None:
    dock = open_dock(np.random.default_rng(0).random((30, 30)))
    dock.wait_idle()
    asked: list[str] = []

    def refuse(_parent: Any, _title: str, text: str, _buttons: Any) -> QMessageBox.StandardButton:
        asked.append(text)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", refuse)
    pick(dock, "vit_b")
    assert "375 MB" in asked[0]
    assert "dl.fbaipublicfiles.com" in asked[0]
    assert dock.model is tiny_cell_model
    assert dock._form.model.currentData() is tiny_cell_model
    assert not dock.busy
    pick(dock, "cells")
    assert dock.model == "cells"
    assert len(asked) == 1
    assert questions == []


def test_a_picked_model_is_fetched_with_progress(
    open_dock: OpenDock, tiny_vit_model: Sam, monkeypatch: pytest.MonkeyPatch, questions: list[str]
) -> None:
    asked: list[str] = []

    def load_model(name: str, *, progress: Callable[[int, int], None]) -> Sam:
        asked.append(name)
        for done in (0, 50, 100):
            progress(done, 100)
        return tiny_vit_model

    monkeypatch.setattr("napari_sam.model.load.load_model", load_model)
    dock = open_dock(np.random.default_rng(0).random((30, 30)))
    seen: list[Any] = []
    dock._session.service.progressed.connect(lambda *answer: seen.append(answer))
    pick(dock, "mobile_sam")
    dock.add_point((10, 10))
    dock.wait_idle()
    assert asked == ["mobile_sam"]
    assert (50, 100, "Downloading mobile_sam") in seen
    assert len(questions) == 1
    assert len(dock.candidates) == 3


def cannot_be_had(name: str, *, progress: Callable[[int, int], None]) -> Sam:
    raise DownloadError(f"{name} could not be fetched: put the file into the folder yourself.")


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_model_that_cannot_be_had_leaves_the_choice_as_it_was(
    open_dock: OpenDock, monkeypatch: pytest.MonkeyPatch, by_hand: bool, tiny_cell_model: Sam, questions: list[str]
) -> None:
    monkeypatch.setattr("napari_sam.model.load.load_model", cannot_be_had)
    dock = open_dock(np.random.default_rng(0).random((30, 30)))
    dock.add_point((10, 10))
    dock.wait_idle()
    if by_hand:
        pick(dock, "vit_h")
    else:
        dock.set_model("vit_h")
    with pytest.raises(DownloadError):
        dock.wait_idle()
    assert len(questions) == by_hand
    assert dock.status == "vit_h could not be fetched: put the file into the folder yourself."
    assert dock.model is tiny_cell_model
    assert dock._form.model.currentData() is tiny_cell_model
    dock.wait_idle()
    assert dock.candidates  # of the model of before


def test_sam_auto_goes_back_likewise(
    open_auto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_cell_model: Sam
) -> None:
    monkeypatch.setattr("napari_sam.model.load.load_model", cannot_be_had)
    dock = open_auto(np.zeros((30, 30)))
    dock.set_model("vit_h")
    dock.run()
    with pytest.raises(DownloadError):
        dock.wait_idle()
    assert dock._session.view.model is tiny_cell_model
    assert dock._form.model.currentData() is tiny_cell_model

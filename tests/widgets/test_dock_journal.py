"""The dock's journal, replayed, gives the labels that the dock wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.io.journal import read_journal
from napari_sam.model.build import build_from_spec
from napari_sam.model.sam import Sam
from napari_sam.pipeline.replay import Replay, journal_images
from napari_sam.widgets.journal_log import journal_folder
from napari_sam.widgets.prompt_dock import PromptDock

Image = npt.NDArray[np.uint16]
OpenDock = Callable[..., PromptDock]


def replay(dock: PromptDock, model: Sam, image: Any, which: int = -1) -> npt.NDArray[np.int32]:
    assert dock.journal_path is not None
    events = read_journal(dock.journal_path)
    return Replay(model, events, journal_images(events)[which]).run(image)


def events_of(dock: PromptDock, kind: str) -> list[dict[str, Any]]:
    assert dock.journal_path is not None
    return [event for event in read_journal(dock.journal_path) if event["event"] == kind]


def labels_of(dock: PromptDock) -> npt.NDArray[np.int32]:
    assert dock.labels_layer is not None
    return np.asarray(dock.labels_layer.data)


def do(dock: PromptDock, *actions: Callable[[], object]) -> None:
    for action in actions:
        action()
        dock.wait_idle()


def test_a_long_session_replays_to_the_bit(open_dock: OpenDock, tiny_cell_model: Sam) -> None:
    image = np.random.default_rng(5).integers(0, 4000, (150, 170)).astype(np.uint16)  # several windows
    dock = open_dock(image)
    do(
        dock,
        lambda: dock.add_point((20, 22)),
        dock.next_candidate,
        lambda: dock.add_point((30, 40)),
        lambda: dock.add_point((35, 45), positive=False),
        dock.accept,
        lambda: dock.add_box((60, 70, 90, 110)),
        lambda: dock.add_point((70, 80)),
        dock.accept,
        lambda: dock.add_polygon([(100, 100), (100, 140), (140, 140), (140, 100)]),
        lambda: dock.add_point((120, 120)),
        dock.accept,
        dock.undo,
        dock.undo,
        dock.redo,
        dock.redo,
        lambda: dock.add_scribble([(10, 100), (30, 150)]),
        dock.discard,
        dock.undo,
        dock.undo,
        lambda: dock.set_keep_existing(False),
        lambda: dock.add_point((75, 95)),
        dock.accept,
        lambda: dock.improve_label(1),
        lambda: dock.add_point((25, 30)),
        dock.accept,
    )
    written = labels_of(dock)
    assert len(np.unique(written)) > 3
    np.testing.assert_array_equal(replay(dock, tiny_cell_model, image), written)


def test_labels_painted_by_hand_are_part_of_it(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    dock = open_dock(noise)
    labels = dock.viewer.add_labels(np.pad([[[9]]], ((0, 0), (3, 46), (4, 55)))[0].astype(np.int32))
    dock.set_labels_layer(labels)

    def paint(row: int, label: int) -> None:
        labels.selected_label = label
        labels.brush_size = 3
        labels.paint((row, 50), label)

    do(
        dock,
        lambda: dock.add_point((20, 22)),
        dock.accept,
        lambda: paint(10, 30),
        lambda: dock.add_point((40, 12)),
        dock.accept,
        lambda: paint(5, 31),
        dock.undo,
        lambda: labels.undo(),
        dock.redo,
    )
    assert {9, 10, 30, 31} <= set(np.unique(labels.data))  # the label after 30 is 31
    np.testing.assert_array_equal(replay(dock, tiny_cell_model, noise), labels.data)


def test_planes_replay_each_on_its_own(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    stack = np.stack([noise, noise[::-1], noise[:, ::-1]])
    dock = open_dock(stack)
    dock.set_keep_existing(False)
    do(
        dock,
        lambda: dock.add_point((0, 20, 22)),
        dock.accept,
        lambda: dock.add_point((2, 20, 22)),
        dock.accept,
        lambda: dock.add_point((0, 40, 50)),
        dock.accept,
        lambda: dock.add_point((2, 40, 50)),
        dock.accept,
        dock.undo,
        dock.undo,
        dock.undo,
    )
    images = events_of(dock, "image")
    assert [image["plane"] for image in images] == [[0], [2]]
    for which, plane in enumerate((0, 2)):
        np.testing.assert_array_equal(replay(dock, tiny_cell_model, stack[plane], which), labels_of(dock)[plane])


def test_another_model_goes_on_with_the_labels(
    open_dock: OpenDock, noise: Image, tiny_cell_model: Sam, tiny_spec_vit: Any
) -> None:
    dock = open_dock(noise)
    other = build_from_spec(tiny_spec_vit, seed=7)
    do(
        dock,
        lambda: dock.add_point((20, 22)),
        dock.accept,
        lambda: dock.set_model(other),
        lambda: dock.add_point((40, 12)),
        dock.accept,
    )
    np.testing.assert_array_equal(replay(dock, other, noise), labels_of(dock))
    do(dock, dock.undo, dock.undo, dock.undo)  # the label, then the point, then the first model's label
    assert not labels_of(dock).any()
    np.testing.assert_array_equal(replay(dock, other, noise), labels_of(dock))


def test_feedback_and_choices_are_recorded(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    do(dock, lambda: dock.add_point((20, 22)), dock.next_candidate, lambda: dock.add_point((30, 40)))
    first, second = events_of(dock, "predict")
    assert first["feedback"] is None
    assert second["feedback"] == {"predict": first["id"], "candidate": 1}
    assert second["points"] == [[20, 22], [30, 40]]
    assert events_of(dock, "choose") == [{"event": "choose", "predict": first["id"], "candidate": 1}]
    dock.viewer.layers["SAM points"].data = np.array([[20.0, 22.0], [30.0, 41.0]])
    dock.wait_idle()
    assert events_of(dock, "predict")[-1]["feedback"] is None
    do(dock, dock.undo)
    assert dock._session.current is not None
    assert dock._session.current.parent_choice == 1  # what comes back is what was there
    (image,) = events_of(dock, "image")
    assert image["shape"] == [50, 60]
    assert image["layer"] == "image"


def test_everything_is_on_disk_as_it_happens(open_dock: OpenDock, noise: Image, journal_folder: Path) -> None:
    dock = open_dock(noise)
    assert dock.journal_path is None
    kinds = []
    for action in (lambda: dock.add_point((20, 22)), dock.next_candidate, dock.accept, dock.undo, dock.redo):
        do(dock, action)  # type: ignore[arg-type]
        (file,) = journal_folder.glob("*.jsonl")
        kinds.append(json.loads(file.read_text().splitlines()[-1])["event"])
    assert kinds == ["predict", "choose", "commit", "undo", "redo"]
    assert file == dock.journal_path


def test_a_drag_is_recorded_once(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    do(dock, lambda: dock.add_point((20, 22)))
    points = dock.viewer.layers["SAM points"]
    points._set_drag_start({0}, (20, 22))
    for row in range(21, 30):  # as napari moves points under the mouse
        with points.events.data.blocker():
            points._move([0], (row, 22))
        dock.wait_idle()
        assert dock._session.current is not None
        assert dock._session.current.prompts.points == ((row, 22),)
    points._move([0], (30, 22))
    dock.wait_idle()
    assert [event["points"] for event in events_of(dock, "predict")] == [[[20, 22]], [[30, 22]]]
    dock.undo()
    dock.wait_idle()
    np.testing.assert_array_equal(points.data, [[20, 22]])


def test_a_journal_that_cannot_be_written_does_not_stop_the_work(
    open_dock: OpenDock, noise: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_SAM_JOURNALS", str(tmp_path / "file" / "below"))
    dock = open_dock(noise)
    do(dock, lambda: dock.add_point((20, 22)))
    assert "Cannot write the journal" in dock.status
    assert dock.accept() == 1
    assert dock.journal_path is None


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_SAM_JOURNALS")
    assert journal_folder().parts[-2:] == ("napari-sam", "journals")

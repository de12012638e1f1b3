"""One object, one label on all of its planes: linked in SAM Auto, accepted into a label in SAM Prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.errors import InputError
from napari_sam.io.journal import read_journal
from napari_sam.model.sam import Sam
from napari_sam.pipeline.replay import Replay, journal_images
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock

Image = npt.NDArray[np.uint8]


def drifting(squares: Image) -> Image:
    """Three planes whose squares move by a pixel each; the first square is missing in the last."""
    planes = [np.roll(squares, step, axis=1) for step in range(3)]
    planes[2][5:11, 5:15] = 0
    return np.stack(planes)


def searched(open_auto: Callable[..., AutoDock], image: Image) -> AutoDock:
    dock = open_auto(image)
    dock.run("stack")
    dock.wait_idle()
    return dock


def labels_of(dock: AutoDock | PromptDock) -> npt.NDArray[Any]:
    assert dock.labels_layer is not None
    return np.asarray(dock.labels_layer.data)


def test_linking_gives_each_object_one_label(open_auto: Callable[..., AutoDock], planted: Any, squares: Image) -> None:
    image = drifting(squares)
    dock = searched(open_auto, image)
    before = labels_of(dock).copy()
    assert len(np.unique(before)) == 1 + 6 + 6 + 5
    assert not dock._form.link.isHidden()
    dock._form.link.click()
    after = labels_of(dock)
    assert np.array_equal(after > 0, before > 0)
    assert dock.status.startswith("6 objects after linking")
    for value in (40, 50, 60, 70, 80, 90):
        assert len(np.unique(after[image == value])) == 1
    assert len(np.unique(after)) == 7
    dock.undo()
    dock.wait_idle()
    assert np.array_equal(labels_of(dock), before)
    dock.redo()
    dock.wait_idle()
    assert np.array_equal(labels_of(dock), after)


def test_a_label_that_two_objects_had_goes_to_one(open_auto: Callable[..., AutoDock], planted: Any) -> None:
    image = np.zeros((2, 30, 40), np.uint8)
    image[0, 4:10, 4:10] = 50
    dock = searched(open_auto, image)
    labels_of(dock)[1, 20:26, 30:36] = labels_of(dock).max()  # drawn by hand with the same number elsewhere
    assert dock.labels_layer is not None
    dock.labels_layer.refresh()
    dock.viewer.dims.set_point(0, 1)
    dock.wait_idle()
    assert dock.link_planes() == 2
    assert len(np.unique(labels_of(dock))) == 3


def test_only_stacks_have_planes_to_link(open_auto: Callable[..., AutoDock], planted: Any, squares: Image) -> None:
    dock = open_auto(squares)
    dock.run()
    dock.wait_idle()
    assert dock._form.link.isHidden()
    with pytest.raises(InputError, match="open a stack"):
        dock.link_planes()


def test_along_time_only_overlap_counts(open_auto: Callable[..., AutoDock], planted: Any) -> None:
    image = np.zeros((2, 40, 40), np.uint8)
    image[0, 4:34, 4:34] = 60
    image[1, 12:20, 12:20] = 60  # inside: the pole of a body, but no second time of the same cell
    sections = searched(open_auto, image)
    assert sections.link_planes() == 1
    times = open_auto(image, axis_labels=("t", "y", "x"))
    times.run("stack")
    times.wait_idle()
    assert times.link_planes() == 2


@pytest.fixture
def tracked(open_dock: Callable[..., PromptDock]) -> PromptDock:
    """Two planes; an object accepted on the first, prompts at the same place on the second."""
    rng = np.random.default_rng(3)
    dock = open_dock(rng.integers(0, 4000, (2, 50, 60)).astype(np.uint16))
    dock.add_point((0, 20, 22))
    dock.wait_idle()
    assert dock.accept() == 1
    dock.add_point((1, 20, 22))
    dock.wait_idle()
    return dock


def test_accepting_into_the_selected_label(tracked: PromptDock, tiny_cell_model: Sam) -> None:
    tracked._form.same_label.click()
    assert tracked.accept() == 1
    labels = labels_of(tracked)
    first = labels[1] == 1
    assert first.any()
    tracked.add_point((1, 40, 50))
    tracked.wait_idle()
    mask = tracked.candidates[tracked.candidate_index].mask
    assert tracked.accept() == 1
    assert np.array_equal(labels[1] == 1, first | mask)  # what it had it keeps
    assert tracked.journal_path is not None
    events = read_journal(tracked.journal_path)
    image = np.asarray(tracked.viewer.layers["image"].data[1])
    assert np.array_equal(Replay(tiny_cell_model, events, journal_images(events)[-1]).run(image), labels[1])
    tracked.undo()
    assert np.array_equal(labels[1] == 1, first)


def test_a_script_names_the_label_to_join(tracked: PromptDock) -> None:
    assert tracked.accept(label=1) == 1
    tracked.set_keep_existing(False)
    tracked.add_point((1, 40, 50))
    tracked.wait_idle()
    assert tracked.accept() == 2  # the next one is new again


def test_the_background_is_no_label_to_join(tracked: PromptDock) -> None:
    tracked.set_same_label(True)
    assert tracked.labels_layer is not None
    assert tracked.labels_layer.selected_label == 1  # the one accepted last
    tracked.labels_layer.selected_label = 0
    with pytest.raises(InputError, match="select a label"):
        tracked.accept()
    assert not labels_of(tracked)[1].any()

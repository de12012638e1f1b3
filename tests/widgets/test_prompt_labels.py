"""What the dock does to labels: accepting, undoing, improving, a layer that is full."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from napari_sam.errors import InputError
from napari_sam.model.sam import Sam
from napari_sam.widgets.prompt_dock import PromptDock
from prompt_actions import expected, press

Image = npt.NDArray[np.uint16]
OpenDock = Callable[..., PromptDock]


def test_accept_writes_the_chosen_mask_with_the_next_free_label(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.set_labels_layer(dock.viewer.add_labels(np.pad([[41]], ((0, 49), (0, 59))).astype(np.int32), name="mine"))
    dock.add_point((20, 22))
    dock.wait_idle()
    dock.next_candidate()
    mask = dock.candidates[1].mask
    assert dock.accept() == 42
    assert dock.labels_layer is dock.viewer.layers["mine"]
    mask[0, 0] = False
    np.testing.assert_array_equal(dock.labels_layer.data == 42, mask)
    assert dock.labels_layer.data[0, 0] == 41
    assert len(dock.viewer.layers["SAM points"].data) == 0
    assert dock.candidates == ()
    assert not dock.viewer.layers["SAM preview"].visible


def test_existing_labels_are_kept_unless_the_box_is_unticked(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.set_labels_layer(dock.viewer.add_labels(np.zeros(noise.shape, dtype=np.int32)))
    for keep in (True, False):
        dock.set_keep_existing(keep)
        dock.add_point((20, 22))
        dock.wait_idle()
        rows, cols = np.nonzero(dock.candidates[0].mask)
        taken = rows[::2], cols[::2]
        dock.labels_layer.data[:] = 0
        dock.labels_layer.data[taken] = 3
        label = dock.accept()
        assert len(taken[0]) > 0
        assert (dock.labels_layer.data[taken] == (3 if keep else label)).all()


def test_undo_and_redo_run_across_prompts_and_labels(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.set_keep_existing(False)
    states = []

    def record() -> None:
        dock.wait_idle()
        layers = {layer.name: layer for layer in dock.viewer.layers}
        points, shapes = layers.get("SAM points"), layers.get("SAM shapes")
        labels = np.zeros(noise.shape, int) if dock.labels_layer is None else dock.labels_layer.data.copy()
        states.append((
            [] if points is None else [*map(tuple, points.data), *points.features["label"]],
            [] if shapes is None else [shape.tolist() for shape in shapes.data],
            labels.tolist(),
            [candidate.mask.tolist() for candidate in dock.candidates],
        ))  # fmt: skip

    actions: list[Callable[[], object]] = [
        lambda: dock.add_point((20, 22)),
        lambda: dock.add_point((30, 40), positive=False),
        lambda: dock.accept(),
        lambda: dock.add_box((5, 5, 20, 20)),
        lambda: dock.add_point((8, 8)),
        lambda: dock.discard(),
        lambda: dock.add_point((40, 50)),
        lambda: dock.accept(),
    ]
    record()
    for action in actions:
        action()
        record()
    forward, states = states, []
    for _ in actions:
        dock.undo()
        record()
    assert states == forward[-2::-1]
    assert not dock._form.undo.isEnabled()
    dock.undo()
    states = []
    for _ in actions:
        dock.redo()
        record()
    assert states == forward[1:]
    assert not dock._form.redo.isEnabled()


def test_each_shape_can_be_an_object(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.set_one_per_shape(True)
    for box in ((2, 2, 20, 20), (25, 5, 45, 25), (10, 30, 40, 55)):
        dock.add_box(box)
    dock.wait_idle()
    assert len(dock._session.drafts) == 3
    assert dock._session.current.prompts.box == (10, 30, 40, 55)
    masks = [dock._session._candidates_of(draft)[0].mask for draft in dock._session.drafts]
    shown = np.unique(dock.viewer.layers["SAM preview"].data)
    assert set(shown.tolist()) <= {0, 1, 2, 3, 4}  # inside and outline, of the current object and of others
    press(dock, "G")
    assert dock._session.current.prompts.box == (2, 2, 20, 20)
    assert dock.accept() == 1
    np.testing.assert_array_equal(dock.labels_layer.data == 1, masks[0])
    assert len(dock.viewer.layers["SAM shapes"].data) == 2
    dock.wait_idle()
    assert dock.accept_all() == [2, 3]
    assert len(dock.viewer.layers["SAM shapes"].data) == 0
    dock.undo()
    assert sorted(np.unique(dock.labels_layer.data)) == [0, 1]
    assert len(dock.viewer.layers["SAM shapes"].data) == 2


def test_a_label_can_be_improved(open_dock: OpenDock, noise: Image, tiny_cell_model: Sam) -> None:
    dock = open_dock(noise)
    labels = np.zeros(noise.shape, dtype=np.int32)
    labels[10:25, 10:30], labels[30:40, 40:50] = 5, 6
    before = labels.copy()
    dock.set_labels_layer(dock.viewer.add_labels(labels))
    dock.labels_layer.selected_label = 5
    dock._form.improve.click()
    dock.wait_idle()
    truth = expected(noise, tiny_cell_model, mask=before == 5, box=(10, 10, 25, 30))
    np.testing.assert_array_equal(dock.candidates[0].mask, truth.masks[0])
    assert dock.accept() == 5
    np.testing.assert_array_equal(dock.labels_layer.data == 5, truth.masks[0] & (before != 6))
    assert (dock.labels_layer.data == 6).sum() == 100
    dock.undo()
    np.testing.assert_array_equal(dock.labels_layer.data, before)
    dock.redo()
    np.testing.assert_array_equal(dock.labels_layer.data == 5, truth.masks[0] & (before != 6))
    with pytest.raises(InputError, match="label 77 is not in this plane"):
        dock.improve_label(77)


def test_a_full_label_layer_stops_at_the_object_that_does_not_fit(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.set_one_per_shape(True)
    labels = np.full(noise.shape, 9, dtype=np.int32)
    dock.set_labels_layer(dock.viewer.add_labels(labels))
    dock.add_box((2, 2, 20, 20))
    dock.add_box((25, 5, 45, 25))
    dock.wait_idle()
    first, second = (dock._session._candidates_of(draft)[0].mask for draft in dock._session.drafts)
    assert (first & ~second).any()
    dock.labels_layer.data[first] = 0
    dock.labels_layer.data[second] = 9
    with pytest.raises(InputError, match="already have a label"):
        dock.accept_all()
    assert (dock.labels_layer.data == 10).any()
    assert len(dock.viewer.layers["SAM shapes"].data) == 1
    dock.undo()
    assert not (dock.labels_layer.data == 10).any()
    assert len(dock.viewer.layers["SAM shapes"].data) == 2

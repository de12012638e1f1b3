"""What SAM Train cannot use it says in one sentence, and reads planes as they are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.model.sam import Sam
from napari_sam.widgets.train_data import LayerPair, read_store, split_store
from napari_sam.widgets.train_dock import TrainDock


@pytest.fixture
def dock(
    make_napari_viewer: Callable[..., napari.Viewer],
    tiny_cell_model: Sam,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Train")
    dock.set_model(tiny_cell_model)
    dock.viewer = viewer
    return dock


def blob(shape: tuple[int, ...] = (40, 50)) -> Any:
    labels = np.zeros(shape, np.int32)
    labels[..., 10:20, 10:20] = 7
    return labels


def noise(shape: tuple[int, ...] = (40, 50)) -> Any:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def run(dock: TrainDock) -> None:
    dock.start()
    dock.wait_idle(30)


def test_bad_input_is_answered_by_a_sentence(dock: Any, tmp_path: Path) -> None:
    viewer = dock.viewer
    with pytest.raises(InputError, match="nothing to learn from: choose an image"):
        dock.start()
    viewer.add_image(noise(), name="image")
    viewer.add_labels(blob((40, 49)), name="narrow")
    viewer.add_labels(np.zeros((40, 50), np.int32), name="empty")
    with pytest.raises(InputError, match=r"'image' has \(40, 50\) pixels and the labels 'narrow' have \(40, 49\)"):
        dock.add_layers("image", "narrow")
    with pytest.raises(InputError, match="'image' is not a labels layer"):
        dock.add_layers("image", "image")
    with pytest.raises(InputError, match="'empty' is not an image"):
        dock.add_layers("empty", "empty")
    with pytest.raises(InputError, match="There is no folder"):
        dock.add_folder(tmp_path / "nowhere")
    assert dock.data == []
    dock.add_layers("image", "empty")
    with pytest.raises(InputError, match="in the list already"):
        dock.add_layers("image", "empty")
    with pytest.raises(InputError, match="'empty' is empty: paint some objects"):
        run(dock)
    assert "'empty' is empty" in dock.status
    viewer.layers["empty"].data = blob()
    with pytest.raises(InputError, match="one labelled image, so none can be held out"):
        run(dock)
    dock.clear_data()
    dock.add_folder(tmp_path)
    with pytest.raises(InputError, match="images"):
        run(dock)


def test_settings_and_names_are_checked(dock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dock.viewer.add_image(noise(), name="my cells (1)")
    dock.viewer.add_labels(blob(), name="truth")
    dock.add_layers("my cells (1)", "truth")
    assert dock._form.name.text() == "cell_tiny_my_cells_1"
    with pytest.raises(InputError, match="Setting mode is 'some'"):
        dock.set_settings("some")
    with pytest.raises(InputError, match="batch"):
        dock.set_settings(batch=0)
    with pytest.raises(InputError, match="held-out share is 1"):
        dock.set_held_out(1)
    assert dock.settings.mode == "decoder"
    dock.set_settings("lora", rank=3, minutes=2.5, complete_labels=False)
    assert (dock.settings.rank, dock.settings.minutes, dock.settings.complete_labels) == (3, 2.5, False)
    assert "LoRA" in dock._form.mode.currentText()
    assert "adapters" in dock._form.mode_text.text()
    dock.set_name("vit_b")
    with pytest.raises(InputError, match="belongs to a model"):
        dock.start()
    monkeypatch.setattr("napari_sam.widgets.train_dock.user_models", lambda: (_Row("mine"),))
    dock.set_name("mine")
    with pytest.raises(InputError, match="such as 'mine_2'"):
        dock.start()


class _Row:
    def __init__(self, name: str) -> None:
        self.name = name


def test_a_pair_leaves_the_list_with_its_layer(dock: Any) -> None:
    dock.viewer.add_image(noise(), name="image")
    dock.viewer.add_labels(blob(), name="truth")
    dock._form.add.click()  # layers that come are chosen by themselves
    assert dock.data == ["layers image + truth"]
    dock.viewer.layers.remove("truth")
    assert dock.data == []
    assert dock._form.sources.count() == 0
    dock._form.add.click()
    assert "No pair is chosen" in dock.status


def test_labelled_planes_are_read_along_the_displayed_axes(dock: Any) -> None:
    image = dock.viewer.add_image(noise((3, 40, 50)))
    data = np.zeros((3, 40, 50), np.uint64)
    data[:, 5:9, 4] = 2**40
    data[1, 20:30, 4] = 3
    labels = dock.viewer.add_labels(data)

    def planes() -> Any:
        pair = LayerPair.shown(dock.viewer, image, labels)
        return read_store([pair.planes()], [], lambda *_: None)

    store = planes()
    assert [facts.objects for facts in store.facts] == [1, 2, 1]
    assert store[1].labels.shape == (40, 50)
    assert sorted(np.unique(store[1].labels)) == [0, 1, 2]  # numbered anew: they are too large
    dock.viewer.dims.order = (2, 0, 1)  # rows and columns are axes 0 and 1 now
    (sample,) = planes()
    assert sample.labels.shape == (3, 40)
    np.testing.assert_array_equal(sample.labels > 0, data[:, :, 4] > 0)


def test_labels_painted_later_do_not_change_what_is_learnt_from(dock: Any) -> None:
    image = dock.viewer.add_image(noise((2, 40, 50)))
    labels = dock.viewer.add_labels(blob((2, 40, 50)))
    store = read_store([LayerPair.shown(dock.viewer, image, labels).planes()], [], lambda *_: None)
    labels.data[:] = 0
    assert store[0].labels.max() == 7
    learn, held = split_store(store, 0.5, 0)
    assert (len(learn), len(held)) == (1, 1)


def test_rgb_layers_are_pictures_not_stacks(dock: Any) -> None:
    image = dock.viewer.add_image(noise((40, 50, 3)), rgb=True)
    labels = dock.viewer.add_labels(blob())
    (sample,) = read_store([LayerPair.shown(dock.viewer, image, labels).planes()], [], lambda *_: None)
    assert sample.image.shape == (40, 50, 3)

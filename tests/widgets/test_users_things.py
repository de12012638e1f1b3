"""What is the user's stays: tables, labels that cannot be written, layers whose contents anyone replaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import zarr

from gui_helpers import wait_for
from napari_sam.errors import InputError
from napari_sam.pipeline import large_planes
from napari_sam.widgets.auto_dock import AutoDock
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]
OpenAuto = Callable[..., AutoDock]
Image = npt.NDArray[Any]


def read_only(kind: str, shape: tuple[int, ...], folder: Path) -> Any:
    if kind == "zarr":
        zarr.create_array(str(folder / "labels.zarr"), shape=shape, dtype="int32")
        return zarr.open_array(str(folder / "labels.zarr"), mode="r")
    labels = np.zeros(shape, np.int32)
    if kind == "memmap":
        np.save(folder / "labels.npy", labels)
        return np.load(folder / "labels.npy", mmap_mode="r")
    labels.setflags(write=False)
    return labels


def test_cell_types_survive_a_run_its_undo_and_redo(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    dock = open_auto(squares)
    drawn = np.zeros(squares.shape, np.int32)
    drawn[0:3, 0:3], drawn[36:39, 0:3] = 11, 12
    types = {"index": [11, 12], "cell_type": ["neuron", "glia"]}
    layer = dock.viewer.add_labels(drawn, features=types)
    dock.set_labels_layer(layer)
    dock.run()
    dock.wait_idle()
    found = next(iter(set(dock.objects) - {11, 12}))

    def table() -> Any:
        return layer.features.set_index("index")["cell_type"]

    assert table()[[11, 12]].tolist() == ["neuron", "glia"]
    assert table().isna().sum() == 6
    layer.features = layer.features.assign(
        cell_type=["oligo" if label == found else kind for label, kind in table().items()]
    )
    dock.undo()
    dock.wait_idle()
    assert table().to_dict() == {11: "neuron", 12: "glia"}
    dock.redo()
    dock.wait_idle()
    assert table()[[11, 12, found]].tolist() == ["neuron", "glia", "oligo"]
    dock.delete(12)
    dock.undo()
    dock.wait_idle()
    assert table()[12] == "glia"


@pytest.mark.parametrize("kind", ["numpy", "memmap", "zarr"])
def test_labels_that_cannot_be_written_are_said_before_the_work(
    open_dock: OpenDock, noise: Image, tmp_path: Path, kind: str
) -> None:
    dock = open_dock(noise)
    dock.set_labels_layer(dock.viewer.add_labels(read_only(kind, noise.shape, tmp_path)))
    assert "open for reading only" in dock.next_step
    dock.add_point((20, 22))
    dock.wait_idle()
    assert "open for reading only" in dock.next_step
    with pytest.raises(InputError, match="reading only"):
        dock.accept()
    dock._form.accept.click()
    assert "open for reading only" in dock.status
    assert not dock._session.history.last.written


def test_full_labels_are_said_before_the_work(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    labels = np.zeros(noise.shape, np.uint8)
    labels[0, 0] = 255
    dock.set_labels_layer(dock.viewer.add_labels(labels))
    dock.add_point((20, 22))
    dock.wait_idle()
    assert "is full" in dock.next_step
    with pytest.raises(InputError, match="ends at 255"):
        dock.accept()


@pytest.mark.parametrize("kind", ["numpy", "zarr", "full"])
def test_sam_auto_says_so_and_does_not_search(
    open_auto: OpenAuto, planted: Any, squares: Image, tmp_path: Path, kind: str
) -> None:
    dock = open_auto(squares)
    labels = np.full(squares.shape, 255, np.uint8) if kind == "full" else read_only(kind, squares.shape, tmp_path)
    dock.set_labels_layer(dock.viewer.add_labels(labels))
    dock.run()
    with pytest.raises(InputError, match="is full" if kind == "full" else "reading only"):
        dock.wait_idle()
    assert "is full" in dock.status or "reading only" in dock.status
    assert not planted.searches


def test_undo_after_the_labels_were_replaced(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22))
    dock.wait_idle()
    dock.accept()
    dock.labels_layer.data = np.zeros((9, 8), np.int32)
    with pytest.raises(InputError, match="another shape"):
        dock.undo()
    dock.wait_idle()
    assert len(dock.viewer.layers["SAM points"].data) == 1  # the prompts are back
    assert dock.labels_layer.data.shape == (9, 8)
    dock.undo()
    dock.redo()
    dock.redo()  # the accept, of which nothing is left to do again
    dock.add_point((30, 22))
    dock.wait_idle()
    assert "has the shape (9, 8)" in dock.next_step
    with pytest.raises(InputError, match="shape"):
        dock.accept()


@pytest.mark.parametrize("layer", ["SAM points", "SAM shapes"])
def test_the_table_of_the_prompts_may_be_replaced(open_dock: OpenDock, noise: Image, layer: str) -> None:
    dock = open_dock(noise)
    dock.add_point((20, 22), positive=False)
    dock.add_box((5, 5, 15, 15))
    dock.wait_idle()
    prompts = dock.viewer.layers[layer]
    prompts.features = pd.DataFrame({"area": [3.0]})
    dock.wait_idle()
    assert prompts.features["area"].tolist() == [3.0]
    dock.add_point((30, 40))
    dock.add_box((20, 20, 30, 35))
    dock.flip_polarity()
    dock.wait_idle()
    assert len(prompts.data) == 2
    points = dock._session.current.prompts
    assert set(points.labels) == {0, 1}  # what was said of the first one still counts


def test_a_scribble_of_one_point_is_a_point(open_dock: OpenDock, noise: Image) -> None:
    dock = open_dock(noise)
    dock.add_scribble([(20, 22)])
    dock.add_scribble([(30, 40), (30, 40)], positive=False)
    dock.wait_idle()
    assert len(dock.viewer.layers["SAM points"].data) == 2
    for corners in ([(20, 22)] * 3, [(20, 22), (25, 30)]):
        with pytest.raises(InputError, match="at least 3"):
            dock.add_polygon(corners)


def test_a_layer_may_have_a_long_name(open_dock: OpenDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM_LABELS", str(tmp_path / "kept"))
    monkeypatch.setattr(large_planes, "LARGE_PLANE", 10_000)
    image = np.random.default_rng(0).integers(0, 4000, (200, 210)).astype(np.uint16)
    dock = open_dock()
    for name in ("細胞" * 150, "slide " * 60):
        dock.set_image(dock.viewer.add_image(da.from_array(image), name=name))
        dock.set_labels_layer(None)
        dock.add_point((100, 100))
        dock.wait_idle()
        dock.choose(int(np.argmax([candidate.patch.mask.sum() for candidate in dock.candidates])))
        assert dock.accept() > 0


def test_a_bad_plane_does_not_end_a_run(open_auto: OpenAuto, planted: Any, squares: Image) -> None:
    def read(block: Any, block_info: Any = None) -> Any:
        if block_info[0]["chunk-location"][0] == 2:
            raise OSError("the file is cut off")
        return block

    stack = da.from_array(np.stack([squares] * 4), chunks=(1, 40, 50)).map_blocks(read, dtype=np.uint8)
    dock = open_auto(stack, contrast_limits=(0, 100))
    dock.run("stack")
    with pytest.raises(InputError, match=r"Plane 2 was left out, the others are done.*cut off"):
        dock.wait_idle()
    found = [len(np.unique(plane)) - 1 for plane in np.asarray(dock.labels_layer.data)]
    assert found == [6, 6, 0, 6]
    wait_for(lambda: "Plane 2 was left out" in dock.status)
    assert "6 objects found" in dock.status

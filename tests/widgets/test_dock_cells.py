"""The dock with the model that comes with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.io import imsave

from napari_sam.cli.main import main
from napari_sam.model.load import load_model
from napari_sam.model.sam import Sam
from napari_sam.sample_data import nuclei
from napari_sam.widgets.prompt_dock import PromptDock

OpenDock = Callable[..., PromptDock]
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def cells() -> Sam:
    return load_model("cells")


@pytest.fixture(scope="module")
def sample() -> Any:
    return nuclei((256, 256))


@pytest.fixture(scope="module")
def truth(sample: Any) -> list[Mask]:
    """The five largest nuclei that do not touch the border."""
    inner = set(np.unique(sample.labels)) - set(
        np.unique(np.r_[sample.labels[[0, -1]].ravel(), sample.labels[:, [0, -1]].ravel()])
    )
    by_size = sorted(inner - {0}, key=lambda label: -np.count_nonzero(sample.labels == label))
    return [sample.labels == label for label in by_size[:5]]


@pytest.fixture
def dock(open_dock: OpenDock, cells: Sam, sample: Any) -> PromptDock:
    return open_dock(sample.image, model=cells)


def middle(mask: Mask) -> tuple[int, int]:
    row, col = np.unravel_index(distance_transform_edt(mask).argmax(), mask.shape)
    return int(row), int(col)


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_click_on_a_nucleus_finds_it(dock: PromptDock, truth: list[Mask]) -> None:
    for mask in truth:
        dock.add_point(middle(mask))
        dock.wait_idle()
        assert max(iou(candidate.mask, mask) for candidate in dock.candidates) > 0.6
        dock.discard()


def test_a_box_around_a_nucleus_finds_it(dock: PromptDock, truth: list[Mask]) -> None:
    for mask in truth:
        dock.add_box(bounds(mask))
        dock.wait_idle()
        assert iou(dock.candidates[0].mask, mask) > 0.6
        dock.discard()


def test_a_rough_polygon_snaps_to_the_nucleus(dock: PromptDock, truth: list[Mask]) -> None:
    gained = []
    for mask in truth:
        row0, col0, row1, col1 = bounds(binary_dilation(mask, iterations=3))
        rough = np.zeros_like(mask)
        rough[row0:row1, col0:col1] = True
        dock.add_polygon([(row0, col0), (row0, col1 - 1), (row1 - 1, col1 - 1), (row1 - 1, col0)])
        dock.wait_idle()
        gained.append(iou(dock.candidates[0].mask, mask) - iou(rough, mask))
        dock.discard()
    assert np.mean(gained) > 0.1


def test_a_scribble_finds_the_nucleus(dock: PromptDock, truth: list[Mask]) -> None:
    found = []
    for mask in truth:
        row, col = middle(mask)
        reach = distance_transform_edt(mask).max() * 0.5
        dock.add_scribble([(row - reach, col - reach), (row, col), (row + reach, col + reach)])
        dock.wait_idle()
        assert len(dock._session.current.prompts.points) > 1
        found.append(iou(dock.candidates[0].mask, mask))
        dock.discard()
    assert np.mean(found) > 0.6


def test_many_boxes_become_many_labels(dock: PromptDock, truth: list[Mask]) -> None:
    dock.set_one_per_shape(True)
    for mask in truth:
        dock.add_box(bounds(mask))
    dock.wait_idle()
    labels = dock.accept_all()
    assert labels == [1, 2, 3, 4, 5]
    for label, mask in zip(labels, truth, strict=True):
        assert iou(dock.labels_layer.data == label, mask) > 0.6


def test_half_a_label_is_improved(dock: PromptDock, truth: list[Mask]) -> None:
    mask = truth[0]
    row0, _, row1, _ = bounds(mask)
    half = mask.copy()
    half[(row0 + 2 * row1) // 3 :] = False
    dock.set_labels_layer(dock.viewer.add_labels(half.astype(np.int32) * 7))
    dock.improve_label(7)
    dock.wait_idle()
    dock.add_point(middle(mask & ~half))
    dock.wait_idle()
    assert dock.accept() == 7
    assert iou(dock.labels_layer.data == 7, mask) > iou(half, mask)


def test_sixteen_bits_look_like_eight(open_dock: OpenDock, cells: Sam, sample: Any, truth: list[Mask]) -> None:
    gray = sample.image.mean(axis=-1)
    dock = open_dock((gray * 13 + 400).astype(np.uint16), model=cells)
    dock.add_point(middle(truth[0]))
    dock.wait_idle()
    assert max(iou(candidate.mask, truth[0]) for candidate in dock.candidates) > 0.6


def test_a_nucleus_in_a_turned_and_scaled_stack(
    open_dock: OpenDock, cells: Sam, sample: Any, truth: list[Mask]
) -> None:
    gray = sample.image.mean(axis=-1)
    stack = np.stack([np.zeros_like(gray), gray])
    dock = open_dock(stack, model=cells, scale=(2, 0.3, 0.3), rotate=np.eye(3)[[0, 2, 1]] * [1, -1, 1])
    dock.add_point((1, *middle(truth[0])))
    dock.wait_idle()
    assert max(iou(candidate.mask, truth[0]) for candidate in dock.candidates) > 0.6


def test_a_nucleus_in_a_large_image_is_seen_through_a_window(
    open_dock: OpenDock, cells: Sam, sample: Any, truth: list[Mask]
) -> None:
    large = np.zeros((900, 1000, 3), dtype=np.uint8)
    large[500:756, 600:856] = sample.image
    dock = open_dock(large, model=cells)
    row, col = middle(truth[0])
    dock.add_point((500 + row, 600 + col))
    dock.wait_idle()
    assert max(iou(candidate.mask[500:756, 600:856], truth[0]) for candidate in dock.candidates) > 0.5


def test_the_journal_replays_on_the_command_line(
    dock: PromptDock, sample: Any, truth: list[Mask], tmp_path: Path
) -> None:
    for mask in truth[:3]:
        dock.add_point(middle(mask))
        dock.wait_idle()
        dock.next_candidate()
        row, col = middle(mask)
        dock.add_point((row + 2, col))
        dock.wait_idle()
        dock.accept()
    dock.undo()
    imsave(tmp_path / "image.png", sample.image, check_contrast=False)
    command = ["segment", str(tmp_path / "image.png"), "-o", str(tmp_path / "labels.npy")]
    assert main([*command, "--replay", str(dock.journal_path)]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), dock.labels_layer.data)


def test_the_model_is_there_without_being_asked_for(
    make_napari_viewer: Callable[..., napari.Viewer], sample: Any, truth: list[Mask]
) -> None:
    """The contract's script, and nothing else."""
    viewer = make_napari_viewer()
    layer = viewer.add_image(sample.image)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.set_image(layer)
    row, col = middle(truth[0])
    row0, col0, row1, col1 = bounds(truth[0])
    dock.add_point((row, col), positive=True)
    dock.add_box((row0, col0, row1, col1))
    dock.wait_idle(timeout=120)
    assert len(dock.candidates) == 1
    dock.next_candidate()
    label = dock.accept()
    assert iou(dock.labels_layer.data == label, truth[0]) > 0.6
    dock.undo()
    assert not dock.labels_layer.data.any()
    dock.redo()
    dock.discard()
    assert (dock.labels_layer.data == label).any()


def test_mouse_and_keys_on_the_screen(
    make_napari_viewer: Callable[..., napari.Viewer], cells: Sam, sample: Any, truth: list[Mask]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(sample.image, name="nuclei")
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Prompts")
    dock.set_model(cells)
    dock._form.tools["point"].click()
    QTest.qWait(200)
    canvas = viewer.window._qt_viewer.canvas

    def at(row: int, col: int) -> QPoint:
        """Where a pixel lies on the screen."""
        height, width = canvas.size
        offset = (np.array([row, col]) - viewer.camera.center[-2:]) * viewer.camera.zoom
        return QPoint(round(width / 2 + offset[1]), round(height / 2 + offset[0]))

    row, col = middle(truth[0])
    QTest.mouseClick(canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at(row, col))
    dock.wait_idle()
    points = viewer.layers["SAM points"]
    np.testing.assert_allclose(points.data, [[row, col]], atol=1)
    assert max(iou(candidate.mask, truth[0]) for candidate in dock.candidates) > 0.6
    best = int(np.argmax([iou(candidate.mask, truth[0]) for candidate in dock.candidates]))
    for _ in range(best):
        QTest.keyClick(canvas.native, Qt.Key.Key_Q)
    assert dock.candidate_index == best
    QTest.keyClick(canvas.native, Qt.Key.Key_N)
    assert iou(dock.labels_layer.data == 1, truth[0]) > 0.6
    QTest.mouseClick(canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, at(5, 5))
    dock.wait_idle()
    assert points.features["label"].tolist() == ["negative"]

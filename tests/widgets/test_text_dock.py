"""The dock SAM Text: texts, scores, layers, edits, history."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
import pytest
import torch
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from clip_helpers import ColourClip, discs
from gui_helpers import wait_for
from napari_sam.errors import InputError
from napari_sam.inference.embedding_cache import EmbeddingCache
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.model.clip import Clip, build_clip
from napari_sam.model.sam import Sam
from napari_sam.pipeline.text_segment import text_segment
from napari_sam.widgets.text_dock import TextDock
from napari_sam.widgets.text_engine import score_map
from napari_sam.widgets.text_history import TextHistory
from napari_sam.widgets.text_sheet import colour_of

OpenText = Callable[..., TextDock]
DOCS = Path(__file__).parents[2] / "docs"
RED, GREEN = "red things", "green things"


@pytest.fixture(scope="module")
def random_clip() -> Clip:
    """A CLIP of the bundled architecture with random weights."""
    return build_clip(seed=0)


@pytest.fixture
def open_text(
    make_napari_viewer: Callable[..., napari.Viewer], tiny_cell_model: Sam, monkeypatch: pytest.MonkeyPatch
) -> OpenText:
    """Open the dock as a user does, with a model that finds the discs and a CLIP that knows colours."""
    monkeypatch.setattr("napari_sam.inference.mask_generator.AutomaticMaskGenerator", PlantedDiscs)
    PlantedDiscs.searches = []

    def open_(image: Any = None, clip: Any = None, **options: Any) -> TextDock:
        viewer = make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-stack", "SAM Text")
        dock.set_model(tiny_cell_model)
        dock.set_clip(clip or unsure_clip())
        dock.set_normalization("none")
        if image is not None:
            dock.set_image(viewer.add_image(image, name="image", **options))
        dock.viewer = viewer
        return dock

    return open_


def unsure_clip() -> ColourClip:
    """A CLIP whose scores are below 1."""
    clip = ColourClip()
    clip.logit_scale = 6.0
    return clip


class PlantedDiscs:
    """Stands in for the generator: each colour's connected part of a (H, W, 3) image is a mask."""

    searches: list[Any]

    def __init__(self, model: Sam, settings: Any, *, cache: Any = None) -> None:
        self.model, self.settings, self.cache = model, settings, cache

    def stream(self, image: Any, *, normalization: Any, region: Any, progress: Any, channels: Any = None) -> Any:
        from skimage.measure import label as label_parts

        from napari_sam.inference.mask_generator import AutoProgress
        from napari_sam.ops.mask_record import MaskRecord

        PlantedDiscs.searches.append(region)
        parts = label_parts(image.max(axis=-1) > 0)
        masks = [parts == number for number in range(1, parts.max() + 1)]
        records = [MaskRecord.from_patch(mask, image_shape=parts.shape) for mask in masks]
        for i, record in enumerate(records, start=1):
            row, col = record.point
            inside = region is None or (region[0] <= row < region[2] and region[1] <= col < region[3])
            yield AutoProgress(done=i, total=len(records), found=(record,) * inside)


def painted(dock: TextDock, number: int) -> npt.NDArray[np.bool_]:
    return np.asarray(dock.labels_layers[number].data) > 0


@pytest.fixture
def dock(open_text: OpenText) -> TextDock:
    """Two red discs, one green and one blue, asked for red and green."""
    dock = open_text(discs()[0], rgb=True)
    dock.set_texts([RED, GREEN])
    dock.run()
    dock.wait_idle()
    return dock


def test_each_text_gets_a_layer(dock: TextDock) -> None:
    labels = discs()[1]
    assert [layer.name for layer in dock.labels_layers] == [f"SAM Text: {RED}", f"SAM Text: {GREEN}"]
    np.testing.assert_array_equal(painted(dock, 0), np.isin(labels, (1, 2)))
    np.testing.assert_array_equal(painted(dock, 1), labels == 3)
    table = dock.labels_layers[0].features
    assert table["label"].tolist() == table["index"].tolist() == [1, 2]
    assert table["text"].tolist() == [RED, RED]
    assert table["score"].min() > 0.9
    assert sorted(table["area"]) == sorted([(labels == 1).sum(), (labels == 2).sum()])
    assert "area_um2" not in table  # the layer's units are pixels
    assert len(dock.results.candidates) == 4
    assert dock.status.startswith(f"Of 4 masks: 2 '{RED}', 1 '{GREEN}'.")
    assert dock._form.count.text() == "2 objects of 4 masks"
    assert dock._form.histogram.counts.sum() == 4
    assert PlantedDiscs.searches == [None]


def test_areas_are_in_square_micrometres_where_the_units_are_lengths(open_text: OpenText) -> None:
    dock = open_text(discs()[0], rgb=True)
    layer = dock.viewer.layers[0]
    layer.units = ("nm", "nm")
    layer.scale = (500, 250)
    dock.set_texts([RED])
    dock.run()
    dock.wait_idle()
    table = dock.labels_layers[0].features
    assert len(table) == 2
    np.testing.assert_allclose(table["area_um2"], table["area"] / 8)


def test_classes_have_colours(dock: TextDock) -> None:
    for number, layer in enumerate(dock.labels_layers):
        red, green, blue = (int(colour_of(number)[i : i + 2], 16) / 255 for i in (1, 3, 5))
        shade = layer.colormap.map(np.array([3]))[0]  # the full one
        np.testing.assert_allclose(shade, (red, green, blue, 1), atol=0.01)
        assert layer.colormap.map(np.array([0]))[0][3] == 0


def test_a_new_text_needs_neither_search_nor_images(dock: TextDock) -> None:
    clip = dock._session.clip
    looked = list(clip.image_batches)
    red = dock.labels_layers[0]
    dock.set_texts([RED, "blue things"])
    dock.wait_idle()
    np.testing.assert_array_equal(painted(dock, 1), discs()[1] == 4)
    assert dock.labels_layers[0] is red
    assert [layer.name for layer in dock.viewer.layers if layer.name.startswith("SAM Text")] == [
        f"SAM Text: {RED}",
        "SAM Text: blue things",
    ]
    dock.set_texts("green things")
    dock.wait_idle()
    assert [layer.name for layer in dock.labels_layers] == [f"SAM Text: {GREEN}"]
    dock.run()  # of the same pixels there is nothing to search
    dock.wait_idle()
    assert PlantedDiscs.searches == [None]
    assert clip.image_batches == looked


def give_text_head(model: Sam, clip: Any) -> Sam:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_text_head(clip.width).belong_to(clip.fingerprint)
    return model


def test_the_text_prompts_the_model(open_text: OpenText, tiny_cell_model: Sam) -> None:
    clip, image = unsure_clip(), discs()[0]
    model = give_text_head(copy.deepcopy(tiny_cell_model), clip)
    dock = open_text(image, clip, rgb=True)
    dock.set_model(model)
    dock.set_texts([RED, GREEN])
    dock.set_settings(exclusive=False)
    dock.run()
    dock.wait_idle()
    ranked = dock.results.scores
    dock._form.route.setCurrentIndex(1)
    dock._form.route.activated.emit(1)
    dock.wait_idle()
    assert dock.route == "prompt"
    dock.set_threshold(float(np.median(dock.results.scores)))
    dock.wait_idle()
    assert PlantedDiscs.searches == [None]
    generator = PlantedDiscs(model, dock._session.search, cache=EmbeddingCache())
    for region in (None, (5, 5, 116, 61)):
        if region:
            dock.draw_region()
            dock.viewer.layers["SAM Text region"].add_rectangles([[5, 5], [115, 60]])
            dock.run("region")
            dock.wait_idle()
        asked = text_segment(
            generator, TextRanker(clip, dock.settings), image, dock.texts,
            normalization="none", region=region, route="prompt",
        )  # fmt: skip
        assert asked.labels[0].any()
        for layer, labels in zip(dock.labels_layers, asked.labels, strict=True):
            np.testing.assert_array_equal(layer.data, labels)
        np.testing.assert_array_equal(dock.results.scores, asked.scores)
    dock.set_route("rank")
    dock.run()
    dock.wait_idle()
    np.testing.assert_array_equal(dock.results.scores, ranked)
    assert dock._form.route.currentData() == "rank"
    with pytest.raises(InputError, match="Unknown route 'guess'"):
        dock.set_route("guess")


def test_a_model_that_takes_no_texts_loses_nothing(dock: TextDock, tiny_cell_model: Sam) -> None:
    before = [np.array(layer.data) for layer in dock.labels_layers]
    dock.set_route("prompt")
    with pytest.raises(InputError, match="has no text head"):
        dock.wait_idle()
    assert "has no text head" in dock.status
    for layer, labels in zip(dock.labels_layers, before, strict=True):
        np.testing.assert_array_equal(layer.data, labels)
    dock.set_model(give_text_head(copy.deepcopy(tiny_cell_model), build_clip()))
    dock.run()
    with pytest.raises(InputError, match="not trained with the CLIP 'colours'"):
        dock.wait_idle()
    assert PlantedDiscs.searches == [None]  # refused before another search
    for layer, labels in zip(dock.labels_layers, before, strict=True):
        np.testing.assert_array_equal(layer.data, labels)
    dock.set_route("rank")
    dock.run()
    dock.wait_idle()
    assert painted(dock, 0).any()


def test_answers_are_cancelled(open_text: OpenText, gated_model: Any) -> None:
    clip = unsure_clip()
    dock = open_text(discs()[0], clip, rgb=True)
    dock.set_model(give_text_head(gated_model, clip))
    dock.set_texts([RED, GREEN])
    dock.run()
    dock.wait_idle()
    before, ranked = np.array(dock.labels_layers[0].data), dock.results.scores
    dock.set_route("prompt")
    assert gated_model.entered.wait(20)
    wait_for(lambda: "Asking the model" in dock._form.progress.format())
    dock.cancel()
    gated_model.gate.set()
    dock.wait_idle()
    assert "Cancelled" in dock.status
    np.testing.assert_array_equal(dock.labels_layers[0].data, before)
    dock.run()
    dock.wait_idle()
    assert PlantedDiscs.searches == [None]
    assert not np.array_equal(dock.results.scores, ranked)


def test_typing_answers(dock: TextDock) -> None:
    dock._form.texts.setPlainText("  blue things \n\n")
    assert dock.texts == ("blue things",)
    dock.wait_idle()
    np.testing.assert_array_equal(painted(dock, 0), discs()[1] == 4)
    dock._form.texts.setPlainText("")  # while one thinks
    dock.wait_idle()
    assert painted(dock, 0).any()


def test_the_handle_moves_the_threshold(dock: TextDock) -> None:
    histogram = dock._form.histogram
    histogram.resize(300, 96)
    QTest.mouseClick(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(histogram.position_of(1.0)), 40))
    dock.wait_idle()
    assert dock.settings.threshold == dock._form.threshold.value() == 1.0
    assert not painted(dock, 0).any()
    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(histogram.position_of(0.25)), 40))
    QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(histogram.position_of(0.25)), 40))
    dock.wait_idle()
    assert dock.settings.threshold == pytest.approx(0.25, abs=0.01)
    assert painted(dock, 0).any()
    QTest.keyClick(histogram, Qt.Key.Key_Right)
    assert dock.settings.threshold == pytest.approx(0.26, abs=0.011)
    dock.set_threshold(0.5)
    assert histogram.threshold == 0.5
    with pytest.raises(InputError, match="threshold"):
        dock.set_threshold(2)


def test_the_histogram_is_drawn(dock: TextDock) -> None:
    def shades() -> int:
        picture = dock._form.histogram.grab().toImage()
        points = ((x, y) for x in range(picture.width()) for y in range(picture.height()))
        return sum(picture.pixelColor(x, y).name() == colour_of(0) for x, y in points)

    dock._form.histogram.resize(300, 96)
    full = shades()
    dock._form.histogram.show_scores([], colour_of(0))
    assert full > 100 > shades()


def test_the_score_map(dock: TextDock) -> None:
    labels = discs()[1]
    dock.show_scores(GREEN, mapped=True)
    dock.wait_idle()
    layer = dock.viewer.layers["SAM Text scores"]
    assert layer.visible
    shown = np.asarray(layer.data)
    assert shown[labels == 3].min() > 90
    assert shown[np.isin(labels, (1, 2, 4))].max() < 50
    assert not shown[labels == 0].any()
    assert dock._form.count.text() == "1 objects of 4 masks"
    dock.show_scores(0)
    dock.wait_idle()
    assert np.asarray(layer.data)[labels == 1].min() > 90
    dock.show_scores(0, mapped=False)
    assert not layer.visible
    with pytest.raises(InputError, match="no text 'blue'"):
        dock.show_scores("blue")


def test_the_best_mask_of_a_pixel_is_mapped(dock: TextDock) -> None:
    records = dock.results.candidates[:2]
    one, both = score_map(records[:1], np.array([0.004], np.float32), (120, 160)), None
    assert set(np.unique(one)) == {0, 1}
    both = score_map([records[0], records[0]], np.array([0.7, 0.2], np.float32), (120, 160))
    assert set(np.unique(both)) == {0, 70}


def test_all_classes_in_one_layer(dock: TextDock) -> None:
    dock.set_output("features")
    (layer,) = dock.labels_layers
    assert layer.name == "SAM Text: image"
    assert [each for each in dock.viewer.layers if each.name.startswith("SAM Text")] == [layer]
    table = layer.features
    assert table["text"].tolist() == [RED, RED, GREEN]
    labels = discs()[1]
    for disc, text in ((1, RED), (2, RED), (3, GREEN)):
        (label,) = np.unique(layer.data[labels == disc])
        assert table.set_index("label").loc[label, "text"] == text
    assert not layer.data[labels == 4].any()
    dock.set_output("layers")
    assert len(dock.labels_layers) == 2
    with pytest.raises(InputError, match="choose one of layers, features"):
        dock.set_output("files")


def test_what_the_user_changed_stays(dock: TextDock) -> None:
    labels = discs()[1]
    layer = dock.labels_layers[0]
    first, second = layer.data[labels == 1][0], layer.data[labels == 2][0]
    layer.data[25:30, 30] = 0  # a notch in the first disc; the second is removed
    layer.data[labels == 2] = 0
    layer.data[100:105, 5:10] = 9  # and one of the user's own
    mine = np.array(layer.data)
    dock.set_threshold(0.4)
    dock.wait_idle()
    np.testing.assert_array_equal(layer.data, mine)
    table = layer.features.set_index("label")
    assert sorted(table.index) == sorted([first, 9])
    assert table.loc[first, "score"] > 0.9
    assert np.isnan(table.loc[9, "score"])
    dock.set_texts(GREEN)
    dock.wait_idle()
    np.testing.assert_array_equal(layer.data, mine)  # its text is not asked for, but work is in it
    assert layer in dock.viewer.layers
    assert second not in layer.data


def test_an_object_is_refined(dock: TextDock) -> None:
    layer, labels = dock.labels_layers[1], discs()[1]
    (label,) = np.unique(layer.data[labels == 3])
    prompts = dock.refine(int(label), GREEN)
    prompts.wait_idle()
    assert prompts.labels_layer is layer
    prompts.add_point((85, 40), positive=True)
    prompts.wait_idle()
    assert prompts.accept() == label
    refined = np.array(layer.data)
    assert not np.array_equal(refined > 0, labels == 3)
    dock.set_threshold(0.3)
    dock.wait_idle()
    np.testing.assert_array_equal(layer.data, refined)
    with pytest.raises(InputError, match="no object 77"):
        dock.refine(77)


def test_a_click_refines_what_is_under_the_mouse(dock: TextDock, monkeypatch: pytest.MonkeyPatch) -> None:
    refined: list[tuple[str, int]] = []
    monkeypatch.setattr(dock, "_refine", lambda sheet, label: refined.append((sheet.text, label)))
    dock.switch_refine(True)
    assert dock._picker._on_press in dock.viewer.mouse_drag_callbacks
    dock.viewer.cursor.position = (85, 40)
    assert dock._layer_under_mouse() is dock.labels_layers[1]
    dock._on_click(1)
    dock.viewer.cursor.position = (30, 30)
    dock._on_click(1)
    dock.viewer.cursor.position = (0, 0)
    assert dock._layer_under_mouse() is None
    assert refined == [(GREEN, 1), (RED, 1)]


def test_only_a_part(open_text: OpenText) -> None:
    dock = open_text(discs()[0], rgb=True)
    dock.set_texts(RED)
    with pytest.raises(InputError, match="no region"):
        dock.run("region")
    dock.draw_region()
    dock.viewer.layers["SAM Text region"].add_rectangles([[5, 5], [60, 60]])
    dock.run("region")
    dock.wait_idle()
    np.testing.assert_array_equal(painted(dock, 0), discs()[1] == 1)
    dock.viewer.layers["image"].corner_pixels = np.array([[0, 70], [59, 159]])
    dock.run("view")
    dock.wait_idle()
    np.testing.assert_array_equal(painted(dock, 0), discs()[1] == 2)
    assert PlantedDiscs.searches == [(5, 5, 61, 61), (0, 70, 60, 160)]
    with pytest.raises(InputError, match="choose one of plane, region, view"):
        dock.run("everything")


def test_planes_of_a_stack(open_text: OpenText) -> None:
    picture, labels = discs()
    dock = open_text(np.stack([picture, picture[::-1]]), rgb=True)
    dock.set_texts([RED, GREEN])
    for plane in (0, 1):
        dock.viewer.dims.set_point(0, plane)
        assert dock.results is None
        dock.run()
        dock.wait_idle()
    red = dock.labels_layers[0]
    np.testing.assert_array_equal(red.data > 0, np.isin(np.stack([labels, labels[::-1]]), (1, 2)))
    assert red.features["label"].tolist() == [1, 2, 3, 4]
    assert red.features["plane-0"].tolist() == [0, 0, 1, 1]
    dock.set_threshold(1.0)  # of the plane that is shown
    dock.wait_idle()
    assert red.data[0].any()
    assert not red.data[1].any()
    assert dock._session.layers.sheet_of(dock.viewer.layers["image"], RED, 1).plane_of(1).index[0] == 0


def test_mistakes_are_told(open_text: OpenText) -> None:
    dock = open_text()
    with pytest.raises(InputError, match="no text"):
        dock.run()
    with pytest.raises(InputError, match="empty"):
        dock.set_texts(["nuclei", " "])
    dock.set_texts("nuclei")
    with pytest.raises(InputError, match="No image"):
        dock.run()
    dock._form.texts.setPlainText("")
    dock._form.run.click()
    assert "There is no text" in dock.status
    dock.set_clip("no such CLIP")
    dock.set_image(dock.viewer.add_image(discs()[0], rgb=True))
    dock.set_texts("nuclei")
    dock.run()
    with pytest.raises(InputError, match="no such CLIP"):
        dock.wait_idle()
    dock.set_clip(ColourClip(vocabulary=["red"]))
    dock.set_texts("reticulate splines")
    dock.run()
    dock.wait_idle()
    assert "never trained on 'reticulate', 'splines'" in dock.status
    assert not painted(dock, 0).any()


def test_texts_are_remembered(dock: TextDock, journal_folder: Path, open_text: OpenText) -> None:
    dock.set_texts("a 細胞 \ud800")
    dock.run()
    dock.wait_idle()
    assert dock.history == [("a 細胞 \ud800",), (RED, GREEN)]
    assert TextHistory().entries == dock.history
    dock._form.history.activated.emit(2)
    dock.wait_idle()
    assert dock.texts == (RED, GREEN)
    assert painted(dock, 0).any()
    (journal_folder / "texts.json").write_text("[[1], {")
    assert TextHistory().entries == []


def test_settings_are_edited(dock: TextDock) -> None:
    form = dock._form.settings
    form.editors["top_k"].widget.setValue(1)
    dock.wait_idle()
    assert dock.settings.top_k == 1
    assert len(np.unique(dock.labels_layers[0].data)) == 2
    line = form.editors["views"].widget
    line.setText("keep, squint")
    line.editingFinished.emit()
    assert "Setting views is" in dock.status
    assert dock.settings.views == ("keep", "zero")
    assert line.text() == "keep, zero"
    dock.set_settings(exclusive=False, top_k=0)
    assert form.editors["top_k"].widget.value() == 0
    dock.wait_idle()


def test_another_image_starts_anew(dock: TextDock) -> None:
    red = dock.labels_layers[0]
    other = dock.viewer.add_image(discs()[0][:, ::-1], rgb=True, name="other")
    dock.set_image(other)
    assert dock.results is None
    assert dock.labels_layers == []
    dock.run()
    dock.wait_idle()
    np.testing.assert_array_equal(painted(dock, 0), np.isin(discs()[1][:, ::-1], (1, 2)))
    assert red in dock.viewer.layers
    dock.viewer.layers.remove(other)
    dock.viewer.layers.remove(dock.viewer.layers["image"])
    assert "was removed" in dock.status
    dock.set_threshold(0.2)
    dock.wait_idle()


def test_removed_layers_are_made_again(dock: TextDock) -> None:
    dock.viewer.layers.remove(dock.labels_layers[0])
    assert len(dock.labels_layers) == 1
    dock.set_threshold(0.4)
    dock.wait_idle()
    np.testing.assert_array_equal(painted(dock, 0), np.isin(discs()[1], (1, 2)))


def test_a_cancelled_run_goes_on(open_text: OpenText, gated_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    image = np.random.default_rng(0).integers(0, 255, (50, 60)).astype(np.uint8)
    dock = open_text(image)
    monkeypatch.undo()
    dock.set_model(gated_model)
    dock.set_texts("red")
    dock.run()
    assert gated_model.entered.wait(20)
    with pytest.raises(InputError, match="going on"):
        dock.run()
    dock.cancel()
    gated_model.gate.set()
    dock.wait_idle()
    assert "Cancelled" in dock.status
    assert dock.results is None
    dock.run()
    dock.wait_idle()
    assert dock.results is not None


def test_a_real_clip_answers_a_second_text_without_another_look(
    open_text: OpenText, random_clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_text(discs()[0], clip=random_clip, rgb=True)
    dock.set_texts(["bright round nuclei", "debris"])
    dock.run()
    dock.wait_idle()
    scores = dock.results.scores
    assert scores.shape == (4, 2)
    looks: list[object] = []
    monkeypatch.setattr(random_clip, "encode_images", looks.append)
    dock.set_texts(["dark round nuclei"])
    dock.wait_idle()
    assert not looks
    assert dock.results.texts == ("dark round nuclei",)


def test_closing_ends_the_thread(dock: TextDock) -> None:
    dock.set_texts("blue things")
    dock.viewer.window.remove_dock_widget(dock.parent())
    assert not dock.busy
    dock.viewer.layers.remove("image")  # nobody listens any more


def test_the_script_of_the_guide_runs(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, random_clip: Clip
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "text-dock.md").read_text(), re.DOTALL)
    monkeypatch.setattr(napari, "Viewer", make_napari_viewer)
    monkeypatch.setattr("napari_sam.model.clip.load_clip", lambda *_, **__: random_clip)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["results"].labels) == 1
    assert names["labels"].shape == (128, 128)


def test_every_call_in_the_table_exists() -> None:
    text = (DOCS / "text-dock.md").read_text()
    calls = re.findall(r"`(\w+)(?:\([^`]*\))?`", "\n".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    assert len(calls) > 15
    assert [call for call in calls if not hasattr(TextDock, call)] == []

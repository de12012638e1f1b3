"""Controls for settings."""

from __future__ import annotations

from typing import Any

import pytest

from napari_sam.config.auto import AutoSettings, load_auto_settings
from napari_sam.config.settings import describe_fields
from napari_sam.widgets.setting_editors import STEPS, NumberSlider, make_editor
from napari_sam.widgets.settings_form import SettingsForm


def test_every_field_is_described() -> None:
    texts = describe_fields(AutoSettings)
    assert set(texts) == set(AutoSettings.__dataclass_fields__)
    assert texts["stability_score_thresh"] == texts["stability_score_offset"]
    assert texts["max_area"].endswith("is no limit.")


@pytest.mark.parametrize(
    ("default", "choices", "value"),
    [
        (3, (), 12),
        (0.5, (), 512 / 1500),
        (True, (), False),
        ("exact", ("exact", "fast"), "fast"),
        ((), (), ("a>1", "b<2")),
    ],
)
def test_a_control_shows_and_gives_a_value(qtbot: Any, default: Any, choices: tuple[str, ...], value: Any) -> None:
    heard: list[int] = []
    editor = make_editor(default, choices, lambda: heard.append(1))
    qtbot.addWidget(editor.widget)
    editor.show(value)
    assert editor.get() == value
    assert heard == []


def test_a_slider_and_its_box_agree(qtbot: Any) -> None:
    slider = NumberSlider(1.0)
    qtbot.addWidget(slider)
    heard: list[float] = []
    slider.changed.connect(lambda: heard.append(slider.value()))
    slider.slider.setValue(880)
    assert slider.box.value() == slider.value() == 0.88
    slider.box.setValue(0.25)
    assert slider.slider.value() == 250
    assert heard == [0.88, 0.25]
    slider.show_value(0.333)
    assert slider.value() == 0.333
    assert len(heard) == 2


def test_a_slider_of_sizes(qtbot: Any) -> None:
    slider = NumberSlider(10_000, whole=True, unlimited="any")
    qtbot.addWidget(slider)
    assert slider.value() == 0
    assert slider.slider.value() == STEPS  # no limit is at the right end
    assert slider.box.text() == "any"
    slider.slider.setValue(STEPS // 2)
    assert 95 <= slider.value() <= 105
    slider.slider.setValue(0)
    assert slider.value() == 1
    slider.slider.setValue(STEPS)
    assert slider.value() == 0
    slider.box.setValue(20_000)  # beyond the slider's end
    assert slider.value() == 20_000


def test_zero_has_a_word_and_what_does_not_count_is_grey(qtbot: Any) -> None:
    form = SettingsForm()
    qtbot.addWidget(form)
    size, grid = form.editors["object_size"].widget, form.editors["points_per_side"].widget
    form.show_settings(load_auto_settings("cells"))
    assert size.text() == "automatic"
    assert size.isEnabled()
    assert not grid.isEnabled()
    form.show_settings(load_auto_settings("natural"))
    assert not size.isEnabled()
    assert grid.isEnabled()
    assert not form.editors["crop_overlap_ratio"].widget.isEnabled()
    form.show_settings(load_auto_settings("natural").changed(crop_n_layers=1))
    assert form.editors["crop_overlap_ratio"].widget.isEnabled()

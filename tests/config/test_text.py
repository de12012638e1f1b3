"""Settings of segmentation by text."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

from napari_sam.config.text import TextSettings, load_text_settings
from napari_sam.errors import InputError


@pytest.mark.parametrize(
    "changes",
    [
        {"views": ()},
        {"views": ("keep", "mirror")},
        {"expansion": 0.9},
        {"expansion": float("nan")},
        {"expansion": 2.1},
        {"templates": ()},
        {"templates": ("an image",)},
        {"negatives": (" ",)},
        {"negatives": (3,)},
        {"threshold": 1.1},
        {"threshold": -0.1},
        {"temperature": 0.0},
        {"top_k": -1},
        {"min_area": -1},
        {"batch_size": -1},
        {"top_k": 1.5},
        {"exclusive": 1},
        {"colour": "red"},
    ],
)
def test_unusable_settings_are_named(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        TextSettings().changed(**changes)


def test_a_file_is_merged_with_overrides(tmp_path):
    file = tmp_path / "text.toml"
    file.write_text('views = ["zero"]\nthreshold = 0.7\ntop_k = 3\n')
    settings = load_text_settings(file, {"top_k": 5, "expansion": None})
    assert settings == TextSettings(views=("zero",), threshold=0.7, top_k=5)


def test_a_bad_file_is_refused(tmp_path):
    (tmp_path / "text.toml").write_text("views = [")
    with pytest.raises(InputError, match="text settings"):
        load_text_settings(tmp_path / "text.toml")


def test_the_page_lists_every_setting_with_its_default_and_meaning():
    page = (Path(__file__).parents[2] / "docs" / "text.md").read_text()
    said = " ".join(inspect.getdoc(TextSettings).split())
    for field in dataclasses.fields(TextSettings):
        values = field.default if isinstance(field.default, tuple) else (field.default,)
        shown = ", ".join(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values)
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{field.name}` |")]
        _, default, meaning = row.strip("| ").split(" | ")
        assert default == shown
        assert meaning in said

"""Plain values become a dataclass of settings; names and types are checked against its defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

from napari_sam.config.settings import read_settings_file, settings_from
from napari_sam.errors import InputError


@dataclass(frozen=True)
class Tea:
    minutes: int = 3
    degrees: float = 90.0
    kind: str = "green"
    milk: bool = False
    extras: tuple[str, ...] = ()


def test_defaults_fill_in_and_types_are_made_fit():
    assert settings_from(Tea, {}, "tea") == Tea()
    tea = settings_from(Tea, {"degrees": 80, "extras": ["lemon"], "milk": True}, "tea")
    assert tea == Tea(degrees=80.0, extras=("lemon",), milk=True)
    assert isinstance(tea.degrees, float)
    assert isinstance(tea.extras, tuple)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minutes", 2.5),
        ("minutes", "3"),
        ("minutes", True),
        ("minutes", None),
        ("degrees", "hot"),
        ("degrees", False),
        ("kind", 3),
        ("milk", 0),
        ("milk", "no"),
        ("extras", "lemon"),
        ("extras", {"lemon": 1}),
    ],
)
def test_wrong_types_are_named_with_the_value(name, value):
    with pytest.raises(InputError, match=re.escape(f"Setting {name} is {value!r}: give ")):
        settings_from(Tea, {name: value}, "tea")


def test_numbers_of_numpy_are_numbers():
    tea = settings_from(Tea, {"minutes": np.int64(4), "degrees": np.float32(80)}, "tea")
    assert (tea.minutes, tea.degrees) == (4, 80.0)
    assert (type(tea.minutes), type(tea.degrees)) == (int, float)


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(InputError, match=r"Unknown tea setting 'sugar': allowed are minutes, degrees, kind"):
        settings_from(Tea, {"minutes": 4, "sugar": 2}, "tea")


def test_files_are_read_and_bad_ones_named(tmp_path):
    file = tmp_path / "tea.toml"
    file.write_text('kind = "grün"\n', encoding="utf-8")
    assert read_settings_file(file, "tea") == {"kind": "grün"}
    file.write_text("kind = \n")
    with pytest.raises(InputError, match=r"Cannot read the tea settings .*tea\.toml"):
        read_settings_file(file, "tea")

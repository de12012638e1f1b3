"""The table of settings in docs/automatic.md is the one that the code tells; run this file to write it anew."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from napari_sam.config.auto import AUTO_PRESETS, AutoSettings
from napari_sam.config.auto_words import AUTO_WORDS

PAGE = Path(__file__).parents[1] / "docs" / "automatic.md"
TABLE = re.compile(r"^\| setting \|.*?\n(?=\n)", re.M | re.S)


def settings_table() -> str:
    lines = ["| setting | in the form | default | `cells` | `tissue` | meaning |", "|---|---|---|---|---|---|"]
    meanings = described()
    for field in dataclasses.fields(AutoSettings):
        presets = (show(AUTO_PRESETS[name][field.name]) if field.name in AUTO_PRESETS[name] else "" for name in
                   ("cells", "tissue"))  # fmt: skip
        words = AUTO_WORDS[field.name]
        more = f" Counts {words.when}." if words.when else ""
        default = words.zero if words.zero and not field.default else show(field.default)
        cells = (f"`{field.name}`", words.name, default, *presets, meanings[field.name] + more)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).replace("|  |", "| |").replace("|  |", "| |") + "\n"


def described() -> dict[str, str]:
    """Return what the docstring says of each setting; of several together, with the first."""
    text = inspect.cleandoc(AutoSettings.__doc__ or "").split("----------\n", 1)[1]
    meanings = {}
    for names, body in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?)+)", text, re.M):
        first, *others = names.split(", ")
        meanings[first] = " ".join(body.split())
        meanings |= dict.fromkeys(others, f"see `{first}`")
    return meanings


def show(value: Any) -> str:
    return "none" if value == () else f"`{value:.4g}`" if isinstance(value, float) else f"`{value}`"


def test_the_table_is_what_the_code_says():
    found = TABLE.search(PAGE.read_text())
    assert found is not None
    assert found[0] == settings_table(), "run: python tests/test_settings_table.py"


def test_only_the_presets_of_the_table_differ_from_the_defaults():
    assert {name for name, changes in AUTO_PRESETS.items() if changes} == {"cells", "tissue"}


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: settings_table(), PAGE.read_text()))

"""Plain values (of a TOML file, a command line, a form) into a frozen dataclass of settings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from napari_sam.errors import InputError

__all__ = ["describe_fields", "read_settings_file", "settings_from"]

Settings = TypeVar("Settings")
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def read_settings_file(file: Path, what: str) -> dict[str, Any]:
    """Read a TOML file of settings.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"Cannot read the {what} settings {file}: {error}; give a TOML file.") from error


def settings_from(cls: type[Settings], values: dict[str, Any], what: str) -> Settings:
    """Make a dataclass of plain values, checking names and types against its defaults.

    Raises
    ------
    InputError
        If a setting is unknown or of the wrong type; the dataclass itself checks the ranges.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"Unknown {what} setting {unknown[0]!r}: allowed are {', '.join(fields)}.")
    clean: dict[str, Any] = {}
    for name, value in values.items():
        default = fields[name].default
        if isinstance(default, tuple):
            if not isinstance(value, list | tuple):
                raise InputError(f"Setting {name} is {value!r}: give a list.")
            clean[name] = tuple(value)
        elif type(default) is float and isinstance(value, Real) and not isinstance(value, bool):
            clean[name] = float(value)
        elif type(default) is int and isinstance(value, Integral) and not isinstance(value, bool):
            clean[name] = int(value)  # NumPy's, too
        elif not isinstance(value, type(default)) or isinstance(value, bool) != isinstance(default, bool):
            raise InputError(f"Setting {name} is {value!r}: give {KINDS.get(type(default), type(default).__name__)}.")
        else:
            clean[name] = value
    return cls(**clean)


def describe_fields(settings: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each parameter."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in (inspect.getdoc(settings) or "").splitlines():
        if re.fullmatch(r"[a-z_0-9, ]+", line) and not line.startswith(" "):
            names = [name.strip() for name in line.split(",")]
        elif line.startswith("    "):
            for name in names:
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts

"""Arguments of several commands: text in, checked values out."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from napari_sam.errors import InputError
from napari_sam.paths import local_path

__all__ = ["IMAGE", "LABELS", "at_home", "numbers", "plain_warnings", "setting_values", "stretch"]

IMAGE = (
    "PNG, JPEG, BMP, WebP, TIFF and its relatives, .npy, Zarr or OME-Zarr; CZI, ND2, LIF with the extra formats, NIfTI "
    "and DICOM with medical."
)
LABELS = "Labels: .png, .tif, .npy, .zarr, or .nii.gz."


def numbers(text: str, kind: type, option: str) -> tuple[Any, ...]:
    """Return the numbers, of type int or float, that commas separate.

    Raises
    ------
    InputError
        If one is none.
    """
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        whole = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} is {text!r}: give {whole} with commas between them.") from None


def stretch(text: str) -> str | tuple[float, float]:
    """Return the normalisation "auto", "none" or (low, high).

    Raises
    ------
    InputError
        If it is another.
    """
    if text in ("auto", "none"):
        return text
    values = numbers(text, float, "--normalization")
    if len(values) != 2:
        raise InputError(f"--normalization is {text!r}: give auto, none or LOW,HIGH.")
    return values[0], values[1]


def at_home(argument: str) -> str:
    """Return a word of the command line with `~/` as the home folder, which shells leave in `--option=~/file`."""
    name, sign, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{name}{sign}{local_path(value)}" if value.startswith(("~/", "~\\")) else argument


def setting_values(pairs: Sequence[str], settings: type) -> dict[str, Any]:
    """Return the settings that NAME=VALUE texts give, each value read as the type of that field's default.

    Texts that are not of that type stay texts, and unknown names stay: the settings themselves refuse both.

    Raises
    ------
    InputError
        If a text has no "=", or a name comes twice.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = (part.strip() for part in pair.partition("="))
        if not sign:
            raise InputError(f"--set is {pair!r}: give NAME=VALUE.")
        if name in values:
            raise InputError(f"The setting {name} is given twice: leave one out.")
        values[name] = _as_type_of(defaults.get(name), text)
    return values


def _as_type_of(default: Any, text: str) -> Any:
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return type(default)(text) if isinstance(default, int | float) else text
    except ValueError:
        return text


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Say what is meant for the user (`UserWarning`) as one sentence on standard error, each once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("once", category=UserWarning)
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if category is UserWarning:
                typer.echo(str(message), err=True)
            else:
                show(message, category, *rest)

        warnings.showwarning = tell  # type: ignore[assignment]  # put back when the context ends
        yield

"""Where files are read and written: no output over an input, no path in a file out of its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_sam.errors import InputError
from napari_sam.paths import file_path

__all__ = ["inside", "keep_inputs", "same_place"]


def same_place(one: str | Path, other: str | Path) -> bool:
    """Return whether two locations are one, however they are spelt: `..`, links, capitals, `~`, `file://`.

    Parameters
    ----------
    one, other
        Paths, of which neither has to exist, or URLs.
    """
    first, second = _local(one), _local(other)
    if first is None or second is None:
        return first is second is None and _plain_url(one) == _plain_url(other)
    try:
        return os.path.samefile(first, second)  # knows of links, and of file systems that ignore capitals
    except OSError:  # one of them is not there
        return os.path.realpath(first) == os.path.realpath(second)


def keep_inputs(output: str | Path, inputs: Sequence[str | Path], what: str = "labels") -> None:
    """Refuse an output that would replace an input, or a folder that an input lies in.

    Parameters
    ----------
    output
        File or folder that will be written anew; a path or a URL.
    inputs
        All that is read: images, masks, tables, weights.
    what
        Is written, in the plural, for the message.

    Raises
    ------
    InputError
        If the output is an input, however it is spelt, or contains one.
    """
    for each in inputs:
        if any(same_place(output, part) for part in _with_folders(each)):
            raise InputError(f"The {what} would replace the input {each}: give another output (-o).")


def inside(folder: str, path: object) -> str:
    """Return a path that a file names, if it leads to something inside of that file's folder.

    Parameters
    ----------
    folder
        For the message: the location of the folder.
    path
        Relative, with "/" between its parts, as written in the file.

    Raises
    ------
    InputError
        If the path is absolute, empty, or leads out of the folder.
    """
    text = str(path)
    parts = text.replace("\\", "/").strip("/").split("/")
    outside = not isinstance(path, str | int) or text.startswith(("/", "\\")) or ":" in parts[0]
    if outside or any(part in ("", ".", "..") for part in parts):
        raise InputError(
            f"The metadata of {folder} name the path {text!r}, which does not lie inside of it: only paths such as "
            "'0' or 'A/1/0' are followed."
        )
    return "/".join(parts)


def _local(location: str | Path) -> str | None:
    """Return the path of a location on this machine, None for that of another."""
    path = file_path(location) or str(location)
    return None if "://" in path else os.path.expanduser(path)


def _plain_url(location: str | Path) -> str:
    scheme, _, rest = str(location).partition("://")
    parts: list[str] = []
    for part in rest.split("/"):
        if part == "..":
            parts[1:] = parts[1:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join([scheme.lower(), *parts])


def _with_folders(location: str | Path) -> list[str]:
    """Return a location and the folders that it lies in, spelt as given and, where a link leads there, the target's."""
    path = _local(location)
    if path is None:
        parts = _plain_url(location).split("/")
        return [f"{parts[0]}://{'/'.join(parts[1:end])}" for end in range(len(parts), 2, -1)]
    places = [Path(os.path.abspath(path)), Path(os.path.realpath(path))]
    return [str(each) for place in places for each in (place, *place.parents)]

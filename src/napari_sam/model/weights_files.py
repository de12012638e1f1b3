"""Weights on this disk: where they lie, which of them are proven right, and files that the user imports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_sam.errors import InputError
from napari_sam.model.folders import cache_folder
from napari_sam.model.registry import ModelRow, bundled_file, find_model, register_user_model, weights_file

__all__ = [
    "FoundFile",
    "find_file",
    "import_model",
    "is_here",
    "is_verified",
    "other_folders",
    "verify_file",
    "weights_mark",
]


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A weights file on this disk.

    Parameters
    ----------
    path
        Where it is.
    state
        "bundled", "downloaded", "imported", "found elsewhere" or "damaged".
    """

    path: Path
    state: str

    @property
    def usable(self) -> bool:
        """Tell whether the file is the right one."""
        return self.state != "damaged"


def other_folders() -> tuple[Path, ...]:
    """Return the folders in which other tools keep the same files."""
    micro_sam = os.environ.get("MICROSAM_CACHEDIR") or platformdirs.user_cache_dir("micro_sam")
    home = Path.home() / ".cache"
    return home / "napari-segment-anything", home / "micro_sam/models", Path(micro_sam) / "models"


def find_file(row: ModelRow) -> FoundFile | None:
    """Look for a model's weights: in the package, in the cache, in the user's data, in the folders of other tools.

    A file is hashed when it is met for the first time, and again only if its size or time has changed. A wrong file
    in the cache is reported as damaged if there is no right one anywhere; wrong files of other tools do not count.
    """
    bundled = bundled_file(row)
    if bundled is not None:
        return FoundFile(path=bundled, state="bundled")
    file = weights_file(row)
    if is_verified(file, row):
        return FoundFile(path=file, state="downloaded" if row.urls else "imported")
    for copy in _copies(row):
        if is_verified(copy, row):
            return FoundFile(path=copy, state="found elsewhere")
    return FoundFile(path=file, state="damaged") if file.is_file() else None


def is_here(row: ModelRow) -> bool:
    """Tell, at once, whether there is a file that may be a model's weights, so that nothing need be downloaded."""
    return any(file.is_file() for file in (weights_file(row), *_copies(row)))


def _copies(row: ModelRow) -> list[Path]:
    """Return where other tools may have left a model's weights."""
    names = sorted({row.file, *row.other_names}) if row.urls else []
    return [folder / name for folder in other_folders() for name in names]


def verify_file(file: Path, row: ModelRow) -> bool:
    """Tell whether a file has the model's published hash, reading all of it."""
    if not file.is_file() or not row.known_hash:
        return False
    import pooch

    algorithm, _, value = row.known_hash.partition(":")
    right = pooch.file_hash(str(file), alg=algorithm) == value
    if right:
        _remember(file, row)
    return right


def is_verified(file: Path, row: ModelRow) -> bool:
    """Tell whether a file has the model's published hash; believe an earlier check if the file is unchanged since."""
    if not file.is_file() or not row.known_hash:
        return False
    return _checked().get(str(file)) == _stamp(file, row) or verify_file(file, row)


def weights_mark(name: str, kind: str = "sam", checkpoint: str = "") -> str:
    """Return what changes when a name, or a file, comes to stand for other weights, without reading those.

    Whoever keeps a loaded model keeps it under its name and this.

    Parameters
    ----------
    name, kind
        As `find_model` takes them.
    checkpoint
        A weights file that is used instead; "" for none.

    Raises
    ------
    InputError
        If there is no such model.
    """
    row = None if checkpoint else find_model(name, kind)
    file = Path(checkpoint) if row is None else bundled_file(row)
    if file is None:
        return row.known_hash if row is not None else ""
    try:
        found = file.stat()
    except OSError:  # loading says what is wrong
        return ""
    return f"{file.resolve()} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def import_model(name: str, file: Path) -> ModelRow:
    """Copy a local file to the cache: a registered model's if its hash is right, else as a model of the user's.

    Parameters
    ----------
    name
        A registered name, or a new one; a user's own name may be given again to replace its weights.
    file
        The weights.

    Raises
    ------
    InputError
        If the file is missing, is not the registered one, or the name is not usable.
    CheckpointError
        If a new model's file cannot be read or fits no known architecture.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}: give the weights file to import.")
    try:
        row = find_model(name, "")
    except InputError:
        row = None
    if row is not None and row.urls:
        if not verify_file(file, row):
            raise InputError(
                f"{file} is not the file of {row.name!r}, whose hash is {row.known_hash}: "
                "give that file, or import this one under a name of your own."
            )
    elif row is not None and not row.known_hash:
        raise InputError(f"The name {name!r} belongs to the bundled model: import the file under another name.")
    else:
        row = _describe(name, file)
    _copy(file, weights_file(row))
    _remember(weights_file(row), row)
    if not row.urls:
        register_user_model(row)
    return row


def _describe(name: str, file: Path) -> ModelRow:
    """Make the row of a user's file, once it is known to load."""
    import pooch

    from napari_sam.model.build import SPECS, build_from_spec
    from napari_sam.model.checkpoint import guess_architecture, load_weights, read_state_dict
    from napari_sam.model.clip_towers import guess_clip

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"The name {name!r} is not usable: take letters, digits, dots, - and _.")
    state = read_state_dict(file)
    architecture, clip = guess_architecture(state), guess_clip(state)
    if clip is not None:
        from napari_sam.model.clip import load_clip

        load_clip(clip, checkpoint=file, device="cpu")
    elif architecture is None:
        raise InputError(f"{file} holds weights of no known architecture: known are {', '.join(SPECS)}.")
    else:
        load_weights(build_from_spec(SPECS[architecture]), state, str(file))
    return ModelRow(
        name=name,
        architecture=str(clip or architecture),
        known_hash="sha256:" + pooch.file_hash(str(file), alg="sha256"),
        size=file.stat().st_size,
        file=f"imported/{name}{file.suffix}",
        licence="yours",
        about="imported",
        kind="sam" if clip is None else "clip",
    )


def _copy(file: Path, target: Path) -> None:
    """Copy a file so that the target is there whole or not at all."""
    part = target.with_name(target.name + ".importing")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, part)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"Cannot copy {file} to {target} ({error.strerror}): "
            "make room there, or set NAPARI_SAM_DATA (downloads: NAPARI_SAM_CACHE) to a folder that you can write to."
        ) from error


def _stamp(file: Path, row: ModelRow) -> list[int | str]:
    found = file.stat()  # the change time betrays a replacement that kept size and modification time (cp -p)
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, row.known_hash]


def _checked() -> dict[str, list[int | str]]:
    """Return the stamps of files whose hash was right; an unreadable list counts as empty."""
    with contextlib.suppress(OSError, ValueError):
        stamps = json.loads((cache_folder() / "verified.json").read_text())
        if isinstance(stamps, dict):
            return stamps
    return {}


def _remember(file: Path, row: ModelRow) -> None:
    """Note that a file's hash was right; where the cache cannot be written, it is hashed again next time."""
    stamps = {**_checked(), str(file): _stamp(file, row)}
    target = cache_folder() / "verified.json"
    part = target.with_suffix(f".{os.getpid()}.part")
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(stamps, indent=1))
        os.replace(part, target)

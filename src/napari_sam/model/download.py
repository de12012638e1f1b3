"""Getting weights onto the disk: copies of other tools, downloads that resume, files that are imported by hash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pooch
import requests

from napari_sam.errors import DownloadError, InputError
from napari_sam.model.registry import ModelRow, bundled_file, cache_folder, find_model, register_user_model

__all__ = ["Progress", "fetch_model", "import_model", "local_file", "other_folders", "verify_file"]

Progress = Callable[[int, int], None]
TIMEOUT = 20.0  # seconds without a byte after which a server counts as stalled
ATTEMPTS = 3  # tries at one address, each going on where the last broke off
CHUNK = 2**18


def other_folders() -> tuple[Path, ...]:
    """Return the folders in which other tools keep the same files."""
    return Path.home() / ".cache/napari-segment-anything", Path.home() / ".cache/micro_sam/models"


def verify_file(file: Path, row: ModelRow) -> bool:
    """Tell whether a file is whole and the right one; without a published hash, whether it is there."""
    if not file.is_file():
        return False
    if not row.known_hash:
        return True
    algorithm, _, value = row.known_hash.partition(":")
    return pooch.file_hash(str(file), alg=algorithm) == value


def local_file(row: ModelRow) -> Path | None:
    """Return the weights' file if it came with the package or is in the cache; it was verified when it got there."""
    bundled = bundled_file(row)
    if bundled is not None:
        return bundled
    file = cache_folder() / row.file
    return file if file.is_file() else None


def fetch_model(row: ModelRow, *, progress: Progress | None = None) -> Path:
    """Return the weights' file, fetching it if it is not there.

    A verified copy that another tool left is used where it lies. Downloads go on where they broke off, try every
    address, and become visible under their name only once their hash is right.

    Parameters
    ----------
    row
        Of the registry.
    progress
        Called with bytes done and in all; what it raises stops the download, which can go on later.

    Raises
    ------
    DownloadError
        If no address gave the right file: one sentence with address, hash and the place to put the file.
    InputError
        If an imported or bundled model's file is gone.
    """
    file = local_file(row)
    if file is not None:
        return file
    if not row.urls:
        raise InputError(f"The weights of {row.name!r} are gone ({cache_folder() / row.file}): import them again.")
    copy = _copy_of_others(row)
    if copy is not None:
        return copy
    target = cache_folder() / row.file
    problems = []
    for url in row.urls:
        try:
            _retrieve(url, row, target, progress)
        except (requests.RequestException, OSError, ValueError) as error:
            problems.append(_reason(error))
        else:
            return target
    raise DownloadError(
        f"Cannot fetch {row.name!r} ({problems[-1]}): download {row.urls[0]} ({row.known_hash}) by other means "
        f"and put it at {target}, or run `napari-sam models import {row.name} FILE`."
    )


def import_model(name: str, file: Path) -> ModelRow:
    """Add a local file: to a registered model if its hash is right, or as a new model of the user's.

    Raises
    ------
    InputError
        If the file is missing, is not the registered one, or the name is not usable.
    CheckpointError
        If a new model's file is of no known architecture.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}: give the weights file to import.")
    try:
        row = find_model(name)
    except InputError:
        row = _new_row(name, file)
    else:
        if not row.urls:
            raise InputError(f"The name {name!r} is taken: import the file under another name.")
        if not verify_file(file, row):
            raise InputError(
                f"{file} is not the file of {name!r}, whose hash is {row.known_hash}: "
                "give that file, or import this one under a name of your own."
            )
    target = cache_folder() / row.file
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".importing")
    shutil.copyfile(file, part)
    os.replace(part, target)
    if not row.urls:
        register_user_model(row)
    return row


def _new_row(name: str, file: Path) -> ModelRow:
    """Describe a user's file, once it is known to load."""
    from napari_sam.model.build import SPECS, build_from_spec
    from napari_sam.model.checkpoint import guess_architecture, load_weights, read_state_dict

    if not name.replace("_", "").replace("-", "").isalnum():
        raise InputError(f"The name {name!r} is not usable: take letters, digits, - and _.")
    state = read_state_dict(file)
    architecture = guess_architecture(state)
    if architecture is None:
        raise InputError(f"{file} holds weights of no known architecture: known are {', '.join(SPECS)}.")
    load_weights(build_from_spec(SPECS[architecture]), state, str(file))
    known_hash = "sha256:" + pooch.file_hash(str(file), alg="sha256")
    size = file.stat().st_size
    return ModelRow(
        name=name,
        architecture=architecture,
        known_hash=known_hash,
        size=size,
        file=f"{name}{file.suffix}",
        licence="yours",
        about="imported",
    )


def _copy_of_others(row: ModelRow) -> Path | None:
    names = {row.file, *row.other_names, *(Path(url).name for url in row.urls)}
    for folder in other_folders():
        for name in sorted(names):
            if (folder / name).is_file() and verify_file(folder / name, row):
                return folder / name
    return None


def _retrieve(url: str, row: ModelRow, target: Path, progress: Progress | None) -> None:
    """Let pooch fetch and verify; what came of a broken download stays in a `.part` file of our own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")

    def download(address: str, output: str, _: object) -> None:
        for attempt in range(ATTEMPTS):
            try:
                _resume(address, part, progress)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if attempt == ATTEMPTS - 1:
                    raise
        os.replace(part, output)  # pooch verifies the hash and drops the file if it is wrong

    pooch.retrieve(url, row.known_hash, fname=target.name, path=target.parent, downloader=download)


def _resume(url: str, part: Path, progress: Progress | None) -> None:
    """Append to `part` what is missing; start again where the server cannot go on in the middle."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            raise requests.ConnectionError("the part on disk does not fit the file")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        done = have if resumed else 0
        total = done + int(response.headers.get("Content-Length", 0))
        with part.open("ab" if resumed else "wb") as stream:
            for chunk in response.iter_content(CHUNK):
                stream.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    if total and done < total:
        raise requests.ConnectionError(f"the connection broke after {done} of {total} bytes")


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong at an address."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the server stalled"
    if isinstance(error, requests.ConnectionError):
        return "the connection broke or could not be made"
    if isinstance(error, ValueError) and "hash" in str(error):
        return "the server sent a file with another hash"
    return str(error).split("\n")[0].rstrip(".")

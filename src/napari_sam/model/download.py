"""Fetching weights: every address in turn, broken downloads resumed, nothing named before its hash is right."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import pooch
import requests
import urllib3

from napari_sam.errors import DownloadError, InputError
from napari_sam.model.registry import ModelRow, weights_file
from napari_sam.model.weights_files import FoundFile, find_file, verify_file

__all__ = ["Patience", "Progress", "fetch_model"]

Progress = Callable[[int, int], None]
_CHUNK = 2**18


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a server.

    Parameters
    ----------
    connect, stall
        Seconds to wait for a connection, and for the next byte.
    window, least
        A server that sends fewer than `least` bytes in `window` seconds is too slow.
    attempts
        Tries at one address that bring fewer than `least` new bytes, before the next address is taken.
    """

    connect: float = 10.0
    stall: float = 15.0
    window: float = 30.0
    least: int = 2**16
    attempts: int = 2


def fetch_model(row: ModelRow, *, progress: Progress | None = None, patience: Patience | None = None) -> Path:
    """Return a model's weights file, fetching it if it is not here yet.

    A verified copy that another tool left is used where it lies. What came of a broken or cancelled download stays
    in a `.part` file, and the next call goes on from there.

    Parameters
    ----------
    row
        Of the registry.
    progress
        Called with bytes done and in all (0 where not known); what it raises stops the download.
    patience
        How long to wait for slow servers.

    Raises
    ------
    DownloadError
        If no address gave the right file: one sentence with address, hash and the place to put the file.
    InputError
        If the model has no address and its file is gone or damaged.
    """
    found = _usable(row)
    if found is not None:
        return found.path
    target = weights_file(row)
    if not row.urls:
        remedy = "import it again" if row.known_hash else "install the package again"
        raise InputError(f"The weights file of {row.name!r} is gone or damaged ({target.name}): {remedy}.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target, progress):
            found = _usable(row)  # another process may have fetched it meanwhile
            return found.path if found is not None else _from_any(row, target, progress, patience or Patience())
    except OSError as error:
        raise DownloadError(
            f"Cannot write {target} ({error.strerror or error}): "
            "make room there, or set NAPARI_SAM_CACHE to a folder that you can write to."
        ) from error


def _usable(row: ModelRow) -> FoundFile | None:
    found = find_file(row)
    return found if found is not None and found.usable else None


@contextlib.contextmanager
def _alone(target: Path, progress: Progress | None) -> Iterator[None]:
    """Let one process or thread at a time fetch a file."""
    lock = filelock.FileLock(target.with_name(f".{target.name}.lock"))
    try:
        while True:
            try:
                lock.acquire(timeout=0.5)
                break
            except filelock.Timeout:
                if progress is not None:
                    progress(0, 0)  # a chance to cancel
    except NotImplementedError:  # some cluster file systems know no locks
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _from_any(row: ModelRow, target: Path, progress: Progress | None, patience: Patience) -> Path:
    """Try the addresses in turn."""
    problems = []
    for url in row.urls:
        try:
            _retrieve(url, row, target, progress, patience)
        except (requests.RequestException, ValueError) as error:
            problems.append(f"{urlsplit(url).hostname}: {_reason(error)}")
        else:
            verify_file(target, row)
            return target
    raise DownloadError(
        f"Cannot fetch {row.name!r} ({'; '.join(problems)}): download {row.urls[0]} ({row.known_hash}) by other "
        f"means and put it at {target}, or run `napari-sam models import {row.name} FILE`."
    )


def _retrieve(url: str, row: ModelRow, target: Path, progress: Progress | None, patience: Patience) -> None:
    """Let pooch verify and rename what our own downloader brings."""
    part = target.with_name(target.name + ".part")

    def download(address: str, output: str, _: object) -> None:
        _persist(address, part, progress, patience)
        os.replace(part, output)

    def retrieve() -> None:
        with _quiet(pooch.get_logger()):  # which would announce each download on standard error
            pooch.retrieve(url, row.known_hash, fname=target.name, path=target.parent, downloader=download)

    begun = part.exists()
    try:
        retrieve()
    except ValueError:  # another hash, and pooch has removed the file
        if not begun:
            raise
        retrieve()  # the beginning came from elsewhere: this address deserves a try of its own


def _persist(url: str, part: Path, progress: Progress | None, patience: Patience) -> None:
    """Go on after each break, as long as it brings the file forward."""
    idle = 0
    while True:
        before = _size(part)
        try:
            return _resume(url, part, progress, patience)
        except (requests.ConnectionError, requests.Timeout):
            idle = 0 if _size(part) >= before + patience.least else idle + 1
            if idle >= patience.attempts:
                raise


def _resume(url: str, part: Path, progress: Progress | None, patience: Patience) -> None:
    """Append to `part` what is missing; start again where the server cannot go on in the middle."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # or lengths and ranges would be those of a packed file
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=(patience.connect, patience.stall)) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                return  # it was whole already
            part.unlink()
            raise requests.ConnectionError("the part on disk does not fit the file")
        response.raise_for_status()
        if response.status_code == requests.codes.partial_content:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink(missing_ok=True)
                raise requests.ConnectionError("the server sent another part than asked for")
        else:
            have = 0
        length = int(response.headers.get("Content-Length", 0))
        done = _append(response, part, have, have + length if length else 0, progress, patience)
    if length and done < have + length:
        raise requests.ConnectionError(f"the connection broke after {done} of {have + length} bytes")


def _append(
    response: requests.Response, part: Path, done: int, total: int, progress: Progress | None, patience: Patience
) -> int:
    """Write what comes behind the first `done` bytes of the file; return how many there are then."""
    mark, mark_done, told = time.monotonic(), done, 0.0
    with part.open("r+b" if part.exists() else "wb") as stream:
        stream.truncate(done)
        stream.seek(done)
        while chunk := _next(response):
            stream.write(chunk)
            done += len(chunk)
            now = time.monotonic()
            if progress is not None and (now > told + 0.05 or done == total):
                told = now
                progress(done, total)
            if now > mark + patience.window:
                if done - mark_done < patience.least:
                    raise requests.Timeout("too slow")
                mark, mark_done = now, done
    return done


def _next(response: requests.Response) -> bytes:
    """Return the bytes that are there, at least one unless the end is reached."""
    try:
        return response.raw.read1(_CHUNK)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(str(error)) from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong at an address."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout):
        return "no connection"
    if isinstance(error, requests.Timeout):
        return "the server is too slow or stalled"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted here"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke"
    if isinstance(error, requests.RequestException):
        return type(error).__name__
    return "the file had another hash"

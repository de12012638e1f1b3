"""What of a job is done: a folder beside the output with one line for each finished unit."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_sam.errors import InputError
from napari_sam.io.atomic_file import write_whole
from napari_sam.io.line_file import LineFile
from napari_sam.io.zarr_location import absolute, is_remote

__all__ = ["DamagedJobError", "JobJournal", "StorageError", "digest_of", "job_folder", "read_parameters", "storing"]

JOB_FILE = "job.json"
JOURNAL_FILE = "journal.jsonl"


class DamagedJobError(InputError):
    """Files of a job that do not tell what was done."""


class StorageError(InputError):
    """A place that takes no more: the job stops, since every further unit would fail alike."""


def job_folder(image: str, output: str | None, label: str) -> Path:
    """Return where the journal of a job lies: beside the output, for remote ones in the current folder.

    The folder of a remote one has the whole address, as `BUCKET/out.zarr/A/1/0-cells.job`.

    Raises
    ------
    InputError
        If the output is the root of a disk or a bucket.
    """
    place = absolute(output or image)
    local = Path(place)
    if is_remote(place):
        _, _, address = place.partition("://")
        parts = [re.sub(r"[^\w.+=@-]", "_", part) for part in address.split("/") if part not in ("", ".", "..")]
        local = Path.cwd().joinpath(*parts) if parts else Path("/")
    if not local.name:
        raise InputError(f"{place} is the root of a disk or an address: give an output inside of it (-o OUT.zarr).")
    return local.with_name(f"{local.name}-{label}.job")


def digest_of(*parts: str) -> str:
    """Return a hash of texts (BLAKE2b, 32 hex digits)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def read_parameters(folder: Path) -> dict[str, Any] | None:
    """Return the parameters of the job of a folder, None if it has none.

    Raises
    ------
    DamagedJobError
        If they cannot be read.
    """
    file = folder / JOB_FILE
    if not file.exists():
        return None
    try:
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedJobError(f"The job file {file} is damaged ({error}): begin anew with restart.") from error
    return known


class JobJournal:
    """Remember finished units; a line is on the disk before the next unit counts.

    A unit is done when what it made and its line are both durable. A line names the unit, the digest of what it was
    made from (`inputs`) and of what it made (`digest`): units whose inputs changed since are not done.

    Parameters
    ----------
    folder
        Of the job; it exists and is locked (see `opened`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / JOURNAL_FILE
        self._lines: dict[str, dict[str, Any]] = {}
        with storing(f"write the journal {self._path}"):
            self._read()
            self._file = LineFile(self._path)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path, parameters: dict[str, Any], *, restart: bool) -> Iterator[JobJournal]:
        """Open the journal of a job, or begin one; nobody else may work on it meanwhile.

        Parameters
        ----------
        folder
            Of the job, made where it is missing.
        parameters
            Plain values that decide the result; a journal with others is refused.
        restart
            Whether to forget what was done.

        Raises
        ------
        StorageError
            If the folder cannot be written to.
        InputError
            If another process works on it, or it belongs to a job with other parameters.
        """
        with storing(f"write the job folder {folder}"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
            try:
                lock.acquire()
            except Timeout:
                if not Path(lock.lock_file).exists():  # places such as /proc take no files
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
                raise InputError(f"Another process works on the job {folder}: wait for it, or stop it.") from None
        try:
            if restart and folder.exists():
                _check_folder(folder)
                with storing(f"remove the job folder {folder}"):
                    shutil.rmtree(folder)
            _check_parameters(folder, parameters)
            journal = cls(folder)
            try:
                yield journal
            finally:
                journal.close()
        finally:
            lock.release()

    def done(self, unit: str, inputs: str) -> dict[str, Any] | None:
        """Return the line of a unit that was made from these inputs, or None."""
        line = self._lines.get(unit)
        return line if line is not None and line["inputs"] == inputs else None

    def last(self, unit: str) -> dict[str, Any] | None:
        """Return the line of a unit, whatever it was made from, or None."""
        return self._lines.get(unit)

    def made(self, unit: str) -> str:
        """Return the inputs with which a unit was done last, "" if it was not."""
        return str(self._lines[unit]["inputs"]) if unit in self._lines else ""

    def write(self, unit: str, inputs: str, **values: Any) -> dict[str, Any]:
        """Note a unit as done and return its line.

        Raises
        ------
        StorageError
            If the disk does not take it.
        """
        line = {"unit": unit, "inputs": inputs, **values}
        with storing(f"write the journal {self._path}"):
            self._file.append(json.dumps(line, separators=(",", ":")).encode())
        self._lines[unit] = line
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> None:
        """Read all whole lines."""
        data = self._path.read_bytes() if self._path.exists() else b""
        for number, text in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
            try:
                line = json.loads(text)
                self._lines[line["unit"]] = {**line, "inputs": str(line["inputs"])}
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedJobError(
                    f"Line {number} of the journal {self._path} is damaged ({error}): begin anew with restart."
                ) from error


def _check_folder(folder: Path) -> None:
    """Refuse to remove a folder that no job made."""
    if not any((folder / name).exists() for name in (JOB_FILE, JOURNAL_FILE)) and any(folder.iterdir()):
        raise InputError(f"{folder} is no folder of a job: move it away, or choose another output or label.")


def _check_parameters(folder: Path, parameters: dict[str, Any]) -> None:
    """Compare with the parameters on record, or record them where there are none."""
    file = folder / JOB_FILE
    with storing(f"write the job folder {folder}"):
        folder.mkdir(exist_ok=True)
        if not file.exists():
            write_whole(file, json.dumps(parameters, indent=1).encode())
            _sync_folder(folder)
            return
    known = read_parameters(folder)
    for name, old, new in _differences(known, parameters):
        raise InputError(
            f"The job {folder} was begun with {name} {old}, not {new}: run it as it was, choose another output or "
            "label, or begin anew with restart."
        )


def _differences(known: Any, given: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    if isinstance(known, dict) and isinstance(given, dict):
        for key in [*given, *(key for key in known if key not in given)]:
            yield from _differences(known.get(key), given.get(key), f"{name}.{key}" if name else key)
    elif known != given:
        yield name or "other parameters", json.dumps(known), json.dumps(given)


def _sync_folder(folder: Path) -> None:
    """Make the names of files in a folder durable, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn what the system refuses, while `what` is done, into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Cannot {what} ({error.strerror or error}): free some space or choose another output, nothing is lost."
        ) from error

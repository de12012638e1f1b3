"""Arrays and the objects of a tile in one file each, whose bytes depend on nothing but what they hold.

The file is NumPy's .npz, without pickles and compression, with a fixed date. It appears all at once or not at all, and
is on the disk when the call returns.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["StoredRecords", "read_arrays", "read_records", "record_boxes", "write_arrays", "write_records"]

Array = npt.NDArray[Any]

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file knows
FIELDS: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {
    "box": (np.int64, (4,)),
    "area": (np.int64, ()),
    "predicted_iou": (np.float64, ()),
    "stability_score": (np.float64, ()),
    "point": (np.float64, (2,)),
    "crop_box": (np.int64, (4,)),
    "image_shape": (np.int64, (2,)),
    "group": (np.int64, ()),
}


def write_arrays(path: Path, **arrays: npt.ArrayLike) -> str:
    """Write named arrays, of any type but objects, and return the SHA-256 of the file in hex.

    The folder is made durable, too. A kill leaves the old file or the new one, and perhaps a hidden `.part` file.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", LONG_AGO)
            entry.create_system = 3  # the same on every system
            with archive.open(entry, "w", force_zip64=True) as member:
                array = np.ascontiguousarray(arrays[name]).reshape(np.shape(arrays[name]))
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
    data = stream.getvalue()
    _write_durably(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, Array]:
    """Read the arrays of a file, or only those of `names`; the others are not read from the disk.

    Raises
    ------
    InputError
        If the file is missing, damaged, or lacks a name.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in (archive.files if names is None else names)}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The file {path} is missing or damaged ({error}): remove it, and it is made again."
        ) from error


def write_records(path: Path, records: Sequence[MaskRecord], **columns: npt.ArrayLike) -> str:
    """Write records, and columns of one value for each of them; return the SHA-256 of the file in hex.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    fields = {
        name: np.array([getattr(record, name) for record in records], dtype).reshape(len(records), *shape)
        for name, (dtype, shape) in FIELDS.items()
    }
    ends = np.cumsum([0, *(len(record.bits) for record in records)], dtype=np.int64)
    bits = np.frombuffer(b"".join(record.bits for record in records), np.uint8)
    extra = {f"column_{name}": np.asarray(values) for name, values in columns.items()}
    return write_arrays(path, **fields, bits=bits, ends=ends, **extra)


def read_records(path: Path) -> StoredRecords:
    """Read the records of a file; they compare equal to those written.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    return StoredRecords(read_arrays(path))


class StoredRecords(Sequence[MaskRecord]):
    """Hold the records of a tile as columns; each is made when it is asked for.

    Parameters
    ----------
    arrays
        As `write_records` wrote them.

    Attributes
    ----------
    boxes
        (n, 4) int64 boxes (row0, col0, row1, col1).
    areas
        (n,) int64 pixels.
    columns
        The further columns that were written.
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.boxes, self.areas = arrays["box"], arrays["area"]
        self.columns = {name[7:]: values for name, values in arrays.items() if name.startswith("column_")}
        self._fields = {name: arrays[name] for name in FIELDS}
        self._bits, self._ends = arrays["bits"], arrays["ends"]

    def __len__(self) -> int:
        return len(self.areas)

    @overload
    def __getitem__(self, number: int) -> MaskRecord: ...
    @overload
    def __getitem__(self, number: slice) -> list[MaskRecord]: ...
    def __getitem__(self, number: int | slice) -> MaskRecord | list[MaskRecord]:
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        number = range(len(self))[number]  # negative ones, and IndexError
        values: dict[str, Any] = {name: values[number].tolist() for name, values in self._fields.items()}
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        bits = self._bits[self._ends[number] : self._ends[number + 1]].tobytes()
        return MaskRecord(**values, bits=bits)


def record_boxes(records: Sequence[MaskRecord]) -> npt.NDArray[np.int64]:
    """Return the (n, 4) int64 boxes of records, without making those that are stored as columns."""
    if isinstance(records, StoredRecords):
        return records.boxes
    return np.array([record.box for record in records], np.int64).reshape(-1, 4)


def _write_durably(path: Path, data: bytes) -> None:
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
    if os.name == "posix":  # the new name is durable once the folder is
        folder = os.open(path.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

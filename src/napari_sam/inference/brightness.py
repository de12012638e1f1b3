"""Which values of a stack are black and white: decided by pixels from all of its planes, as far as they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.inference.normalization import Normalization, resolve_normalization

__all__ = ["stack_normalization"]

BAND = 1024  # rows that are read at once
TRIES = 64  # planes and places that are tried before an image counts as unreadable


def stack_normalization(
    planes: Sequence[Any],
    normalization: str | tuple[float, float] | Normalization,
    channels: tuple[int, ...] | None = None,
) -> Normalization:
    """Decide one normalisation for all planes of an image.

    Of a single plane that can be read it is that of `Predictor.set_image`. Where a chunk cannot be read, other pixels
    stand in for its own, so that one damaged chunk does not end a job.

    Parameters
    ----------
    planes
        Array-likes of one shape, (H, W) or (H, W, C).
    normalization, channels
        As for `resolve_normalization`.

    Raises
    ------
    InputError
        If nothing can be read, or the normalisation cannot be used.
    """
    return resolve_normalization(_Tower(planes), normalization, channels)


class _Tower:
    """Show planes as a single one, one below the other, of which pieces are read."""

    def __init__(self, planes: Sequence[Any]) -> None:
        self._planes = planes
        self._height = int(planes[0].shape[0])
        self.shape = (self._height * len(planes), *planes[0].shape[1:])
        self.dtype = planes[0].dtype

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[Any]:
        rows, cols = range(self.shape[0])[key[0]], range(self.shape[1])[key[1]]
        bands = [self._band(list(rows[k : k + BAND]), cols) for k in range(0, len(rows), BAND)]
        good = [band for band in bands if band is not None]
        stand_in = np.concatenate(good) if good else self._anything()
        shape = len(cols), *self.shape[2:]
        filled = [
            np.resize(stand_in, (len(rows[k * BAND : (k + 1) * BAND]), *shape)) if band is None else band
            for k, band in enumerate(bands)
        ]
        return np.concatenate(filled)

    def _band(self, rows: list[int], cols: range) -> npt.NDArray[Any] | None:
        """Read some rows, None if they cannot be read."""
        parts = []
        step = rows[1] - rows[0] if len(rows) > 1 else 1
        for number in range(rows[0] // self._height, rows[-1] // self._height + 1):
            mine = [row - number * self._height for row in rows if row // self._height == number]
            if mine:
                where = slice(mine[0], mine[-1] + 1, step), slice(cols.start, cols.stop, cols.step)
                try:
                    parts.append(np.asarray(self._planes[number][where]))
                except InputError:
                    return None
        return np.concatenate(parts)

    def _anything(self) -> npt.NDArray[Any]:
        """Return some block that can be read."""
        height, width = self.shape[:2]
        error: InputError | None = None
        for k in range(TRIES):
            row, col = k * height // TRIES, (k * 7 % TRIES) * width // TRIES
            top = row % self._height
            try:
                return np.asarray(self._planes[row // self._height][top : top + 64, col : col + 64])
            except InputError as caught:
                error = caught
        assert error is not None  # noqa: S101 - all tries failed
        raise error

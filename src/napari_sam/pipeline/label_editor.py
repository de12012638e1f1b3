"""Writing objects into a label plane, with undo and redo that leave alone what anyone else changed since."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.types import BoolArray

__all__ = ["Edit", "LabelEditor", "revert", "write_mask"]

Values = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Record one change: the pixels of the plane that were written, what they held before and what they hold since.

    Parameters
    ----------
    label
        The label that it was about.
    rows, cols
        The tight part of the plane.
    changed
        (h, w) bool, the pixels that were written.
    before, after
        (changed.sum(),) labels that they held, and that they were given.
    """

    label: int
    rows: slice
    cols: slice
    changed: BoolArray
    before: Values
    after: Values


def write_mask(
    labels: Any, patch: BoolArray, where: tuple[slice, slice], label: int, *, replace: bool, overwrite: bool = False
) -> Edit:
    """Write a mask to a (H, W) plane of labels.

    Parameters
    ----------
    labels
        Anything with `shape`, `dtype` and reading and writing by two slices: NumPy or Zarr arrays, planes of either.
    patch
        (h, w) bool.
    where
        Rows and columns of the plane that it covers.
    label
        What to write.
    replace
        Whether an object that has the label already becomes the mask, as far as `patch` reaches.
    overwrite
        Whether pixels of other labels are taken over.

    Returns
    -------
    Edit
        What changed.

    Raises
    ------
    InputError
        If no pixel may be written, the label does not fit the plane's type, or the labels cannot be written; then
        nothing is changed.
    """
    rows, cols = where
    current = np.asarray(labels[rows, cols])
    if current.shape != patch.shape:
        raise InputError(f"The mask has shape {patch.shape} but covers {current.shape} pixels of the labels.")
    _check_label(labels, label)
    writable = patch & ((current == 0) | (current == label) | overwrite)
    if not writable.any():
        reason = "it is empty" if not patch.any() else "all its pixels already have a label"
        raise InputError(f"The mask cannot be written because {reason}: choose another, or allow overwriting.")
    erased = (current == label) & ~patch if replace else np.zeros_like(patch)
    after = np.where(erased, 0, label).astype(current.dtype)
    return _put(labels, label, (rows.start or 0, cols.start or 0), current, writable | erased, after)


def revert(labels: Any, edit: Edit) -> Edit:
    """Take back an edit wherever its pixels still are what it made; what anyone else changed since stays.

    Parameters
    ----------
    labels
        As `write_mask` takes them.
    edit
        What `write_mask` or `revert` returned.

    Returns
    -------
    Edit
        What changed, perhaps nothing; reverting that does `edit` again where nobody changed anything meanwhile.

    Raises
    ------
    InputError
        If the labels cannot be written; then nothing is changed.
    """
    now = np.array(labels[edit.rows, edit.cols])
    same = np.zeros_like(edit.changed)
    same[edit.changed] = now[edit.changed] == edit.after
    wanted = now.copy()
    wanted[edit.changed] = edit.before
    return _put(labels, edit.label, (edit.rows.start, edit.cols.start), now, same, wanted)


class LabelEditor:
    """Commit masks to one (H, W) plane of labels, with undo and redo without limit.

    Parameters
    ----------
    labels
        As `write_mask` takes them.
    """

    def __init__(self, labels: Any) -> None:
        self.labels = labels
        self._done: list[Edit] = []
        self._undone: list[Edit] = []
        self._highest = 0  # as far as is known
        self._searched = False  # the plane is read only when somebody asks for the next label

    def next_label(self) -> int:
        """Return the next free label: one above the highest there ever was."""
        if not self._searched:
            self._highest = max(self._highest, int(np.asarray(self.labels[:, :]).max(initial=0)))
            self._searched = True
        return self._highest + 1

    def commit(
        self, patch: BoolArray, where: tuple[slice, slice], *, label: int | None = None, overwrite: bool = False
    ) -> Edit:
        """Write a mask as `write_mask` does; None takes the next free label, a given label is replaced."""
        number = self.next_label() if label is None else label
        edit = write_mask(self.labels, patch, where, number, replace=label is not None, overwrite=overwrite)
        self._done.append(edit)
        self._undone.clear()
        self._highest = max(self._highest, number, int(edit.before.max(initial=0)))
        return edit

    def undo(self) -> Edit | None:
        """Take back the last commit and return what changed; None if there is none."""
        return self._revert(self._done, self._undone)

    def redo(self) -> Edit | None:
        """Do again what was taken back last and return what changed; None if there is nothing."""
        return self._revert(self._undone, self._done)

    def _revert(self, source: list[Edit], target: list[Edit]) -> Edit | None:
        if not source:
            return None
        reverted = revert(self.labels, source[-1])  # raises where nothing can be written: then nothing has happened
        source.pop()
        target.append(reverted)
        return reverted


def _check_label(labels: Any, label: int) -> None:
    dtype = np.dtype(labels.dtype)
    top = np.iinfo(dtype).max if dtype.kind in "iu" else 0
    if not 1 <= label <= top:
        raise InputError(f"The label {label} does not fit labels of type {dtype}: allowed are 1 to {top}.")


def _put(labels: Any, label: int, at: tuple[int, int], current: Values, changed: BoolArray, wanted: Values) -> Edit:
    """Write the tight rectangle around the pixels that change, (h, w) at a (row, col) of the plane."""
    if not changed.any():
        nothing = np.zeros((0, 0), bool)
        return Edit(
            label=label,
            rows=slice(at[0], at[0]),
            cols=slice(at[1], at[1]),
            changed=nothing,
            before=current[:0, :0].ravel(),
            after=current[:0, :0].ravel(),
        )
    in_rows, in_cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    tight = np.s_[in_rows[0] : in_rows[-1] + 1, in_cols[0] : in_cols[-1] + 1]
    held, changed = current[tight], changed[tight].copy()  # a copy, which does not keep the whole patch alive
    new = np.where(changed, wanted[tight], held)
    row0, col0 = at[0] + int(in_rows[0]), at[1] + int(in_cols[0])
    rows, cols = slice(row0, row0 + new.shape[0]), slice(col0, col0 + new.shape[1])
    edit = Edit(label=label, rows=rows, cols=cols, changed=changed, before=held[changed], after=new[changed])
    try:
        labels[rows, cols] = new
    except InputError:
        with suppress(InputError):  # of a pyramid the disk may have taken a part
            labels[rows, cols] = held
        raise
    return edit

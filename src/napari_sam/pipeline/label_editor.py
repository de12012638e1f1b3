"""Writing objects into a label plane, with undo and redo without limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_sam.errors import InputError
from napari_sam.types import BoolArray

__all__ = ["Edit", "LabelEditor"]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Record one commit: the part of the plane that changed and what it held before.

    Parameters
    ----------
    label
        The label that was written.
    rows, cols
        The tight part of the plane.
    changed
        (h, w) bool, the pixels that were written.
    before
        (changed.sum(),) labels that they held.
    """

    label: int
    rows: slice
    cols: slice
    changed: BoolArray
    before: npt.NDArray[Any]


class LabelEditor:
    """Commit masks to one (H, W) plane of labels.

    Parameters
    ----------
    labels
        Anything with `shape`, `dtype` and reading and writing by two slices: NumPy or Zarr arrays, planes of either.
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
        """Write a mask.

        Parameters
        ----------
        patch
            (h, w) bool.
        where
            Rows and columns of the plane that it covers.
        label
            What to write; None takes the next free label. A label that is there already is replaced: the object becomes
            the mask, as far as `patch` reaches.
        overwrite
            Whether pixels of other labels are taken over.

        Returns
        -------
        Edit
            What changed.

        Raises
        ------
        InputError
            If no pixel may be written, or the label does not fit the plane's type.
        """
        rows, cols = where
        current = np.asarray(self.labels[rows, cols])
        if current.shape != patch.shape:
            raise InputError(f"The mask has shape {patch.shape} but covers {current.shape} pixels of the labels.")
        number = self.next_label() if label is None else label
        self._check_label(number)
        writable = patch & ((current == 0) | (current == number) | overwrite)
        if not writable.any():
            reason = "it is empty" if not patch.any() else "all its pixels already have a label"
            raise InputError(f"The mask cannot be written because {reason}: choose another, or allow overwriting.")
        erased = (current == number) & ~patch if label is not None else np.zeros_like(patch)
        edit = self._apply(writable, erased, current, rows, cols, number)
        self._done.append(edit)
        self._undone.clear()
        self._highest = max(self._highest, number, int(current.max()))
        return edit

    def undo(self) -> Edit | None:
        """Take back the last commit; None if there is none."""
        if not self._done:
            return None
        edit = self._done.pop()
        now = np.array(self.labels[edit.rows, edit.cols])
        after = now[edit.changed]
        now[edit.changed] = edit.before
        self.labels[edit.rows, edit.cols] = now
        self._undone.append(Edit(label=edit.label, rows=edit.rows, cols=edit.cols, changed=edit.changed, before=after))
        return edit

    def redo(self) -> Edit | None:
        """Do again what was taken back last; None if there is nothing."""
        if not self._undone:
            return None
        undone = self._undone.pop()
        now = np.array(self.labels[undone.rows, undone.cols])
        before = now[undone.changed]
        now[undone.changed] = undone.before
        self.labels[undone.rows, undone.cols] = now
        edit = Edit(label=undone.label, rows=undone.rows, cols=undone.cols, changed=undone.changed, before=before)
        self._done.append(edit)
        return edit

    def _check_label(self, label: int) -> None:
        dtype = np.dtype(self.labels.dtype)
        top = np.iinfo(dtype).max if dtype.kind in "iu" else 0
        if not 1 <= label <= top:
            raise InputError(f"The label {label} does not fit labels of type {dtype}: allowed are 1 to {top}.")

    def _apply(
        self,
        writable: BoolArray,
        erased: BoolArray,
        current: npt.NDArray[Any],
        rows: slice,
        cols: slice,
        label: int,
    ) -> Edit:
        """Write only the tight rectangle around the pixels that change."""
        changed = writable | erased
        at_rows, at_cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        tight = np.s_[at_rows[0] : at_rows[-1] + 1, at_cols[0] : at_cols[-1] + 1]
        row0, col0 = (rows.start or 0) + int(at_rows[0]), (cols.start or 0) + int(at_cols[0])
        changed, erased = changed[tight], erased[tight]
        new = current[tight].copy()
        before = new[changed]
        new[changed] = label
        new[erased] = 0
        here = slice(row0, row0 + new.shape[0]), slice(col0, col0 + new.shape[1])
        self.labels[here] = new
        return Edit(label=label, rows=here[0], cols=here[1], changed=changed, before=before)

"""Undo and redo without limit, of prompts and of labels that were written, in the order in which they happened."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from napari_sam.widgets.drafts import Draft
    from napari_sam.widgets.label_target import Written
    from napari_sam.widgets.object_prompts import MaskSeed
    from napari_sam.widgets.plane import Plane
    from napari_sam.widgets.prompt_layers import PromptContent

__all__ = ["History", "SessionState", "Step", "now"]

Anything = TypeVar("Anything")
_clock = itertools.count(1)


def now() -> int:
    """Return a number above all before, to tell what happened last in several histories."""
    return next(_clock)


@dataclass(frozen=True)
class SessionState:
    """Hold all prompts, and how the prediction of each object came about, by plane.

    Parameters
    ----------
    content
        The prompts in the layers.
    seeds
        The masks to start from.
    drafts
        The objects being made.
    choices
        The chosen candidate of a draft, by the draft's number.
    """

    content: PromptContent
    seeds: Mapping[Plane, MaskSeed]
    drafts: Mapping[Plane, tuple[Draft, ...]]
    choices: Mapping[int, int]

    def says_the_same(self, other: SessionState) -> bool:
        """Tell whether the prompts are the same."""
        return self.seeds == other.seeds and self.content.equals(other.content)


@dataclass(frozen=True)
class Step:
    """One thing that the user did: everything before and after it, and the labels that it wrote."""

    before: SessionState
    after: SessionState
    written: tuple[Written, ...] = ()


class History(Generic[Anything]):
    """Hold the steps that can be undone and those that can be done again."""

    def __init__(self) -> None:
        self._done: list[Anything] = []
        self._undone: list[Anything] = []
        self._done_at: list[int] = []
        self._undone_at: list[int] = []

    @property
    def can_undo(self) -> bool:
        """Tell whether there is something to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Tell whether there is something to do again."""
        return bool(self._undone)

    @property
    def done_at(self) -> int:
        """When the last step was done, or done again, by `now`; 0 if there is none."""
        return self._done_at[-1] if self._done_at else 0

    @property
    def undone_at(self) -> int:
        """When the next step was undone, by `now`; 0 if there is none."""
        return self._undone_at[-1] if self._undone_at else 0

    @property
    def last(self) -> Anything | None:
        """The step that undo would take back."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Anything | None:
        """The step that redo would do again."""
        return self._undone[-1] if self._undone else None

    def record(self, step: Anything) -> None:
        """Add a step; what was undone before cannot be done again."""
        self._done.append(step)
        self._done_at.append(now())
        self._undone.clear()
        self._undone_at.clear()

    def undo(self, step: Anything) -> None:
        """Note that the caller undid the last step, and what redo would have to do again."""
        self._done.pop()
        self._done_at.pop()
        self._undone.append(step)
        self._undone_at.append(now())

    def redo(self, step: Anything) -> None:
        """Note that the caller did the next step again, and what undo would have to take back."""
        self._undone.pop()
        self._undone_at.pop()
        self._done.append(step)
        self._done_at.append(now())

"""Objects being made: their prompts, and from which earlier prediction each of them goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from napari_sam.widgets.object_prompts import ObjectPrompts

__all__ = ["Draft", "evolve"]

_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class Draft:
    """Hold the prompts of one object and where its prediction starts.

    Parameters
    ----------
    prompts
        What was said of the object.
    parent
        The draft before the last points were added, whose mask is fed back to the model; None: start afresh.
    parent_choice
        Which of the parent's candidates was chosen when points were added.
    number
        Unique in this process; kept when the same draft comes back by undo.
    """

    prompts: ObjectPrompts
    parent: Draft | None = None
    parent_choice: int = 0
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def lineage(self) -> list[Draft]:
        """The drafts from the one without parent to this one."""
        drafts = [self]
        while drafts[-1].parent is not None:
            drafts.append(drafts[-1].parent)
        return drafts[::-1]


def evolve(drafts: Sequence[Draft], objects: Iterable[ObjectPrompts], choice_of: Callable[[Draft], int]) -> list[Draft]:
    """Find or make the draft of each object.

    An object with the prompts of a draft keeps it; one that adds points to a draft goes on from it, one point after
    the other, so that the outcome does not depend on how fast the model answered; any other starts afresh.
    """
    evolved = []
    for prompts in objects:
        same = next((draft for draft in drafts if draft.prompts == prompts), None)
        base = max(
            (draft for draft in drafts if prompts.extends(draft.prompts)),
            key=lambda draft: len(draft.prompts.points),
            default=None,
        )
        if same is not None:
            evolved.append(Draft(prompts, same.parent, same.parent_choice, same.number))
        elif base is not None:
            evolved.append(_add_points(base, prompts, choice_of(base)))
        else:
            evolved.append(Draft(prompts))
    return evolved


def _add_points(base: Draft, prompts: ObjectPrompts, choice: int) -> Draft:
    draft = base
    for count in range(len(base.prompts.points) + 1, len(prompts.points) + 1):
        step = replace(prompts, points=prompts.points[:count], labels=prompts.labels[:count])
        draft = Draft(step, parent=draft, parent_choice=choice)
        choice = 0
    return draft

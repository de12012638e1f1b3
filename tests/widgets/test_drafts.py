from __future__ import annotations

from napari_sam.widgets.drafts import Draft, evolve
from napari_sam.widgets.object_prompts import ObjectPrompts

A, B, C = (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)


def prompts(*points: tuple[float, float], row: int = 0) -> ObjectPrompts:
    return ObjectPrompts(points=points, labels=(1,) * len(points), shape_rows=(row,))


def best(_: Draft) -> int:
    return 0


def test_the_same_prompts_keep_their_draft_and_learn_their_new_rows() -> None:
    (first,) = evolve([], [prompts(A)], best)
    (again,) = evolve([first], [prompts(A, row=4)], best)
    assert again.number == first.number
    assert again.prompts.shape_rows == (4,)


def test_an_added_point_goes_on_from_the_chosen_candidate() -> None:
    (first,) = evolve([], [prompts(A)], best)
    (second,) = evolve([first], [prompts(A, B)], lambda draft: 2 if draft is first else 0)
    assert second.parent is first
    assert second.parent_choice == 2
    assert second.lineage == [first, second]


def test_points_added_at_once_make_the_same_steps_as_one_by_one() -> None:
    (first,) = evolve([], [prompts(A)], best)
    (at_once,) = evolve([first], [prompts(A, B, C)], best)
    (second,) = evolve([first], [prompts(A, B)], best)
    (third,) = evolve([second], [prompts(A, B, C)], best)
    assert [step.prompts for step in at_once.lineage] == [step.prompts for step in third.lineage]


def test_moving_or_removing_a_point_starts_afresh() -> None:
    (first,) = evolve([], [prompts(A)], best)
    (second,) = evolve([first], [prompts(A, B)], best)
    for changed in (prompts(A), prompts(A, C), prompts(B)):
        (draft,) = evolve([second], [changed], best)
        assert draft.parent is None


def test_several_objects_are_told_apart_by_what_was_said() -> None:
    first, second = evolve([], [prompts(A), prompts(B)], best)
    (again, more) = evolve([first, second], [prompts(B), prompts(A, C)], best)
    assert again.number == second.number
    assert more.parent is first

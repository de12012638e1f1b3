"""The point protocol: simulated clicks on every object of a data set (SAM, section 7.1 and appendix D)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from napari_sam.evaluation.metrics import boundary_f, mask_iou
from napari_sam.evaluation.object_protocol import Box, Played, judge_objects
from napari_sam.evaluation.players import Click, Player
from napari_sam.evaluation.scores import ImageResult
from napari_sam.io.dataset import Dataset
from napari_sam.ops.points import correction_click, inner_point
from napari_sam.types import BoolArray

__all__ = ["ROUNDS", "clicks_needed", "evaluate_points", "play_points"]

ROUNDS = 8


def evaluate_points(
    players: Sequence[Player],
    dataset: Dataset,
    *,
    rounds: int = ROUNDS,
    limit: int | None = None,
    max_objects: int | None = None,
    seed: int = 0,
) -> Iterator[ImageResult]:
    """Click on every object `rounds` times; measures are those of `play_points`, the rest as in `judge_objects`."""
    game = partial(play_points, rounds=rounds)
    return judge_objects(players, dataset, game, limit=limit, max_objects=max_objects, seed=seed)


def play_points(player: Player, truth: BoolArray, box: Box, rounds: int = ROUNDS) -> Played:
    """Play on one object of the player's image.

    The first click is at the maximum of the object's distance transform, each further one in the middle of the largest
    error. Once a mask is perfect its IoU stays for the rounds left.

    Parameters
    ----------
    player
        With its image set.
    truth
        (H, W) bool mask of the object.
    box
        A box around it, for comparison.
    rounds
        Clicks in all, at least 1.

    Returns
    -------
    Played
        With the mask of the first click, and the measures `one_click` (IoU of the preferred mask), `best_of_three`
        (oracle among the candidates), `three_clicks` (if there are so many rounds), `box`, `noc85` and `noc90` (clicks
        until that IoU, at most `rounds`), `boundary_f` after the first and `final_boundary_f` after the last click,
        `round_1` to `round_N` (IoU).
    """
    clicks: list[Click] = [(inner_point(truth), 1)]
    candidates, predicted = player.first(clicks[0])
    mask = candidates[0]
    ious = [mask_iou(mask, truth)]
    while len(ious) < rounds:
        click = correction_click(mask, truth)
        if click is None:
            ious += [ious[-1]] * (rounds - len(ious))
            break
        clicks.append(click)
        mask = player.correct(clicks)
        ious.append(mask_iou(mask, truth))
    values = {"one_click": ious[0], "best_of_three": max(mask_iou(candidate, truth) for candidate in candidates)}
    if rounds >= 3:
        values["three_clicks"] = ious[2]
    values |= {
        "box": mask_iou(player.boxed(box)[0], truth),
        "noc85": clicks_needed(ious, 0.85),
        "noc90": clicks_needed(ious, 0.9),
        "boundary_f": boundary_f(candidates[0], truth),
        "final_boundary_f": boundary_f(mask, truth),
    }
    values |= {f"round_{number}": iou for number, iou in enumerate(ious, start=1)}
    return Played(values, predicted, candidates[0])


def clicks_needed(ious: Sequence[float], wanted: float) -> int:
    """Return the number of clicks until the IoU was at least `wanted`; all of them if it never was."""
    return next((number for number, iou in enumerate(ious, start=1) if iou >= wanted), len(ious))

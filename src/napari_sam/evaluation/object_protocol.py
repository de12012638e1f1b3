"""What the point and the box protocol share: every object of a data set, one after another, for every player."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_sam.evaluation.players import Player
from napari_sam.evaluation.scores import ImageResult, Score, choose_items
from napari_sam.io.dataset import Dataset
from napari_sam.ops.boxes import mask_to_box, noisy_box
from napari_sam.types import BoolArray

__all__ = ["Box", "Game", "Played", "judge_objects"]

Box = tuple[float, float, float, float]


class Played(NamedTuple):
    """Hold how one object went: the measures, the player's own estimate of the first of them, and a mask to show."""

    values: dict[str, float]
    predicted: float | None
    mask: BoolArray


Game = Callable[[Player, BoolArray, Box], Played]


def judge_objects(
    players: Sequence[Player],
    dataset: Dataset,
    game: Game,
    *,
    limit: int | None = None,
    max_objects: int | None = None,
    seed: int = 0,
) -> Iterator[ImageResult]:
    """Let every player play a game on every object, one image at a time; all get the same noisy box of an object.

    Parameters
    ----------
    players
        The model, and baselines.
    dataset
        Images and instance labels.
    game
        Called with a player whose image is set, the (H, W) bool mask of the object and a box around it.
    limit
        Only so many images, spread evenly over the data set.
    max_objects
        At most so many objects an image, drawn at random.
    seed
        Of box noise and of the draw.

    Yields
    ------
    ImageResult
        With one record for each object and player.
    """
    items = choose_items(dataset, limit)
    for number, item in enumerate(items):
        rng = np.random.default_rng([seed, number])
        image, labels = item.read()
        for player in players:
            player.set_image(image)
        scores: list[Score] = []
        painted = np.zeros(labels.shape, np.int32)
        for label in _choose_objects(labels, max_objects, rng):
            truth = labels == label
            box = noisy_box(mask_to_box(truth), rng, truth.shape)
            about = {"label": int(label), "area": int(np.count_nonzero(truth))}
            for place, player in enumerate(players):
                values, predicted, mask = game(player, truth, box)
                if place == 0:
                    painted[mask] = label
                scores.append(
                    Score(
                        image=item.name,
                        group=item.group,
                        origin=item.origin,
                        method=player.name,
                        about=about,
                        values=values,
                        predicted=predicted,
                    )
                )
        yield ImageResult(done=number + 1, total=len(items), item=item, scores=scores, labels=painted)


def _choose_objects(labels: npt.NDArray[np.int32], most: int | None, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Return the labels above 0 of an image, or `most` of them drawn at random, rising."""
    ids = np.unique(labels)
    ids = ids[ids > 0]
    if most is not None and len(ids) > most:
        ids = np.sort(rng.choice(ids, most, replace=False))
    return ids

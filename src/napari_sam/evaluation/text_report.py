"""The text protocol on a data set from beginning to end, and its report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.data.caption_crops import training_images
from napari_sam.data.caption_objects import ObjectSet
from napari_sam.errors import InputError
from napari_sam.evaluation.report import summarise
from napari_sam.evaluation.report_files import records_csv
from napari_sam.evaluation.scores import Score
from napari_sam.evaluation.tables import rich_tables
from napari_sam.evaluation.text_players import ClickPlayer, PromptPlayer, RankPlayer, TextPlayer
from napari_sam.evaluation.text_protocol import (
    evaluate_retrieval,
    evaluate_text_masks,
    image_objects,
    scene_objects,
)
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.predictor import Predictor
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.io.atomic_file import write_whole

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["check_text_reports", "report_text", "run_text"]

PARTS = {"retrieval": "Objects ranked by a word", "masks": "Masks by a text"}


def check_text_reports(paths: Sequence[Path]) -> None:
    """Check that reports are of a kind that can show rankings.

    Raises
    ------
    InputError
        If one is a page with pictures.
    """
    for path in paths:
        if path.suffix.lower() == ".html":
            raise InputError(f"Cannot write {path}: reports on texts have no pictures, use .json or .csv.")


def run_text(
    ranker: TextRanker,
    generator: AutomaticMaskGenerator | None,
    datasets: Sequence[str],
    *,
    scenes: int = 0,
    hold_out: int = 0,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], list[Score]]:
    """Evaluate a CLIP on data sets, taken together.

    Parameters
    ----------
    generator
        Finds the masks that are ranked; None leaves masks out. If its model has a text head for this CLIP, texts are
        also tried as prompts, alone and with one point.
    datasets
        Sources of labelled images, see `data.sources`.
    scenes
        Synthetic scenes beside the images.
    hold_out
        Take only what training with this setting leaves out, see `TextTrainingConfig`; 0 takes all.
    limit
        Only so many images, spread evenly.

    Returns
    -------
    summary
        "retrieval" and "masks": see `summarise`; the groups are facets, and `queries` stands in the place of `objects`.
    scores
        All records.

    Raises
    ------
    InputError
        If the data cannot be read or nothing in it can be ranked.
    """
    names = ", ".join(datasets)
    images = training_images(datasets, hold_out, held=bool(hold_out))
    if not images and not scenes:
        raise InputError(f"None of the images of {names} is held out by {hold_out}: give a smaller number, or 0.")

    def sets() -> Iterator[tuple[str, ObjectSet]]:
        return chain(image_objects(images, limit=limit, seed=seed), scene_objects(scenes, seed=seed))

    ranked = list(evaluate_retrieval(ranker, sets()))
    if not ranked:
        raise InputError(f"The objects of {names} are all alike or too few: give images with objects that differ.")
    summary: dict[str, Any] = {"retrieval": _count_queries(summarise(ranked))}
    drawn: list[Score] = []
    if generator is not None:
        drawn = list(evaluate_text_masks(_players(generator, ranker), sets()))
        if drawn:
            summary["masks"] = _count_queries(summarise(drawn))
    return summary, [*ranked, *drawn]


def _players(generator: AutomaticMaskGenerator, ranker: TextRanker) -> list[TextPlayer]:
    """Return who can play: by rank, and where the model has a text head, by prompt."""
    ranking = RankPlayer(generator, ranker)
    players: list[TextPlayer] = [ranking]
    head = generator.model.text_head
    if head is not None and head.clip_fingerprint == ranker.clip.fingerprint:
        prompting = PromptPlayer(ranking)
        predictor = Predictor(generator.model, cache=generator.cache, clip=ranker.clip)
        players += [prompting, ClickPlayer(prompting, predictor)]
    return players


def report_text(paths: Sequence[Path], summary: dict[str, Any], scores: Sequence[Score]) -> list[Table]:
    """Write reports (.json, .csv), and return the tables for the terminal.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    for path in paths:
        text = records_csv(scores) if path.suffix.lower() == ".csv" else json.dumps(summary, indent=1) + "\n"
        write_whole(path, text.encode())
    tables = []
    for part, title in PARTS.items():
        for table in rich_tables(summary[part]) if part in summary else ():
            table.title = title
            tables.append(table)
    return tables


def _count_queries(summary: dict[str, Any]) -> dict[str, Any]:
    """Call the number of records what it is: each is one text asked of one image, or of all."""
    for found in (summary, *summary.get("baselines", {}).values()):
        for part in (found["all"], *found["groups"].values()):
            part["queries"] = part.pop("objects")
    return summary

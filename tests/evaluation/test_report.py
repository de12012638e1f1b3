"""Summaries: means over objects, groups, images and methods."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.evaluation.report import image_means, summarise
from napari_sam.evaluation.scores import Score


def score(image: str, group: str, value: float, method: str = "model", predicted: float | None = None) -> Score:
    return Score(
        image=image, group=group, method=method, about={"label": 1, "area": 9},
        values={"one_click": value, "box": value / 2}, predicted=predicted,
    )  # fmt: skip


def test_means_over_objects_groups_and_images():
    scores = [score("x", "a", 0.2, predicted=0.1), score("x", "a", 0.4, predicted=0.3)]
    scores += [score("y", "b", 0.9, predicted=0.4)]
    summary = summarise(scores)
    assert (summary["all"]["images"], summary["all"]["objects"]) == (2, 3)
    assert summary["all"]["one_click"] == pytest.approx(0.5)
    assert summary["all"]["box"] == pytest.approx(0.25)
    assert summary["all"]["by_image"]["one_click"] == pytest.approx(0.6)
    assert summary["groups"]["a"]["box"] == pytest.approx(0.15)
    assert summary["score_correlation"] == summary["all"]["score_correlation"] == pytest.approx(1.0)
    assert summary["groups"]["a"]["score_correlation"] is None  # two objects tell nothing
    low, high = summary["all"]["intervals"]["one_click"]
    assert (low, high) == (0.3, 0.9)  # only the one image, only the other
    assert summary["groups"]["b"]["intervals"]["one_click"] is None
    assert "baselines" not in summary
    assert json.loads(json.dumps(summary)) == summary


def test_a_score_that_is_wrong_way_round_correlates_negatively():
    scores = [score(str(i), "", i / 10, predicted=1 - i / 10) for i in range(5)]
    assert summarise(scores)["score_correlation"] == -1
    assert summarise(scores)["groups"] == {}
    same = [score(str(i), "", i / 10, predicted=0.7) for i in range(5)]
    assert summarise(same)["score_correlation"] is None


def test_baselines_stand_beside_the_model():
    scores = [score("x", "a", 0.8), score("x", "a", 0.3, "otsu"), score("y", "", 0.6), score("y", "", 0.5, "otsu")]
    summary = summarise(scores)
    assert summary["all"]["one_click"] == 0.7
    assert summary["baselines"]["otsu"]["all"]["one_click"] == 0.4
    assert summary["baselines"]["otsu"]["groups"]["a"]["one_click"] == 0.3
    assert "score_correlation" not in summary["all"]


def test_objects_of_whole_images_are_counted():
    scores = [
        Score(image=image, group="", about={"objects": objects, "found": 1}, values={"msa": value})
        for image, objects, value in (("x", 10, 0.2), ("y", 1, 0.4), ("z", 4, 0.9))
    ]
    summary = summarise(scores)
    assert (summary["all"]["objects"], summary["all"]["found"], summary["all"]["images"]) == (15, 3, 3)
    assert summary["all"]["msa"] == 0.5
    assert "by_image" not in summary["all"]


def test_images_are_ranked_by_their_means():
    scores = [score("x", "", 0.9), score("x", "", 0.1), score("y", "", 0.4), score("y", "", 1, "otsu")]
    assert image_means(scores, "one_click") == [("y", 0.4), ("x", 0.5)]


def test_planes_of_a_stack_are_one_unit_of_the_intervals():
    rng = np.random.default_rng(0)
    means = (0.45, 0.55, 0.65, 0.75)

    def scores(origin: bool) -> list[Score]:
        return [
            Score(image=f"v{k}-{z}", group="g" if k < 2 else "one" if k == 2 else "", origin=f"v{k}" if origin else "",
                  about={"objects": 1, "found": 1}, values={"msa": mean + rng.normal(0, 0.01)})
            for k, mean in enumerate(means) for z in range(60)
        ]  # fmt: skip

    summary, apart = summarise(scores(True)), summarise(scores(False))
    assert (summary["all"]["images"], summary["all"]["units"]) == (240, 4)
    assert "units" not in apart["all"]
    # drawing 4 of 4 values is what theory says of it
    draws = np.mean(rng.choice(means, (4000, 4)), axis=1)
    low, high = summary["all"]["intervals"]["msa"]
    assert (low, high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.02)
    assert high - low > 4 * np.ptp(apart["all"]["intervals"]["msa"])
    assert np.ptp(summary["groups"]["g"]["intervals"]["msa"]) == pytest.approx(0.1, abs=0.01)  # either stack alone
    assert summary["groups"]["one"]["intervals"]["msa"] is None  # one stack tells nothing of others

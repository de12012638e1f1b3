"""The point protocol with players whose answers are known."""

from __future__ import annotations

import numpy as np

from napari_sam.evaluation.point_protocol import clicks_needed, evaluate_points, play_points
from napari_sam.io.dataset import read_dataset


class Eroded:
    """Finds one row more of a square with every click, and never more than it shows."""

    name = "model"

    def __init__(self, truth: np.ndarray, rows: tuple[int, ...]) -> None:
        self.truth, self.rows = truth, rows

    def first(self, click):
        return [self.correct([click])], None

    def correct(self, clicks):
        mask = self.truth.copy()
        mask[10 + self.rows[len(clicks) - 1] :] = False
        return mask

    def boxed(self, box):
        return np.zeros_like(self.truth), None


def test_every_measure_is_what_it_says(known, perfect):
    folder, truth = known
    player = perfect(truth)
    results = list(evaluate_points([player], read_dataset(folder)))
    assert [(result.done, result.total) for result in results] == [(1, 3), (2, 3), (3, 3)]
    scores = [score for result in results for score in result.scores]
    assert [score.about["label"] for score in scores] == [1, 2] * 3
    assert [score.group for score in scores] == ["a"] * 4 + ["b"] * 2
    assert scores[0].about["area"] == 14 * 14
    for score in scores:
        assert 0.3 < score.values["one_click"] < 0.6  # the preferred mask is half of the object
        assert score.values["best_of_three"] == score.values["box"] == score.values["three_clicks"] == 1
        assert score.values["noc85"] == score.values["noc90"] == 2
        assert score.values["boundary_f"] < score.values["final_boundary_f"] == 1
        assert [score.values[f"round_{n}"] for n in range(1, 9)] == [score.values["one_click"]] + [1] * 7
        assert score.predicted == 0.5
    shown = results[0].labels
    assert set(np.unique(shown)) == {0, 1, 2}
    assert (truth[1][shown > 0] == shown[shown > 0]).all()
    # after the first mask, the upper half, the correction is in the middle of the lower half
    first, second = player.clicks[0]
    assert first == ((10.0, 11.0), 1)
    assert second[1] == 1
    assert second[0][0] > 10


def test_clicks_go_on_to_the_last_round_and_are_counted():
    truth = np.zeros((40, 40), bool)
    truth[10:30, 10:30] = True
    values = play_points(Eroded(truth, (5, 10, 16, 17, 18)), truth, (10, 10, 30, 30), 5).values
    assert [values[f"round_{n}"] for n in range(1, 6)] == [0.25, 0.5, 0.8, 0.85, 0.9]
    assert (values["one_click"], values["three_clicks"]) == (0.25, 0.8)
    assert (values["noc85"], values["noc90"]) == (4, 5)
    assert values["box"] == 0
    few = play_points(Eroded(truth, (5, 10)), truth, (10, 10, 30, 30), 2).values
    assert "three_clicks" not in few
    assert few["noc90"] == 2  # never reached: all there were


def test_clicks_needed():
    assert clicks_needed([0.2, 0.9, 0.7], 0.9) == 2
    assert clicks_needed([0.2, 0.3], 0.9) == 2
    assert clicks_needed([0.95], 0.9) == 1


def test_limits_choose_images_and_objects(known, perfect):
    folder, truth = known
    results = list(evaluate_points([perfect(truth)], read_dataset(folder), limit=2, max_objects=1, rounds=1))
    assert [[score.image for score in result.scores] for result in results] == [["1"], ["3"]]
    assert "round_2" not in results[0].scores[0].values


def test_players_get_the_same_boxes_and_the_first_is_shown(known, perfect):
    folder, truth = known
    one, other = perfect(truth), perfect({n: np.ones_like(labels) for n, labels in truth.items()}, "otsu")
    results = list(evaluate_points([one, other], read_dataset(folder), seed=3))
    assert one.boxes == other.boxes
    assert [score.method for score in results[0].scores] == ["model", "otsu"] * 2
    assert (results[0].labels > 0).mean() < 0.5
    again = perfect(truth)
    list(evaluate_points([again], read_dataset(folder), seed=3))
    assert again.boxes == one.boxes
    list(evaluate_points([again], read_dataset(folder), seed=4))
    assert again.boxes[6:] != one.boxes

"""The point protocol on data whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.errors import InputError
from napari_sam.evaluation.metrics import mask_iou
from napari_sam.evaluation.protocol import ObjectScore, evaluate_points
from napari_sam.evaluation.report import summarise
from napari_sam.io.dataset import read_dataset
from napari_sam.types import Prediction, Window


class Oracle:
    """Answers every prompt with the object under it, but spoils the mask of a single click."""

    def __init__(self, labels: dict[int, np.ndarray]) -> None:
        self.labels = labels
        self.calls: list[tuple[int, bool]] = []

    def set_image(self, image: np.ndarray) -> None:
        self.truth = self.labels[int(image[0, 0])]

    def predict_prompts(self, prompts, multimask=None, *, mask_window=None) -> Prediction:
        self.calls.append((len(prompts.points), bool(multimask)))
        if prompts.box is not None:
            row, col = (prompts.box[0] + prompts.box[2]) / 2, (prompts.box[1] + prompts.box[3]) / 2
        else:
            row, col = prompts.points[0]
        mask = self.truth == self.truth[int(row), int(col)]
        masks = [mask]
        if multimask:
            half = mask & (np.arange(len(mask)) < row)[:, None]
            masks = [half, mask, np.zeros_like(mask)]
        h, w = mask.shape
        return Prediction(
            logits=np.zeros((len(masks), 8, 8), np.float32),
            scores=np.linspace(0.9, 0.1, len(masks)).astype(np.float32),
            patches=np.stack(masks),
            window=Window(row=0, col=0, height=h, width=w, input_height=h, input_width=w),
            image_shape=(h, w),
        )


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[Path, dict[int, np.ndarray]]:
    truth = {}
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for number in (1, 2, 3):
        labels = np.zeros((40, 50), np.uint16)
        labels[4:18, 5:19] = 1
        labels[22:36, 20 : 30 + number] = 2
        truth[number] = labels
        Image.fromarray(np.full((40, 50), number, np.uint8)).save(tmp_path / "set" / "images" / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / "set" / "labels" / f"{number}.png")
    (tmp_path / "index.csv").write_text("id,group\n1,a\n2,a\n3,b\n")
    return tmp_path / "set", truth


def test_every_measure_is_what_it_says(dataset):
    folder, truth = dataset
    oracle = Oracle(truth)
    events = list(evaluate_points(oracle, read_dataset(folder)))  # type: ignore[arg-type]
    assert [(done, total) for done, total, _ in events] == [(1, 3), (2, 3), (3, 3)]
    scores = [score for _, _, found in events for score in found]
    assert len(scores) == 6
    for score in scores:
        assert 0.3 < score.one_click < 0.6  # the spoilt mask has the highest score
        assert score.best_of_three == 1
        assert score.box == 1
        assert score.three_clicks == 1
    assert {score.group for score in scores} == {"a", "b"}
    assert (1, True) in oracle.calls
    assert (0, False) in oracle.calls
    assert (2, False) in oracle.calls


def test_limits_choose_images_and_objects(dataset):
    folder, truth = dataset
    events = list(evaluate_points(Oracle(truth), read_dataset(folder), limit=2, max_objects=1))  # type: ignore[arg-type]
    assert [[score.image for score in found] for _, _, found in events] == [["1"], ["3"]]


def test_summary_means_over_objects_groups_and_images():
    def score(image, group, value):
        return ObjectScore(
            image=image, group=group, label=1, area=9, one_click=value, best_of_three=value, three_clicks=value,
            box=value, predicted=value,
        )  # fmt: skip

    summary = summarise([score("x", "a", 0.2), score("x", "a", 0.4), score("y", "b", 0.9)])
    assert summary["all"]["objects"] == 3
    assert summary["all"]["one_click"] == pytest.approx(0.5)
    assert summary["all"]["by_image"]["one_click"] == pytest.approx(0.6)
    assert summary["groups"]["a"]["box"] == pytest.approx(0.3)
    assert summary["score_correlation"] == pytest.approx(1.0)


def test_iou_of_masks():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_iou(a, b) == 1
    a[0], b[:, 0] = True, True
    assert mask_iou(a, b) == pytest.approx(1 / 7)


def test_data_sets_that_do_not_fit_are_named(dataset):
    folder, _ = dataset
    Image.fromarray(np.zeros((3, 3), np.uint16)).save(folder / "labels" / "2.png")
    with pytest.raises(InputError, match=r"2\.png"):
        read_dataset(folder).items[1].read()
    (folder / "labels" / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png"):
        read_dataset(folder)
    with pytest.raises(InputError, match="images"):
        read_dataset(folder / "nowhere")

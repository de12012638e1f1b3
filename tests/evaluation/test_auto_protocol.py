"""The automatic protocol with a generator whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.config.auto import AutoSettings
from napari_sam.evaluation.auto_protocol import AutoScore, auto_table, evaluate_auto, summarise_auto
from napari_sam.io.dataset import read_dataset
from napari_sam.ops.mask_record import MaskRecord


class Finds:
    """Finds the bright squares of an image exactly, and calls the whole image an object too."""

    def generate(self, image: np.ndarray) -> list[MaskRecord]:
        shape = image.shape[:2]
        masks = [image == value for value in np.unique(image[image > 0])] + [np.ones(shape, bool)]
        return [MaskRecord.from_patch(mask, image_shape=shape) for mask in masks]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of two squares; of the last the truth knows a third, which the picture does not show."""
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for number in (1, 2, 3):
        labels = np.zeros((40, 50), np.uint16)
        labels[4:18, 5:19], labels[22:36, 20:30] = 1, 2
        Image.fromarray((labels * 100).astype(np.uint8)).save(tmp_path / "set" / "images" / f"{number}.png")
        if number == 3:
            labels[2:6, 40:44] = 3
        Image.fromarray(labels).save(tmp_path / "set" / "labels" / f"{number}.png")
    (tmp_path / "index.csv").write_text("id,group\n1,a\n2,a\n3,b\n")
    return tmp_path / "set"


def test_every_image_is_scored(folder):
    settings = AutoSettings(remove_background=True)
    events = list(evaluate_auto(Finds(), read_dataset(folder), settings=settings))
    assert [(done, total) for done, total, _ in events] == [(1, 3), (2, 3), (3, 3)]
    first, _, last = (score for _, _, score in events)
    assert (first.objects, first.found, first.msa, first.mean_iou) == (2, 2, 1, 1)
    assert (last.objects, last.found, last.precision) == (3, 2, 1)
    for measure in ("msa", "ap50", "ap75", "recall", "mean_iou"):
        assert getattr(last, measure) == pytest.approx(2 / 3), measure
    assert last.seconds > 0


def test_settings_of_labels_are_used(folder):
    scores = [score for _, _, score in evaluate_auto(Finds(), read_dataset(folder))]
    assert [score.found for score in scores] == [3, 3, 3]  # the background stayed
    bright = AutoSettings(remove_background=True, conditions=("intensity_mean>150",))
    assert [score.found for _, _, score in evaluate_auto(Finds(), read_dataset(folder), settings=bright)] == [1, 1, 1]


def test_a_limit_spreads_over_the_data_set(folder):
    events = evaluate_auto(Finds(), read_dataset(folder), limit=2)
    assert [(total, score.image) for _, total, score in events] == [(2, "1"), (2, "3")]


def test_the_summary_averages_over_images_by_group():
    def score(image: str, group: str, value: float, objects: int) -> AutoScore:
        return AutoScore(
            image=image, group=group, objects=objects, found=1, msa=value, ap50=value, ap75=value, mean_iou=value,
            precision=value, recall=value, seconds=2,
        )  # fmt: skip

    summary = summarise_auto([score("x", "a", 0.2, 10), score("y", "a", 0.4, 1), score("z", "b", 0.9, 4)])
    assert summary["all"]["images"] == 3
    assert summary["all"]["objects"] == 15
    assert summary["all"]["msa"] == 0.5
    assert summary["groups"]["a"]["ap75"] == 0.3
    assert summary["groups"]["b"]["seconds"] == 2
    assert auto_table(summary).row_count == 3
    assert summarise_auto([score("x", "", 0.2, 10)])["groups"] == {}

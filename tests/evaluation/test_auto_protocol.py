"""The automatic protocol with a generator whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_sam.config.auto import AutoSettings
from napari_sam.evaluation.auto_protocol import ModelSegmenter, evaluate_auto, judge_labels
from napari_sam.evaluation.baselines import BaselineSegmenter
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
    model = ModelSegmenter(Finds(), AutoSettings(remove_background=True))
    results = list(evaluate_auto([model], read_dataset(folder)))
    assert [(result.done, result.total) for result in results] == [(1, 3), (2, 3), (3, 3)]
    first, _, last = (result.scores[0] for result in results)
    assert first.about == {"objects": 2, "found": 2}
    assert {first.values[name] for name in ("msa", "mean_iou", "boundary_f", "precision")} == {1}
    assert last.about == {"objects": 3, "found": 2}
    assert last.values["precision"] == 1
    for measure in ("msa", "ap50", "ap75", "recall", "mean_iou"):
        assert last.values[measure] == pytest.approx(2 / 3), measure
    assert 0.8 < last.values["boundary_f"] < 1
    assert last.values["seconds"] > 0
    assert (first.group, last.group) == ("a", "b")
    assert np.unique(results[2].labels).tolist() == [0, 1, 2]


def test_settings_of_labels_are_used(folder):
    def found(settings: AutoSettings | None) -> list[int]:
        results = evaluate_auto([ModelSegmenter(Finds(), settings)], read_dataset(folder))
        return [result.scores[0].about["found"] for result in results]

    assert found(None) == [3, 3, 3]  # the background stayed
    assert found(AutoSettings(remove_background=True, conditions=("intensity_mean>150",))) == [1, 1, 1]


def test_baselines_are_scored_beside_the_model(folder):
    segmenters = [ModelSegmenter(Finds()), BaselineSegmenter("otsu")]
    result = next(iter(evaluate_auto(segmenters, read_dataset(folder))))
    assert [score.method for score in result.scores] == ["model", "otsu"]
    assert result.scores[1].about["found"] == 2
    assert result.labels.max() == 3  # those of the model


def test_a_limit_spreads_over_the_data_set(folder):
    results = evaluate_auto([ModelSegmenter(Finds())], read_dataset(folder), limit=2)
    assert [(result.total, result.item.name) for result in results] == [(2, "1"), (2, "3")]


def test_labels_are_judged_whatever_their_numbers():
    truth = np.zeros((20, 20), np.int32)
    truth[2:8, 2:8], truth[12:18, 12:18] = 4, 9
    about, values = judge_labels(np.where(truth == 4, 70, 0), truth)
    assert about == {"objects": 2, "found": 1}
    assert (values["precision"], values["recall"], values["ap50"]) == (1, 0.5, 0.5)

"""Players by prompt choose masks by the model's own answer, and a click adds what is missing."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import torch

from clip_helpers import discs
from napari_sam.config.auto import AutoSettings
from napari_sam.data.caption_objects import describe_labels
from napari_sam.data.sample import Sample
from napari_sam.evaluation.text_players import ClickPlayer
from napari_sam.evaluation.text_protocol import evaluate_text_masks
from napari_sam.evaluation.text_report import _players
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.model.clip import build_clip
from napari_sam.model.sam import Sam

AUTO = AutoSettings(points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0)


def test_a_model_with_a_text_head_is_asked_three_ways(tiny_cell_model: Sam) -> None:
    clip, model = build_clip(), copy.deepcopy(tiny_cell_model)
    ranker = TextRanker(clip)
    assert [player.name for player in _players(AutomaticMaskGenerator(model, AUTO), ranker)] == ["model"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_text_head(clip.width).belong_to(clip.fingerprint)
    players = _players(AutomaticMaskGenerator(model, AUTO), ranker)
    image, labels = discs((64, 64))
    found = describe_labels(Sample(image=image, labels=labels), np.random.default_rng(0), kind="nucleus", extras=False)
    scores = list(evaluate_text_masks(players, [("a", found)], attributes=False))
    assert [score.method for score in scores] == ["model", "prompt", "prompt, one point"]
    assert all(0 <= score.values["iou"] <= 1 for score in scores)


def test_a_click_goes_into_the_middle_of_the_largest_part_that_is_missing() -> None:
    labels = discs()[1]
    clicks = []

    class Predictor:
        def set_image(self, image: np.ndarray, normalization: str) -> None:
            pass

        def predict(self, points: list[tuple[int, int]], text: str, multimask: bool) -> SimpleNamespace:
            clicks.append((points, text, multimask))
            return SimpleNamespace(masks=(labels == labels[points[0]])[None])

    class Player:
        def select(self, text: str, meant: np.ndarray) -> np.ndarray:
            return labels == 1

    player = ClickPlayer(Player(), Predictor())
    selected = player.select("discs", labels > 0)
    assert clicks == [([(85, 40)], "discs", False)]  # of the green one, the largest
    np.testing.assert_array_equal(selected, np.isin(labels, (1, 3)))
    np.testing.assert_array_equal(player.select("discs", labels == 1), labels == 1)
    assert len(clicks) == 1

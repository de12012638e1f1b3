"""What the worker of SAM Text does: one search for many texts, whichever way they choose masks."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_sam.config.auto import AutoSettings
from napari_sam.config.text import TextSettings
from napari_sam.errors import OperationCancelled
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.model.clip import Clip, build_clip
from napari_sam.model.sam import Sam
from napari_sam.pipeline.text_segment import TextResult, text_segment
from napari_sam.widgets.auto_engine import AutoTask, Part
from napari_sam.widgets.plane import Plane
from napari_sam.widgets.text_engine import Ranked, TextEngine, TextTask
from napari_sam.widgets.work_step import WorkStep

SEARCH = AutoSettings(points_per_side=3, pred_iou_thresh=0.0, stability_score_thresh=0.0)
ASKING = "Asking the model"


@pytest.fixture(scope="module")
def clip() -> Clip:
    """A CLIP of the bundled architecture with random weights."""
    return build_clip(seed=0)


@pytest.fixture
def model(tiny_cell_model: Sam, clip: Clip) -> Sam:
    """A model with a text head, which counts its encodings in `encoded`."""
    own = copy.deepcopy(tiny_cell_model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own.add_text_head(clip.width).belong_to(clip.fingerprint)
    own.encoded = Mock(return_value=None)  # a hook that changes nothing
    own.image_encoder.register_forward_hook(lambda *_: own.encoded())
    return own


@pytest.fixture
def picture() -> npt.NDArray[np.uint8]:
    """An image of several windows."""
    return np.random.default_rng(0).integers(0, 255, (90, 70), np.uint8)


def task_of(model: Sam, clip: Clip, image: Any, region: Any = None, **changes: Any) -> TextTask:
    part = Part(Plane((0, 1), (0, 0), image.shape), region, lambda: image)
    search = AutoTask(1, model, SEARCH, "auto", (part,))
    task = TextTask(search, clip, TextSettings(threshold=0.0, exclusive=False), ("round nuclei", "debris"))
    return replace(task, **changes)


def answer(engine: TextEngine, task: TextTask, told: list[Any] | None = None) -> TextResult:
    items: list[Any] = [] if told is None else told
    engine.run(task, items.append)
    assert isinstance(items[-1], Ranked)
    return items[-1].result


@pytest.mark.parametrize("region", [None, (10, 5, 80, 60)])
def test_prompting_answers_as_the_pipeline_does(model: Sam, clip: Clip, picture: Any, region: Any) -> None:
    settings = TextSettings(threshold=0.4)
    result = answer(TextEngine(), task_of(model, clip, picture, region, route="prompt", settings=settings))
    truth = text_segment(
        AutomaticMaskGenerator(model, SEARCH),
        TextRanker(clip, settings),
        picture,
        ["round nuclei", "debris"],
        region=region,
        route="prompt",
    )
    assert any(labels.any() for labels in truth.labels)
    np.testing.assert_array_equal(result.labels, truth.labels)
    np.testing.assert_array_equal(result.scores, truth.scores)


def test_another_route_neither_searches_nor_encodes(model: Sam, clip: Clip, picture: Any) -> None:
    engine, told = TextEngine(), []
    ranked = answer(engine, task_of(model, clip, picture))
    encoded = model.encoded.call_count
    assert encoded
    prompted = answer(engine, task_of(model, clip, picture, route="prompt", fresh=False), told)
    assert prompted.candidates == ranked.candidates
    assert not np.allclose(prompted.scores, ranked.scores)
    steps = [step for step in told if isinstance(step, WorkStep)]
    assert {step.text for step in steps} == {ASKING}
    assert steps[-1].done == steps[-1].total > 1
    np.testing.assert_array_equal(answer(engine, task_of(model, clip, picture)).scores, ranked.scores)
    assert model.encoded.call_count == encoded
    engine._finder._cache.clear()  # as when it had to make room
    again = task_of(model, clip, picture, texts=("other nuclei", "debris"), route="prompt", fresh=False)
    np.testing.assert_array_equal(answer(engine, again).scores[:, 1], prompted.scores[:, 1])
    assert model.encoded.call_count > encoded


def test_the_model_is_asked_a_text_once(model: Sam, clip: Clip, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_sam.pipeline import text_segment as pipeline

    asked = Mock(side_effect=pipeline.named_maps)
    monkeypatch.setattr(pipeline, "named_maps", asked)
    engine, told = TextEngine(), []
    task = task_of(model, clip, picture, route="prompt")
    first = answer(engine, task)
    largest = sorted(record.area for record in first.candidates)[-1]
    line = float(np.median(first.scores))
    fewer = answer(engine, replace(task, settings=task.settings.changed(threshold=line)), told)
    assert len(fewer.label_scores[0]) < len(first.label_scores[0])
    assert len(told) == asked.call_count == 1  # no step is told, as nothing was asked
    new = answer(engine, replace(task, texts=("debris", "debris", "axons")))
    np.testing.assert_array_equal(new.scores[:, :2], first.scores[:, [1, 1]])
    assert [list(call.args[3]) for call in asked.call_args_list] == [["round nuclei", "debris"], ["axons"]]
    large = answer(engine, replace(task, settings=task.settings.changed(min_area=largest)))
    assert len(large.candidates) == len(large.scores) < len(first.candidates)


def test_a_cancelled_answer_keeps_the_search(model: Sam, clip: Clip, picture: Any) -> None:
    engine = TextEngine()

    def stop(item: Any) -> None:
        if isinstance(item, WorkStep) and item.text == ASKING and item.done == 1:
            raise OperationCancelled

    task = task_of(model, clip, picture, route="prompt")
    with pytest.raises(OperationCancelled):
        engine.run(task, stop)
    encoded = model.encoded.call_count
    told: list[Any] = []
    assert len(answer(engine, task, told).scores)
    assert {step.text for step in told[:-1]} == {ASKING}
    assert model.encoded.call_count == encoded

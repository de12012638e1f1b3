"""From texts to labels, on an image with known answers."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch

import napari_sam as ns
from clip_helpers import ColourClip, discs
from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.text_ranking import TextRanker
from napari_sam.ops.label_records import labels_to_records
from napari_sam.ops.mask_record import MaskRecord
from napari_sam.pipeline.text_segment import TextResult, label_texts, text_segment


def ranked(texts: list[str], **changes: object) -> tuple[TextResult, np.ndarray]:
    image, labels = discs()
    ranker = TextRanker(ColourClip(), **changes)
    return label_texts(ranker, labels_to_records(labels), image, texts), labels


def test_each_text_gets_the_objects_it_names():
    result, labels = ranked(["blue", "red discs", "yellow"])
    for found, numbers in zip(result.labels, ([4], [1, 2], []), strict=True):
        np.testing.assert_array_equal(found > 0, np.isin(labels, numbers))
        assert found.dtype == np.int32
        assert found.max() == len(numbers)
    assert [len(records) for records in result.records] == [1, 2, 0]
    assert all((np.diff(scores) <= 0).all() for scores in result.label_scores)
    assert result.scores.shape == (4, 3)


def test_one_label_image_of_all_texts_says_what_is_what():
    result, labels = ranked(["blue", "red discs"])
    combined, columns = result.combined()
    assert columns["label"].tolist() == [1, 2, 3]
    assert columns["text"].tolist() == ["blue", "red discs", "red discs"]
    assert (columns["score"] > 0.5).all()
    np.testing.assert_array_equal(combined == 1, labels == 4)
    np.testing.assert_array_equal(combined > 1, (labels == 1) | (labels == 2))


def test_shared_pixels_go_to_the_earlier_text_and_numbers_stay_dense():
    image, labels = discs()
    inner = labels == 2
    outer = np.zeros_like(inner)
    outer[15:46, 85:116] = True
    image[outer & ~inner] = (0, 200, 0)
    records = [MaskRecord.from_patch(mask, image_shape=labels.shape) for mask in (outer, inner)]
    ranker = TextRanker(ColourClip(), views=("zero",))
    result = label_texts(ranker, records, image, ["green", "red"])
    assert [found.max() for found in result.labels] == [1, 1]
    combined, columns = result.combined()
    assert columns["text"].tolist() == ["green"]  # it covers the red one whole
    assert combined.max() == 1
    combined, columns = label_texts(ranker, records, image, ["red", "green"]).combined()
    assert columns["text"].tolist() == ["red", "green"]
    np.testing.assert_array_equal(combined == 1, inner)


def test_of_masks_that_overlap_the_one_that_fits_the_text_better_is_taken():
    image, labels = discs()
    loose = np.zeros(labels.shape, bool)
    loose[10:51, 10:51] = True
    good = MaskRecord.from_patch(labels == 1, image_shape=labels.shape, predicted_iou=0.3)
    bad = MaskRecord.from_patch(loose, image_shape=labels.shape, predicted_iou=0.9)
    image[(labels == 0) & loose] = (40, 60, 0)
    ranker = TextRanker(ColourClip(), views=("zero",), threshold=0.2)
    result = label_texts(ranker, [bad, good], image, ["red"], auto=AutoSettings(overlap="whole"))
    assert result.scores[0, 0] > 0.2
    np.testing.assert_array_equal(result.labels[0] > 0, labels == 1)
    assert result.records[0][0].predicted_iou == 0.3
    assert result.label_scores[0][0] == result.scores[1, 0]


def test_small_masks_are_left_out():
    result, _ = ranked(["red"], min_area=200)
    assert len(result.candidates) == 3
    assert result.labels[0].max() == 1


@pytest.fixture(scope="module")
def bundled() -> ns.AutomaticMaskGenerator:
    return AutomaticMaskGenerator(ns.load_model("cells", device="cpu"), points_per_side=8)


def test_an_image_is_searched_and_its_masks_ranked(bundled):
    image, labels = discs()
    told: list[tuple[int, int]] = []
    ranker = TextRanker(ColourClip())
    progress = lambda done, total: told.append((done, total))  # noqa: E731
    result = text_segment(bundled, ranker, image, ["green", "blue"], progress=progress)
    for found, number in zip(result.labels, (3, 4), strict=True):
        truth = labels == number
        assert ((found > 0) & truth).sum() / ((found > 0) | truth).sum() > 0.7
    assert told[-1][0] == told[-1][1]
    again = label_texts(ranker, result.candidates, image, ["red"])
    assert again.labels[0].max() == 2
    assert sum(ranker.clip.image_batches) == 2 * len(result.candidates)  # two views, once


def test_the_prompt_of_a_model_with_a_text_head_chooses_among_the_same_masks(bundled, monkeypatch):
    image, labels = discs()
    model = copy.deepcopy(bundled.model)
    model.text_head = model.text_decoder = None
    generator = AutomaticMaskGenerator(model, bundled.settings)
    ranker = TextRanker(ColourClip(vocabulary=["green", "red"]))
    with pytest.raises(InputError, match="no text head"):
        text_segment(generator, ranker, image, ["green"], route="prompt")
    with pytest.raises(InputError, match="Unknown route 'guess'"):
        text_segment(generator, ranker, image, ["green"], route="guess")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_text_head(ranker.clip.width).belong_to(ranker.clip.fingerprint)
    told: list[tuple[int, int]] = []
    progress = lambda done, total: told.append((done, total))  # noqa: E731
    seen = text_segment(generator, ranker, image, ["green", "a zebra"], route="prompt", progress=progress)
    start = len(told) - 1 - told[-1][1]
    assert told[start:] == [(done, told[-1][1]) for done in range(told[-1][1] + 1)]  # of windows, after the search
    assert seen.scores.shape == (len(seen.candidates), 2)
    assert ((seen.scores >= 0) & (seen.scores <= 1)).all()
    assert (seen.scores[:, 1] == 0).all()  # no word of it is known
    # where the model answers is what counts
    maps = np.stack([labels == 3, labels == 4]).astype(np.float32)
    monkeypatch.setattr("napari_sam.pipeline.text_segment.named_maps", lambda *args, **how: maps)
    found = ns.segment_text(
        image, ["green", "red"], model=model, clip=ranker.clip, auto=bundled.settings, route="prompt"
    )
    for mine, number in zip(found, (3, 4), strict=True):
        truth = labels == number
        assert ((mine > 0) & truth).sum() / ((mine > 0) | truth).sum() > 0.7
    assert not ranker.clip.image_batches  # no crop was looked at


def test_the_public_function(bundled):
    image, labels = discs()
    clip = ColourClip(vocabulary=["red", "green"])
    with pytest.warns(UserWarning, match="never trained on 'zebra'"):
        found = ns.segment_text(
            image, ["the red ones", "a zebra"], model=bundled.model, clip=clip, auto=bundled.settings, threshold=0.6
        )
    assert len(found) == 2
    assert all(array.shape == labels.shape and array.dtype == np.int32 for array in found)
    assert found[0].max() == 2
    assert found[1].max() == 0


def test_a_constant_image_has_nothing_and_warns_of_nothing(tiny_cell_model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ns.segment_text(np.full((40, 50), 7, np.uint16), "red", model=tiny_cell_model, clip=ColourClip())
    assert [array.any() for array in found] == [False]


def test_bad_input_is_refused_before_any_work(tiny_cell_model):
    image = np.zeros((40, 50), np.uint8)
    for texts, changes in (([""], {}), ([], {}), (["red"], {"threshold": 2.0}), (["red"], {"colour": 1})):
        with pytest.raises(InputError):
            ns.segment_text(image, texts, model="no model of this name", clip=ColourClip(), **changes)
    with pytest.raises(InputError, match="shape"):
        ns.segment_text(np.zeros((2, 3, 4, 5)), ["red"], model=tiny_cell_model, clip=ColourClip())
    with pytest.raises(InputError, match="Unknown CLIP"):
        ns.segment_text(image, ["red"], model=tiny_cell_model, clip="no clip of this name")


def test_it_can_be_cancelled(tiny_cell_model):
    def stop(*_: int) -> None:
        raise OperationCancelled

    with pytest.raises(OperationCancelled):
        ns.segment_text(discs()[0], ["red"], model=tiny_cell_model, clip=ColourClip(), progress=stop)

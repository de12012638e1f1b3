"""Classical baselines on pictures where it is plain what they find."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import InputError
from napari_sam.evaluation.baselines import (
    AUTO_BASELINES,
    PROMPT_BASELINES,
    BaselinePlayer,
    BaselineSegmenter,
    check_baselines,
)
from napari_sam.evaluation.matching import match_labels
from napari_sam.evaluation.metrics import mask_iou

ROWS, COLS = np.mgrid[:96, :128]


def disc(row: float, col: float, radius: float) -> np.ndarray:
    return (ROWS - row) ** 2 + (COLS - col) ** 2 < radius**2


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on dark ground with noise: one alone, two that touch; and their labels."""
    labels = np.zeros(ROWS.shape, np.int32)
    labels[disc(24, 24, 12)], labels[disc(64, 60, 14)], labels[disc(64, 86, 14)] = 1, 2, 3
    noise = np.random.default_rng(0).normal(0, 4, labels.shape)
    return (40 + 120 * (labels > 0) + noise).astype(np.uint8), labels


@pytest.mark.parametrize("look", ["bright", "dark", "colour", "16 bit"])
@pytest.mark.parametrize(("name", "found"), [("otsu", 2), ("otsu_watershed", 3)])
def test_objects_are_found_bright_or_dark(scene, name, found, look):
    image, labels = scene
    if look == "dark":
        image = 255 - image
    elif look == "colour":
        image = np.stack([255 - image, 200 - image // 2, 255 - image // 3], axis=-1).astype(np.uint8)
    elif look == "16 bit":
        image = image.astype(np.uint16) * 7 + 1000
    result = BaselineSegmenter(name).segment(image)
    match = match_labels(result, labels)
    assert result.dtype == np.int32
    assert match.n_predicted == found
    assert match.true_positives(0.8) == (3 if found == 3 else 1)


@pytest.mark.parametrize("name", AUTO_BASELINES)
def test_nothing_is_found_in_nothing(name):
    assert not BaselineSegmenter(name).segment(np.full((30, 40), 7, np.uint8)).any()
    assert BaselineSegmenter(name).segment(np.zeros((1, 1))).shape == (1, 1)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("name", PROMPT_BASELINES)
def test_a_click_finds_an_object_that_stands_alone(scene, name, invert):
    image, labels = scene
    player = BaselinePlayer(name)
    player.set_image(255 - image if invert else image)
    (mask,), predicted = player.first(((24.0, 24.0), 1))
    assert predicted is None
    assert mask_iou(mask, labels == 1) > 0.8


def test_only_a_watershed_parts_what_touches(scene):
    image, labels = scene
    ious = {}
    for name in PROMPT_BASELINES:
        player = BaselinePlayer(name)
        player.set_image(image)
        ious[name] = mask_iou(player.first(((64.0, 56.0), 1))[0][0], labels == 2)
    assert ious["otsu_watershed"] > 0.85
    assert max(ious[name] for name in ("otsu", "flood", "slic")) < 0.6


@pytest.mark.parametrize("name", ["otsu", "flood", "slic"])
def test_corrections_put_right_what_is_near_them(scene, name):
    image, labels = scene
    player = BaselinePlayer(name)
    player.set_image(image)
    click = ((64.0, 60.0), 1)
    before = player.first(click)[0][0]
    beside = player.correct([click, ((64.0, 86.0), 0)])
    assert mask_iou(beside, labels == 2) > mask_iou(before, labels == 2) + 0.2
    assert not beside[60:68, 82:90].any()
    again = player.correct([click, ((64.0, 86.0), 0), ((64.0, 86.0), 1)])
    assert again[64, 86]
    # a click on the ground adds what is near, not all of the ground
    ground = player.correct([click, ((64.0, 86.0), 0), ((64.0, 86.0), 1), ((44.0, 60.0), 1)])
    assert ground[44, 60]
    assert ground.mean() < 0.3


@pytest.mark.parametrize("name", PROMPT_BASELINES)
def test_a_box_cuts_the_region_of_its_centre(scene, name):
    image, labels = scene
    player = BaselinePlayer(name)
    player.set_image(image)
    mask, predicted = player.boxed((50, 46, 78, 73.2))
    assert predicted is None
    assert mask_iou(mask, labels == 2) > 0.8
    assert not mask[:, 73:].any()
    tiny, _ = player.boxed((24.2, 24.2, 24.4, 24.4))
    assert tiny.sum() == 1


@pytest.mark.parametrize("name", PROMPT_BASELINES)
def test_an_even_image_is_one_region(name):
    player = BaselinePlayer(name)
    player.set_image(np.full((20, 30), 9, np.uint8))
    assert player.first(((3.0, 4.0), 1))[0][0].all()


def test_unknown_names_are_refused():
    assert check_baselines(["slic", "otsu", "slic"], tuple(PROMPT_BASELINES)) == ["slic", "otsu"]
    with pytest.raises(InputError, match=r"'flood'.*otsu, otsu_watershed"):
        check_baselines(["flood"], tuple(AUTO_BASELINES))

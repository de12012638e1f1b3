"""Pixels without a value (NaN, infinite) are in no mask, whoever asks, and are said once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.predictor import Predictor
from napari_sam.pipeline.auto_segment import auto_segment

EVERYTHING = AutoSettings(points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0)


@pytest.fixture
def image():
    image = np.random.default_rng(0).normal(size=(70, 90)).astype(np.float32)
    image[:, 70:] = np.nan
    image[5:20, 10:30] = np.inf
    return image


@pytest.mark.filterwarnings("ignore:Some pixels")
@pytest.mark.parametrize("kind", ["tiny_cell_model", "tiny_vit_model"])
def test_masks_leave_them_out(request, image, kind):
    model = request.getfixturevalue(kind)
    missing = ~np.isfinite(image)
    filled = np.where(missing, np.nanmin(np.where(missing, np.nan, image)), image)
    predictor = Predictor(model)
    predictor.set_image(image)
    found = predictor.predict(points=[(40, 60)], window=None)
    assert not (found.masks & missing).any()
    predictor.set_image(filled, normalization=predictor.normalization)
    again = predictor.predict(points=[(40, 60)])
    if not model.spec.windowed:  # which pieces a windowed model keeps depends on where they touch
        np.testing.assert_array_equal(found.masks, again.masks & ~missing)
    for record in AutomaticMaskGenerator(model, EVERYTHING).generate(image):
        assert not (record.mask & missing).any()
    labels = auto_segment(AutomaticMaskGenerator(model, EVERYTHING), image, region=(0, 20, 60, 90)).labels
    assert labels.any()
    assert not labels[missing].any()


def test_they_are_said_once(tiny_cell_model, image):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        auto_segment(AutomaticMaskGenerator(tiny_cell_model, EVERYTHING), image)
    assert [str(each.message) for each in said if "NaN" in str(each.message)] == [
        "Some pixels are NaN or infinite: they count as missing, are shown black and never labelled."
    ]


@pytest.mark.filterwarnings("ignore:Some pixels")
def test_where_there_are_no_others_nothing_is_found(tiny_cell_model):
    image = np.full((70, 90), np.nan, np.float32)
    image[3] = -np.inf
    assert AutomaticMaskGenerator(tiny_cell_model, EVERYTHING).generate(image) == []

"""Labels, records and features of one image belong together, and nothing is found where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.config.auto import AutoSettings
from napari_sam.errors import InputError, OperationCancelled
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.model.load import load_model
from napari_sam.pipeline.auto_segment import auto_segment, fitting_preset

EVERYTHING = AutoSettings(
    points_per_side=4,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.0,
    box_nms_thresh=1.0,
    conditions=("area>=3",),
    min_area=3,
)


@pytest.fixture
def generator(tiny_cell_model):
    return AutomaticMaskGenerator(tiny_cell_model, EVERYTHING)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (70, 90)).astype(np.uint8)


def test_labels_records_and_features_tell_the_same(generator, image):
    result = auto_segment(generator, image)
    n = len(result.records)
    assert n > 1
    assert result.labels.shape == image.shape
    assert set(np.unique(result.labels)) - {0} == set(range(1, n + 1))
    for label, record in enumerate(result.records, start=1):
        np.testing.assert_array_equal(record.mask, result.labels == label)
        assert result.features["label"][label - 1] == label
        assert result.features["area"][label - 1] == record.area >= 3
        assert result.features["intensity_mean"][label - 1] == pytest.approx(image[record.mask].mean())
    plain = auto_segment(generator, image, measure=False)
    assert list(plain.features) == ["label", "area", "predicted_iou", "stability_score"]
    np.testing.assert_array_equal(plain.labels, result.labels)


def test_only_the_region_is_looked_at(generator, image):
    labels = auto_segment(generator, image, region=(10, 20, 50, 80)).labels
    assert labels[10:50, 20:80].any()
    labels[10:50, 20:80] = 0
    assert not labels.any()


@pytest.mark.parametrize("shape", [(70, 90), (70, 90, 3), (1, 1)])
def test_a_constant_image_has_no_objects(generator, shape):
    result = auto_segment(generator, np.full(shape, 7, np.uint16))
    assert result.records == []
    assert not result.labels.any()
    assert result.labels.shape == shape[:2]
    assert all(len(column) == 0 for column in result.features.values())


def test_a_constant_region_has_none_either(generator, image):
    image[10:50, 20:80] = 9
    assert auto_segment(generator, image, region=(10, 20, 50, 80)).records == []
    assert auto_segment(generator, image).records


def test_progress_grows_to_the_end_and_may_stop_the_work(generator, image):
    seen: list[tuple[int, int]] = []
    auto_segment(generator, image, progress=lambda done, total: seen.append((done, total)))
    done = [step for step, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1] > 0

    def stop(done: int, total: int) -> None:
        raise OperationCancelled("stopped")

    with pytest.raises(OperationCancelled):
        auto_segment(generator, image, progress=stop)


def test_an_unknown_property_is_refused_before_the_search(tiny_cell_model, image, monkeypatch):
    generator = AutomaticMaskGenerator(tiny_cell_model, points_per_side=2, conditions=("roundness>0.5",))
    monkeypatch.setattr(type(tiny_cell_model), "encode", None)
    with pytest.raises(InputError, match="roundness"):
        auto_segment(generator, image)


def test_the_preset_fits_the_model():
    assert fitting_preset("cells") == "cells"
    assert load_model("cells").spec.windowed
    assert fitting_preset("vit_b_lm") == fitting_preset("vit_t") == "natural"
    with pytest.raises(InputError, match="did you mean 'cells'"):
        fitting_preset("cels")

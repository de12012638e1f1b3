"""Automatic masks: the authors' generator and ours with the same random weights, images and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from segment_anything import SamAutomaticMaskGenerator

from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.model.build import SamSpec
from napari_sam.model.sam import Sam
from napari_sam.sample_data import nuclei

CASES: dict[str, dict[str, Any]] = {
    "whole image": {},
    "crops": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "two layers of crops": {
        "crop_n_layers": 2,
        "crop_overlap_ratio": 0.2,
        "points_per_side": 4,
        "crop_nms_thresh": 0.5,
    },
    "small regions removed": {"min_mask_region_area": 60},
    "crops, small regions removed": {"crop_n_layers": 1, "min_mask_region_area": 30, "stability_score_offset": 0.2},
    "nothing filtered": {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0},
}
IMAGES = {
    "square": lambda: nuclei((96, 96), seed=3).image,
    "wide": lambda: nuclei((90, 160), seed=4).image,
    "tall and larger than the input": lambda: nuclei((300, 200), seed=5).image,
}


@pytest.fixture(scope="module")
def generators(authors_model: Callable[[SamSpec], Any], tiny_trained_model: Sam) -> tuple[Any, Sam]:
    """The authors' model and ours with the same trained weights."""
    theirs = authors_model(tiny_trained_model.spec)
    theirs.load_state_dict(tiny_trained_model.state_dict())
    return theirs, tiny_trained_model


def thresholds(theirs: Any, image: np.ndarray, parameters: dict[str, Any]) -> dict[str, float]:
    """Choose cuts that about half of the candidates pass, in the widest gap nearby so that no rounding decides."""
    loose = parameters | {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    loose |= {"crop_nms_thresh": 1.0, "min_mask_region_area": 0}
    found = SamAutomaticMaskGenerator(theirs, **loose).generate(image)
    cuts = {}
    for key, name in (("predicted_iou", "pred_iou_thresh"), ("stability_score", "stability_score_thresh")):
        values = np.unique([record[key] for record in found if np.isfinite(record[key])])
        middle = values[len(values) // 3 : 2 * len(values) // 3 + 2]
        widest = int(np.diff(middle).argmax())
        cuts[name] = float(np.clip((middle[widest] + middle[widest + 1]) / 2, 0, 1))
    return cuts


def exclusive(box: list[int]) -> tuple[int, ...]:
    """Turn the authors' x, y, width, height between pixel centres into ours."""
    x, y, w, h = box
    return int(y), int(x), int(y + h + 1), int(x + w + 1)


@pytest.mark.parametrize("image", list(IMAGES), ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("case", list(CASES), ids=lambda name: name.replace(" ", "-"))
def test_records_are_the_authors(case: str, image: str, generators: tuple[Any, Sam]) -> None:
    theirs, ours = generators
    pixels = np.ascontiguousarray(IMAGES[image]())
    parameters = {"points_per_side": 8} | CASES[case]
    parameters = thresholds(theirs, pixels, parameters) | parameters
    expected = SamAutomaticMaskGenerator(theirs, **parameters).generate(pixels)
    found = AutomaticMaskGenerator(ours, **parameters).generate(pixels, normalization="none")
    assert len(expected) >= 3, "a comparison of next to nothing proves nothing"
    assert len(found) == len(expected)
    for record, reference in zip(found, expected, strict=True):
        mask = reference["segmentation"]
        both, either = np.count_nonzero(record.mask & mask), np.count_nonzero(record.mask | mask)
        assert both >= 0.999 * either
        assert record.area == np.count_nonzero(record.mask)
        if mask.any():
            assert record.box == exclusive(reference["bbox"])
        assert record.predicted_iou == pytest.approx(reference["predicted_iou"], abs=1e-5)
        if np.isfinite(reference["stability_score"]):
            assert record.stability_score == pytest.approx(reference["stability_score"], abs=1e-3)
        assert record.point[::-1] == pytest.approx(reference["point_coords"][0])
        x, y, w, h = reference["crop_box"]
        assert record.crop_box == (y, x, y + h, x + w)

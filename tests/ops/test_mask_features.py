"""Features of masks equal those of scikit-image's table of a label image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops_table

from napari_sam.errors import InputError
from napari_sam.ops.mask_features import PROPERTIES, measure_records
from napari_sam.ops.mask_record import MaskRecord

SHAPE = (70, 90)


def three_ellipses() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for label, (row, col, a, b, turn) in enumerate(((15, 20, 12, 6, 0.3), (40, 60, 9, 20, 1.0), (58, 15, 5, 5, 0)), 1):
        rows, cols = ellipse(row, col, a, b, shape=SHAPE, rotation=turn)
        labels[rows, cols] = label
    labels[40, 58:62] = 0  # a hole
    return labels


def records_of(labels: np.ndarray, scores=(0.9, 0.8, 0.7)) -> list[MaskRecord]:
    return [
        MaskRecord.from_patch(labels == label, image_shape=SHAPE, predicted_iou=score, stability_score=score / 2)
        for label, score in zip(range(1, 4), scores, strict=True)
    ]


def test_columns_are_those_of_regionprops_table():
    labels = three_ellipses()
    image = np.random.default_rng(0).integers(0, 60000, SHAPE, dtype=np.uint16)
    found = measure_records(records_of(labels), image, properties=PROPERTIES)
    names = [name for name in PROPERTIES if name not in ("predicted_iou", "stability_score")]
    wanted = regionprops_table(labels, image, properties=["label", *{name.split("-")[0] for name in names}])
    for name in ["label", *names]:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, err_msg=name)
    assert found["predicted_iou"].tolist() == [0.9, 0.8, 0.7]
    assert found["stability_score"].tolist() == [0.45, 0.4, 0.35]


def test_the_features_table_has_intensities_only_with_an_image():
    records = records_of(three_ellipses())
    plain = measure_records(records)
    assert list(plain)[:6] == ["label", "area", "predicted_iou", "stability_score", "centroid-0", "centroid-1"]
    assert not any(name.startswith("intensity") for name in plain)
    assert set(measure_records(records, np.zeros(SHAPE))) - set(plain) == {
        "intensity_mean", "intensity_min", "intensity_max",
    }  # fmt: skip
    assert plain["label"].dtype == np.int32
    assert plain["area"].dtype.kind == "i"


def test_channels_are_averaged_and_alpha_is_left_out():
    records = records_of(three_ellipses())
    color = np.random.default_rng(1).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    wanted = measure_records(records, color.astype(float).mean(axis=-1))["intensity_max"]
    alpha = np.concatenate([color, np.full((*SHAPE, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_allclose(measure_records(records, color)["intensity_max"], wanted)
    np.testing.assert_allclose(measure_records(records, alpha)["intensity_max"], wanted)


class ReadsInParts:
    """An array that counts how many pixels of it were read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape, self.read = pixels, pixels.shape, 0

    def __getitem__(self, where: Any) -> np.ndarray:
        part = self.pixels[where]
        self.read += part.size
        return part


def test_only_the_boxes_of_the_image_are_read():
    image = ReadsInParts(np.ones(SHAPE))
    record = records_of(three_ellipses())[2]
    assert measure_records([record], image)["intensity_mean"].tolist() == [1]
    assert image.read == (record.box[2] - record.box[0]) * (record.box[3] - record.box[1])


def test_one_pixel_and_no_pixel():
    pixel = np.zeros(SHAPE, bool)
    pixel[3, 4] = True
    records = [MaskRecord.from_patch(mask, image_shape=SHAPE) for mask in (pixel, np.zeros(SHAPE, bool))]
    found = measure_records(records, np.full(SHAPE, 7))
    assert found["area"].tolist() == [1, 0]
    assert (found["centroid-0"][0], found["centroid-1"][0]) == (3, 4)
    assert found["intensity_mean"][0] == 7
    assert np.isnan(found["centroid-0"][1])
    assert np.isnan(found["solidity"][1])


def test_no_masks_make_empty_columns():
    assert all(len(column) == 0 for column in measure_records([], np.zeros((3, 3))).values())


def test_what_cannot_be_measured_is_named():
    records = records_of(three_ellipses())
    with pytest.raises(InputError, match=r"'roundness'.*eccentricity"):
        measure_records(records, properties=["roundness"])
    with pytest.raises(InputError, match="intensity_mean needs the image"):
        measure_records(records, properties=["intensity_mean"])
    with pytest.raises(InputError, match=r"\(3, 3\).*\(70, 90\)"):
        measure_records(records, np.zeros((3, 3)))

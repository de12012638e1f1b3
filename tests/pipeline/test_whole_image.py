"""Brightness and object size are settled by all planes of an image, so that an empty one is not stretched by itself."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.normalization import resolve_normalization
from napari_sam.pipeline import whole_image
from napari_sam.pipeline.whole_image import settle_image

BRIGHT = np.random.default_rng(0).integers(0, 4000, (40, 50)).astype(np.uint16)
PLANES = [BRIGHT, BRIGHT // 100, BRIGHT]


def no_model():
    raise AssertionError("the model was loaded")


def test_all_planes_decide_the_brightness():
    settled = settle_image(no_model, AutoSettings(points="grid"), PLANES)
    assert settled.normalization == resolve_normalization(np.concatenate(PLANES))
    assert settled.normalization.high[0] > 3000


def test_channels_and_ranges_are_taken():
    planes = [np.dstack([plane, 2 * plane]) for plane in PLANES]
    settled = settle_image(no_model, AutoSettings(points="grid"), planes, channels=(1,))
    assert settled.normalization.high[0] > 6000
    assert settle_image(no_model, AutoSettings(points="grid"), PLANES, (3, 9)).normalization.high == (9.0,)


@pytest.mark.parametrize(
    ("planes", "size", "expected"),
    [(PLANES, 0.0, 17.0), (PLANES, 30.0, 30.0), (PLANES[:1], 0.0, 0.0), ([np.zeros((30, 2100), "u1")], 0.0, 17.0)],
)
def test_the_size_is_asked_for_where_there_is_more_than_one_place(monkeypatch, planes, size, expected):
    asked = []

    def usual(load, settings, normalization, planes, boxes):
        asked.append((len(planes), list(boxes)))
        return 17.0

    monkeypatch.setattr(whole_image, "usual_object_size", usual)
    settled = settle_image(no_model, AutoSettings(object_size=size), planes)
    assert settled.settings.object_size == expected
    assert bool(asked) == (expected == 17.0)
    if len(planes) == 1 and asked:
        assert asked == [(1, [(0, 0, 30, 2048), (0, 2048, 30, 2100)])]

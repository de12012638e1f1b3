"""The model proposes its own points: one for each object it sees, each asked in one window only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_sam.config.auto import AutoSettings
from napari_sam.inference import mask_generator
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.scene import Scene
from napari_sam.model.object_head import ObjectMaps
from napari_sam.model.sam import Sam

CENTRES = [(r, c) for r in (20, 60, 100, 130) for c in (16, 50, 90, 140)]
SHAPE = (150, 160)


@pytest.fixture
def image():
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.min([np.hypot(rows - r, cols - c) for r, c in CENTRES], axis=0)
    return (255 * np.clip(1 - distance / 8, 0, 1)).astype(np.uint8)


@pytest.fixture
def bright_objects(monkeypatch):
    """The object head sees an object wherever the image is bright."""
    seen = []
    encode = Sam.encode

    def keep(self, pixels):
        several = [pixels] if isinstance(pixels, torch.Tensor) else pixels
        seen[:] = [F.pad(p, (0, 64 - p.shape[-1], 0, 64 - p.shape[-2])) for p in several]
        return encode(self, pixels)

    def find(self, embedding):
        bright = F.avg_pool2d(torch.cat(seen)[:, 0] / 255, 2)
        return ObjectMaps(foreground=bright * 20 - 2, middle=torch.logit(bright.clamp(0.001, 0.999)), diameter=bright)

    monkeypatch.setattr(Sam, "encode", keep)
    monkeypatch.setattr(Sam, "find_objects", find)


def asked_points(model, image, monkeypatch, **settings):
    scenes = []

    class Watched(Scene):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            scenes.append(self.points)

    monkeypatch.setattr(mask_generator, "Scene", Watched)
    generator = AutomaticMaskGenerator(model, AutoSettings(**settings))
    events = list(generator.stream(image, normalization="none"))
    assert events[-1].done == events[-1].total
    return np.concatenate(scenes), events[-1].asked


def test_each_object_is_asked_once(tiny_cell_model, image, bright_objects, monkeypatch):
    points, asked = asked_points(tiny_cell_model, image, monkeypatch, points="objects", points_per_side=4,
                                 pred_iou_thresh=1.0)  # fmt: skip
    assert asked == len(points) == len(CENTRES)
    for centre in CENTRES:
        assert np.hypot(*(points - np.array(centre)).T).min() < 2.5


def test_the_grid_is_asked_where_there_is_no_object_head(tiny_vit_model, image, monkeypatch):
    points, asked = asked_points(tiny_vit_model, image, monkeypatch, points="objects", points_per_side=3,
                                 pred_iou_thresh=1.0)  # fmt: skip
    assert asked == len(points) == 9


def test_points_of_the_user_come_first(tiny_cell_model, image, bright_objects, monkeypatch):
    generator = AutomaticMaskGenerator(
        tiny_cell_model, AutoSettings(points="objects", pred_iou_thresh=1.0), point_grids=[[[0.5, 0.5], [0.1, 0.1]]]
    )
    assert list(generator.stream(image, normalization="none"))[-1].asked == 2

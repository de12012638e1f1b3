"""The object head says what to ask: a box around each object that it sees, each asked once, at a scale that fits."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st

from napari_sam.config.auto import AutoSettings
from napari_sam.inference import mask_generator, survey
from napari_sam.inference.lattice import Lattice
from napari_sam.inference.mask_generator import AutomaticMaskGenerator
from napari_sam.inference.scene import Scene
from napari_sam.inference.survey import Survey, fitting_level, split_region, survey_windows
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
    mine = threading.local()  # windows are looked at by several threads
    encode = Sam.encode

    def keep(self, pixels):
        several = [pixels] if isinstance(pixels, torch.Tensor) else pixels
        mine.seen = [F.pad(p, (0, 64 - p.shape[-1], 0, 64 - p.shape[-2])) for p in several]
        return encode(self, pixels)

    def find(self, embedding):
        bright = F.avg_pool2d(torch.cat(mine.seen)[:, 0] / 255, 2)
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


def test_a_large_region_is_surveyed_part_by_part_and_each_object_asked_once(
    tiny_cell_model, image, bright_objects, monkeypatch
):
    monkeypatch.setattr(survey, "PART", 60)
    monkeypatch.setattr(survey, "HALO", 20)
    points, asked = asked_points(
        tiny_cell_model, image, monkeypatch, points="objects", object_size=20, pred_iou_thresh=1.0
    )
    assert len(split_region((0, 0, *SHAPE))) > 4
    # points of different parts count from the part's first pixel: their number tells that none is asked twice
    assert asked == len(points) == len(CENTRES)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 50))
def test_parts_cover_a_region_and_their_cores_divide_it(height, width, start):
    region = (start, 2 * start, start + height, 2 * start + width)
    seen = np.zeros((height, width), int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "PART", 100)
        patch.setattr(survey, "HALO", 30)
        for part, core in split_region(region):
            assert part[0] <= core[0] < core[2] <= part[2]
            assert part[1] <= core[1] < core[3] <= part[3]
            assert part[0] in (region[0], core[0] - 30)
            assert part[2] in (region[2], core[2] + 30)
            seen[core[0] - start : core[2] - start, core[1] - 2 * start : core[3] - 2 * start] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("diameter", "level"), [(3.0, -2), (7.0, -1), (13.9, -1), (14.0, 0), (110.0, 0), (111.0, 1), (500.0, 3)]
)
def test_the_scale_fits_the_size_of_the_objects(diameter, level):
    assert fitting_level(diameter) == level


def test_windows_cover_the_region_and_lie_in_it():
    for shape, level in (((150, 160), 0), ((40, 200), 0), ((150, 160), -1), ((300, 280), 1)):
        seen = np.zeros(shape, int)
        for lattice in (False, True):
            seen[:] = 0
            windows = survey_windows(shape, 64, level, lattice=lattice)
            for window in windows:
                assert window.row >= 0 <= window.col
                assert window.row + window.height <= shape[0]
                assert window.col + window.width <= shape[1]
                seen[window.slices] += 1
            assert seen.min() >= 1
            assert len({(window.height, window.width) for window in windows}) == 1


def test_an_embedding_on_disk_is_of_a_window_that_a_survey_looks_through(tiny_cell_model):
    sites = Lattice(tiny_cell_model.spec, (150, 160))
    assert all(sites.find(window) for window in survey_windows((150, 160), 64, 0, lattice=True))
    assert len(survey_windows((150, 160), 64, 0)) < len(survey_windows((150, 160), 64, 0, lattice=True))


def test_small_objects_are_surveyed_again_from_nearby(tiny_cell_model, monkeypatch):
    maps = ObjectMaps(**{name: torch.zeros(1, 32, 32) for name in ("foreground", "middle", "diameter")})
    maps.foreground[:] = -9.0
    maps.middle[:] = -9.0
    for row, col in ((5, 6), (20, 9), (12, 24)):
        maps.foreground[0, row - 1 : row + 2, col - 1 : col + 2] = 9.0
        maps.middle[0, row, col] = 3.0
    for diameter, level in ((7.0, -1), (20.0, 0), (200.0, 1)):
        maps.diameter[:] = np.log2(diameter)
        found = Survey(tiny_cell_model, (64, 64))
        for window in found.windows:
            found.add(window, maps)
        assert found.better_level() == level


def test_nothing_seen_is_nothing_asked(tiny_cell_model):
    empty = ObjectMaps(**{name: torch.full((1, 32, 32), -9.0) for name in ("foreground", "middle", "diameter")})
    found = Survey(tiny_cell_model, (64, 64))
    for window in found.windows:
        found.add(window, empty)
    assert found.better_level() == 0
    assert found.views() == []

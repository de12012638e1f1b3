"""Views cover the region, and every point of the grid is asked in the middle of one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes

from napari_sam.config.auto import AutoSettings
from napari_sam.inference.views import coarser_views, list_views
from napari_sam.inference.windows import level_scales

SHAPES = st.tuples(*[st.integers(1, 300)] * 2)


def inside(view, shape):
    row0, col0, row1, col1 = view.box
    assert 0 <= row0 < row1 <= shape[0]
    assert 0 <= col0 < col1 <= shape[1]
    assert len(view.points)
    assert (view.points >= [row0, col0]).all()
    assert (view.points <= [row1, col1]).all()
    assert 1 <= view.window.input_height <= 64
    assert 1 <= view.window.input_width <= 64


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("shape", [(96, 96), (80, 200), (300, 37)])
def test_a_model_that_sees_all_gets_the_authors_crops_and_points(layers, shape, tiny_vit_model):
    settings = AutoSettings(points_per_side=7, crop_n_layers=layers, crop_n_points_downscale_factor=2)
    views = list_views(tiny_vit_model, shape, settings)
    boxes, numbers = generate_crop_boxes(shape, layers, settings.crop_overlap_ratio)
    grids = build_all_layer_point_grids(7, layers, 2)
    assert [view.group for view in views] == list(range(len(boxes)))
    for view, (x0, y0, x1, y1), layer in zip(views, boxes, numbers, strict=True):
        assert view.box == (y0, x0, y1, x1)
        theirs = grids[layer] * [x1 - x0, y1 - y0] + [x0, y0]
        np.testing.assert_allclose(view.points, theirs[:, ::-1])
        inside(view, shape)


@given(SHAPES, st.integers(1, 9), st.integers(0, 2))
def test_windows_lie_inside_and_ask_every_point_once(shape, side, layers):
    # only the spec of the model counts
    model = WINDOWED
    views = list_views(model, shape, AutoSettings(points_per_side=side, crop_n_layers=layers))
    for view in views:
        inside(view, shape)
    for level in {view.level for view in views}:
        mine = [view for view in views if view.level == level]
        points = np.concatenate([view.points for view in mine])
        assert len(np.unique(points, axis=0)) == len(points)
        assert len({view.group for view in mine}) == 1
        assert len({view.window for view in mine}) == len(mine)
    assert len({view.group for view in views}) == len({view.level for view in views})


class WINDOWED:
    """A model of 64 x 64 windows."""

    img_size = 64

    class spec:  # noqa: N801
        windowed = True
        preprocess = "sam"


def test_the_grid_is_as_dense_in_every_window():
    views = list_views(WINDOWED, (256, 128), AutoSettings(points_per_side=8))
    points = np.concatenate([view.points for view in views])
    rows, cols = np.unique(points[:, 0]), np.unique(points[:, 1])
    assert (len(rows), len(cols)) == (32, 16)
    np.testing.assert_allclose(np.diff(rows), 8)
    np.testing.assert_allclose(np.diff(cols), 8)
    assert rows[0] == cols[0] == 4


@given(st.tuples(*[st.integers(65, 300)] * 2))
def test_a_point_has_surroundings_in_its_window(shape):
    for view in list_views(WINDOWED, shape, AutoSettings(points_per_side=5)):
        start, end = np.array(view.box[:2]), np.array(view.box[2:])
        near_start, near_end = view.points - start, end - view.points
        assert ((near_start >= 15) | (start == 0)).all()
        assert ((near_end >= 15) | (end == shape)).all()


def test_closer_layers_show_twice_as_much_detail_and_small_images_need_none():
    settings = AutoSettings(points_per_side=4, crop_n_layers=2)
    views = list_views(WINDOWED, (100, 100), settings)
    scales = {view.level: view.window.scale for view in views}
    assert scales == {0: (1.0, 1.0), -1: (2.0, 2.0), -2: (4.0, 4.0)}
    assert {view.level for view in list_views(WINDOWED, (20, 20), settings)} == {0, -2}  # shown 3.2 times as large
    assert len(list_views(WINDOWED, (16, 16), settings)) == 1


def test_given_grids_replace_the_even_ones(tiny_vit_model):
    grids = [np.array([[0.5, 0.25], [0.0, 1.0]]), np.array([[0.1, 0.9]])]
    settings = AutoSettings(crop_n_layers=1)
    for model in (tiny_vit_model, WINDOWED):
        views = list_views(model, (100, 200), settings, grids)
        points = np.concatenate([view.points for view in views if view.group == 0])
        assert sorted(points.tolist()) == [[0.0, 200.0], [50.0, 50.0]]
    row0, col0, row1, col1 = views[-1].box
    assert (row1 - row0, col1 - col0) == (32, 32)
    np.testing.assert_allclose(views[-1].points, [[10, 180]])


def test_coarser_views_are_one_level_up_until_all_is_seen():
    shape = (300, 300)
    points = np.array([[10.0, 20.0], [290.0, 280.0], [12.0, 22.0]])
    scales = level_scales(shape, 64)
    for level in range(len(scales) - 1):
        views = coarser_views(WINDOWED, shape, points, level)
        assert {view.level for view in views} == {view.group for view in views} == {level + 1}
        assert sorted(np.concatenate([view.points for view in views]).tolist()) == sorted(points.tolist())
        for view in views:
            inside(view, shape)
    assert views[0].box == (0, 0, 300, 300)
    assert len(views) == 1


def test_the_preprocessing_decides_the_view(tiny_vit_model, tiny_spec_vit):
    model = type("Model", (), {"img_size": 64, "spec": replace(tiny_spec_vit, preprocess="medsam")})
    view = list_views(model, (40, 64), AutoSettings())[0]
    assert (view.window.input_height, view.window.input_width) == (64, 64)
    assert list_views(tiny_vit_model, (40, 64), AutoSettings())[0].window.input_height == 40

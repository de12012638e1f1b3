"""Windows: inside the image, around the prompts, coarser only where they must be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from napari_sam.inference.windows import level_scales, place_window, touches_inner_edge, whole_window

SIZE = 64


def test_small_images_have_one_level_that_fills_the_input():
    assert level_scales((40, 64), SIZE) == [1.0]
    assert level_scales((32, 16), SIZE) == [2.0]
    window = whole_window((32, 16), SIZE)
    assert (window.input_height, window.input_width) == (64, 32)


def test_levels_halve_down_to_the_whole_image():
    assert level_scales((300, 200), SIZE) == [1.0, 0.5, 0.25, 64 / 300]
    assert level_scales((65, 30), SIZE) == [1.0, 64 / 65]


@given(
    st.tuples(st.integers(20, 900), st.integers(20, 900)),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_click_gets_a_fine_window_around_it(shape, down, right):
    row, col = down * (shape[0] - 1), right * (shape[1] - 1)
    window, level = place_window(shape, SIZE, (row, col, row, col), box=False)
    assert 0 <= window.row <= row <= window.row + window.height <= shape[0]
    assert 0 <= window.col <= col <= window.col + window.width <= shape[1]
    assert level == 0
    assert max(window.input_height, window.input_width) <= SIZE
    if max(shape) > SIZE:
        assert window.height == min(shape[0], SIZE)
        # at least a quarter window of surroundings, except at the border
        if shape[0] > SIZE:
            assert row - window.row >= SIZE / 4 - 1 or window.row == 0
            assert window.row + SIZE - row >= SIZE / 4 - 1 or window.row + SIZE == shape[0]


def test_windows_lie_on_a_lattice_so_that_neighbouring_clicks_share_them():
    seen = {place_window((1000, 1000), SIZE, (r, 500, r, 500), box=False)[0].row for r in range(480, 520)}
    assert len(seen) <= 3
    assert all(row % 32 == 0 for row in seen)


def test_prompts_far_apart_and_big_boxes_coarsen():
    shape = (1000, 1000)
    _, near = place_window(shape, SIZE, (500, 500, 510, 510), box=False)
    _, far = place_window(shape, SIZE, (450, 500, 550, 510), box=False)
    _, box = place_window(shape, SIZE, (480, 480, 530, 530), box=True)
    window, across = place_window(shape, SIZE, (0, 0, 999, 999), box=False)
    assert (near, far, box) == (0, 2, 1)
    assert across == len(level_scales(shape, SIZE)) - 1
    assert (window.height, window.width) == shape


def test_only_inner_edges_count():
    shape = (200, 200)
    window, _ = place_window(shape, SIZE, (0, 100, 0, 100), box=False)
    mask = np.zeros((64, 64), bool)
    mask[0, :20] = True  # the image's own border
    assert not touches_inner_edge(mask, window, shape)
    mask[:10, 0] = True
    assert touches_inner_edge(mask, window, shape)

"""Every window that prompts and automatic segmentation take from the lattice has one number, and only those have."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings, strategies as st

from conftest import TINY_CELL, TINY_VIT
from napari_sam.inference.lattice import Lattice, fit_to_input, looks_through_windows
from napari_sam.inference.windows import place_around, place_window, window_around

SHAPES = st.tuples(st.integers(10, 700), st.integers(10, 700))


@settings(deadline=None)
@given(SHAPES, st.floats(0, 1), st.floats(0, 1), st.integers(-1, 5))
def test_windows_taken_from_the_lattice_are_found_in_it(shape, down, right, level):
    lattice = Lattice(TINY_CELL, shape)
    if level not in lattice.scales:
        return
    point = down * (shape[0] - 1), right * (shape[1] - 1)
    window = window_around(shape, 64, point, level)
    site = lattice.find(window)
    assert site is not None
    assert site[0] == level
    assert lattice.window(site) == window
    placed, at = place_window(shape, 64, (*point, *point), box=False, level=max(level, 0))
    assert lattice.find(placed)[0] == at


@settings(deadline=None)
@given(SHAPES)
def test_numbers_and_windows_belong_together_one_to_one(shape):
    lattice = Lattice(TINY_CELL, shape)
    for level in lattice.scales:
        sites = [site for block in lattice.blocks(level, 4) for site in block]
        windows = [lattice.window(site) for site in sites]
        assert len(set(windows)) == len(windows)
        assert [lattice.find(window) for window in windows] == sites
        assert max(window.row + window.height for window in windows) == shape[0]
        assert max(window.col + window.width for window in windows) == shape[1]
        assert min(window.row for window in windows) == min(window.col for window in windows) == 0


def test_other_windows_are_not_in_it():
    lattice = Lattice(TINY_CELL, (300, 300))
    window = lattice.window((0, 2, 2))
    assert lattice.find(replace(window, row=window.row + 1)) is None
    assert lattice.find(replace(window, height=60)) is None
    assert lattice.find(replace(window, input_height=60)) is None
    assert lattice.find(place_around((300, 300), 64, (101, 77, 101, 77), (101, 77))[0]) is None


def test_models_that_are_not_windowed_see_images_whole_up_to_twice_their_input():
    assert not looks_through_windows(TINY_VIT, (128, 20))
    assert looks_through_windows(TINY_VIT, (20, 129))
    assert looks_through_windows(TINY_CELL, (20, 65))
    assert list(Lattice(TINY_VIT, (128, 128)).scales) == [0]
    assert list(Lattice(TINY_VIT, (129, 128)).scales) == [0, 1, 2]
    assert list(Lattice(TINY_CELL, (65, 20)).scales) == [-1, 0, 1]
    assert list(Lattice(TINY_CELL, (30, 20)).scales) == [0]  # shown larger than twice already


def test_medsam_windows_fill_the_square():
    spec = replace(TINY_VIT, preprocess="medsam")
    lattice = Lattice(spec, (300, 40))
    for level in lattice.scales:
        window = lattice.window((level, 0, 0))
        assert (window.input_height, window.input_width) == (64, 64)
        assert window == fit_to_input(spec, window)
        assert lattice.find(window) == (level, 0, 0)

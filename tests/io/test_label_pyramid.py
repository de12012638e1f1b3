"""Levels of labels: sizes, and pixels that no cutting into regions changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_array_equal

from napari_sam.io.label_pyramid import LevelPlan, coarsen, nearest_indices, plan_levels


def test_levels_follow_the_image_and_end_small_or_at_the_count():
    first = LevelPlan((2, 1001, 3000), (2.0, 0.5, 0.5), (0.0, 1.0, 1.0))
    second = LevelPlan((1, 250, 750), (4.0, 2.0, 2.0), (1.0, 1.75, 1.75))
    own = plan_levels([first])
    assert [plan.shape for plan in own] == [(2, 1001, 3000), (2, 501, 1500), (2, 251, 750), (2, 126, 375)]
    assert own[3].scale == (2.0, 4.0, 4.0)
    assert own[3].translation == first.translation
    assert plan_levels([first, second])[1:] == (second, LevelPlan((1, 125, 375), (4.0, 4.0, 4.0), second.translation))
    assert plan_levels([first, second], count=1) == (first,)
    assert [plan.shape[1:] for plan in plan_levels([LevelPlan((3, 2), (1.0, 1.0), (0.0, 0.0))], count=4)] == [
        (2,), (1,), (1,), (1,),
    ]  # fmt: skip


@settings(max_examples=60)
@given(below=st.integers(1, 400), side=st.integers(1, 400), data=st.data())
def test_indices_stay_inside_and_do_not_depend_on_the_cut(below, side, data):
    whole = nearest_indices(below, side, 0, side)
    assert whole.min() >= 0
    assert whole.max() < below
    assert (np.diff(whole) >= 0).all()
    centres = (np.arange(side) + 0.5) * below / side - 0.5
    assert np.abs(whole - centres).max() <= below / side / 2 + 1.0
    start = data.draw(st.integers(0, side - 1))
    stop = data.draw(st.integers(start + 1, side))
    assert_array_equal(nearest_indices(below, side, start, stop), whole[start:stop])


@pytest.mark.parametrize("shape", [(2, 601, 40), (4, 1201, 79), (1, 900, 61), (4, 300, 20)])
def test_pieces_make_up_the_level_and_no_label_arises(shape):
    below = np.random.default_rng(3).choice([0, 7, 900000], (4, 1201, 80)).astype(np.uint32)
    whole = np.stack([coarsen(below, shape, "zyx", {"z": z}, (0, 0, *shape[1:])) for z in range(shape[0])])
    assert whole.shape == shape
    assert set(np.unique(whole)) <= {0, 7, 900000}
    pieces = np.zeros_like(whole)
    for z in range(shape[0]):
        for row in range(0, shape[1], 77):
            for col in range(0, shape[2], 13):
                region = (row, col, min(row + 77, shape[1]), min(col + 13, shape[2]))
                pieces[z, row : region[2], col : region[3]] = coarsen(below, shape, "zyx", {"z": z}, region)
    assert_array_equal(pieces, whole)
    if shape == (2, 601, 40):
        assert_array_equal(whole, below[::2, ::2, ::2][:, :601])

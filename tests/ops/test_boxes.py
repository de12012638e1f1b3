"""Boxes are tight, and noisy ones stay near, inside and not empty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam.errors import InputError
from napari_sam.ops.boxes import mask_to_box, noisy_box

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(MASKS)
def test_a_box_is_the_smallest_that_holds_the_mask(mask):
    if not mask.any():
        with pytest.raises(InputError, match="empty"):
            mask_to_box(mask)
        return
    row0, col0, row1, col1 = mask_to_box(mask)
    inside = mask[row0:row1, col0:col1]
    assert inside.sum() == mask.sum()
    assert inside[0].any()
    assert inside[-1].any()
    assert inside[:, 0].any()
    assert inside[:, -1].any()


@given(
    st.tuples(*[st.floats(0, 90)] * 2),
    st.tuples(*[st.floats(0.5, 200)] * 2),
    st.integers(0, 2**32),
)
def test_a_noisy_box_stays_near_and_inside(corner, sides, seed):
    shape = (300, 300)
    box = (*corner, corner[0] + sides[0], corner[1] + sides[1])
    noisy = noisy_box(box, np.random.default_rng(seed), shape)
    assert all(abs(a - b) <= 20 + 1e-9 for a, b in zip(box, noisy, strict=True))
    assert 0 <= noisy[0] < noisy[2] <= 300
    assert 0 <= noisy[1] < noisy[3] <= 300


def test_noise_grows_with_the_side_up_to_the_limit():
    rng = np.random.default_rng(0)
    small = np.array([noisy_box((50, 50, 60, 60), rng, (1000, 1000)) for _ in range(500)]) - (50, 50, 60, 60)
    large = np.array([noisy_box((50, 50, 950, 950), rng, (1000, 1000)) for _ in range(500)]) - (50, 50, 950, 950)
    assert small.std() == pytest.approx(1, rel=0.1)
    assert np.abs(large).max() == 20
    exact = noisy_box((5, 6, 70, 80), rng, (100, 100), relative=0)
    assert exact == (5, 6, 70, 80)

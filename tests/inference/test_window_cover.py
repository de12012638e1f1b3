"""Few windows for many objects: every object in one of them, with pixels around it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from napari_sam.inference.window_cover import cover_boxes

SIDE, MARGIN = 64, 6
corner = st.floats(0, 1)
box = st.tuples(corner, corner, st.floats(1, SIDE - 2 * MARGIN - 2), st.floats(1, SIDE - 2 * MARGIN - 2))


@given(st.integers(64, 300), st.integers(40, 300), st.lists(box, max_size=40))
def test_every_box_lies_in_one_window_with_pixels_around_it(height, width, drawn):
    sides = min(SIDE, height), min(SIDE, width)
    boxes = np.array(
        [(r * (height - h), c * max(0.0, width - w), r * (height - h) + h, c * max(0.0, width - w) + w)
         for r, c, h, w in drawn]
    ).reshape(-1, 4)  # fmt: skip
    boxes = np.clip(boxes, 0, [height, width, height, width])
    found = cover_boxes(boxes, (height, width), sides, MARGIN)
    assert sorted(number for _, own in found for number in own) == list(range(len(boxes)))
    assert len({origin for origin, _ in found}) == len(found)
    for (row, col), own in found:
        assert 0 <= row <= height - sides[0]
        assert 0 <= col <= width - sides[1]
        for row0, col0, row1, col1 in boxes[own]:
            assert row <= max(0, row0 - MARGIN)
            assert col <= max(0, col0 - MARGIN)
            assert min(height, row1 + MARGIN) <= row + sides[0]
            assert min(width, col1 + MARGIN) <= col + sides[1]


def test_objects_that_fit_into_one_window_share_it_and_lie_in_its_middle():
    boxes = np.array([[100, 100, 110, 110], [120, 130, 132, 138.0]])
    ((origin, own),) = cover_boxes(boxes, (400, 400), (SIDE, SIDE), MARGIN)
    assert own.tolist() == [0, 1]
    middle = np.array(origin) + SIDE / 2
    assert np.abs(middle - [116, 119]).max() <= 1


def test_there_are_about_as_many_windows_as_the_area_asks_for():
    rows, cols = (axis.ravel() for axis in np.mgrid[4:500:20, 4:500:20])
    boxes = np.stack([rows, cols, rows + 12, cols + 12], axis=1).astype(float)
    found = cover_boxes(boxes, (512, 512), (128, 128), 10)
    assert len(found) <= 36  # a lattice with steps of half a window has 49

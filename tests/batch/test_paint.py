"""Label images of regions."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from napari_sam.batch.objects import OWNERS
from napari_sam.batch.paint import paint
from napari_sam.batch.tiles import plan_tiles
from tiled_scenes import SHAPE, clip, painted, rectangle, scenes, stitch


def table(rows):
    owners = np.zeros(len(rows), OWNERS)
    for row, (tile, number, record, label, rank) in zip(owners, rows, strict=True):
        row["tile"], row["number"], row["box"], row["id"], row["rank"] = tile, number, record.box, label, rank
    return owners


@settings(max_examples=40, deadline=None)
@given(truth=scenes(30, most=15), other=scenes(30, most=15), data=st.data())
def test_regions_may_be_cut_in_any_way(truth, other, data):
    tiles = plan_tiles(SHAPE, 32, 12)
    found = [clip((truth, other)[tile.number % 2], tile) for tile in tiles]  # neighbours disagree
    owners = stitch(found, tiles, SHAPE)
    whole = painted(found, tiles, SHAPE)
    cuts = [sorted({0, length, *data.draw(st.lists(st.integers(1, length - 1), max_size=4))}) for length in SHAPE]
    pieced = np.full(SHAPE, -1, np.int32)
    for row0, row1 in zip(cuts[0], cuts[0][1:], strict=False):
        for col0, col1 in zip(cuts[1], cuts[1][1:], strict=False):
            part = paint((row0, col0, row1, col1), owners, found.__getitem__)
            assert part.dtype == np.int32
            pieced[row0:row1, col0:col1] = part
    np.testing.assert_array_equal(pieced, whole)


def test_the_lower_rank_is_in_front_whatever_the_order_of_rows():
    records = [[rectangle(0, 0, 6, 6)], [rectangle(4, 4, 10, 10)], [rectangle(2, 2, 5, 5)]]
    owners = table([(0, 0, records[0][0], 7, 1), (1, 0, records[1][0], 3, 0), (2, 0, records[2][0], 9, 2)])
    labels = paint((0, 0, 12, 12), owners, records.__getitem__)
    wanted = np.zeros((12, 12), int)
    wanted[:6, :6] = 7
    wanted[4:10, 4:10] = 3
    np.testing.assert_array_equal(labels, wanted)
    np.testing.assert_array_equal(paint((0, 0, 12, 12), owners[::-1], records.__getitem__), labels)


def test_only_tiles_in_reach_are_read_and_each_once():
    records = {4: [rectangle(0, 0, 3, 3), rectangle(3, 0, 6, 3)], 9: [rectangle(20, 20, 30, 30)]}
    owners = table([(4, 0, records[4][0], 1, 0), (4, 1, records[4][1], 2, 1), (9, 0, records[9][0], 3, 2)])
    asked = []

    def read(number):
        asked.append(number)
        return records[number]

    assert not paint((6, 3, 20, 20), owners, read).any()
    assert asked == []
    assert np.unique(paint((0, 0, 20, 40), owners, read)).tolist() == [0, 1, 2]
    assert asked == [4]
    assert (paint((25, 25, 31, 31), owners, read) == 3).sum() == 25
    assert paint((0, 0, 4, 4), np.empty(0, OWNERS), read).tolist() == np.zeros((4, 4), int).tolist()

"""Which tile owns what."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from napari_sam.batch.objects import EDGES, OBJECTS, pair_edges, tile_objects
from napari_sam.batch.paint import paint
from napari_sam.batch.stitch import resolve
from napari_sam.batch.tiles import plan_tiles
from napari_sam.ops.label_image import label_records
from napari_sam.ops.mask_record import MaskRecord
from tiled_scenes import SHAPE, clip, painted, rectangle, same_up_to_ids, scenes, stitch

TWO = plan_tiles((40, 70), 40, 10)  # columns 0 to 40 and 30 to 70


def two(left, right):
    """Paint rectangles of the left and the right of two tiles."""
    found = [[rectangle(*box, (40, 70)) for box in boxes] for boxes in (left, right)]
    return painted(found, TWO, (40, 70))


def boxes_of(labels):
    return {
        number: (rows.start, cols.start, rows.stop, cols.stop)
        for number, (rows, cols) in enumerate(ndimage.find_objects(labels), start=1)
    }


@settings(max_examples=40, deadline=None)
@given(truth=scenes(11), tile=st.integers(25, 40))
def test_objects_below_the_overlap_come_out_as_if_untiled(truth, tile):
    tiles = plan_tiles(SHAPE, tile, 12)
    found = [clip(truth, one) for one in tiles]
    assert same_up_to_ids(painted(found, tiles, SHAPE), truth)


@settings(max_examples=40, deadline=None)
@given(truth=scenes(70, most=8), tile=st.integers(12, 40), overlap=st.integers(2, 12))
def test_objects_of_any_size_come_out_as_one(truth, tile, overlap):
    tiles = plan_tiles(SHAPE, tile, min(overlap, tile // 2))
    found = [clip(truth, one) for one in tiles]
    assert same_up_to_ids(painted(found, tiles, SHAPE), truth)


@st.composite
def disagreements(draw):
    """What a bad segmenter finds: disjoint blobs that have nothing to do with those of other tiles."""
    tiles = plan_tiles(SHAPE, draw(st.integers(22, 40)), draw(st.integers(2, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    found = []
    for tile in tiles:
        noise = ndimage.gaussian_filter(rng.normal(size=SHAPE), rng.uniform(1, 4))
        found.append(clip(ndimage.label(noise > noise.std() * rng.uniform(-0.3, 1))[0], tile))
    return tiles, found


@settings(max_examples=40, deadline=None)
@given(case=disagreements(), seed=st.integers(0, 1000))
def test_whatever_tiles_say_ids_are_dense_and_order_does_not_matter(case, seed):
    tiles, found = case
    owners = stitch(found, tiles, SHAPE)
    np.testing.assert_array_equal(stitch(found, tiles, SHAPE, np.random.default_rng(seed)), owners)
    labels = painted(found, tiles, SHAPE)
    present = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(present, np.arange(1, len(np.unique(owners["id"])) + 1))
    firsts = np.unique(owners["id"], return_index=True)[1]
    assert (np.diff(firsts) > 0).all()  # ids rise with the first part
    pairs = np.unique(owners[["id", "rank"]])
    assert len(pairs) == len(present)  # one rank for each id
    assert sorted(pairs["rank"]) == list(range(len(present)))


@settings(max_examples=40, deadline=None)
@given(case=disagreements())
def test_nothing_that_a_tile_saw_whole_is_cut(case):
    """Pieces are kept only where their object leaves every region."""
    tiles, found = case
    owners = stitch(found, tiles, SHAPE)
    table = {
        (row["tile"], row["number"]): row["open"]
        for one in tiles
        for row in tile_objects(found[one.number], one, SHAPE)
    }
    for number in np.unique(owners["id"]):
        rows = owners[owners["id"] == number]
        if not all(table[row["tile"], row["number"]] for row in rows):
            continue
        low, high = rows["box"][:, :2].min(axis=0), rows["box"][:, 2:].max(axis=0)
        for one in tiles:
            begin, end = np.array(one.box[:2]), np.array(one.box[2:])
            assert not (((low > begin) | (begin == 0)) & ((high < end) | (end == SHAPE))).all()


@settings(max_examples=40, deadline=None)
@given(case=disagreements())
def test_owned_objects_are_those_of_one_after_another(case):
    """The rounds decide as the rule says it, one whole object at a time."""
    tiles, found = case
    owners = stitch(found, tiles, SHAPE)
    rows = np.concatenate([tile_objects(records, one, SHAPE) for records, one in zip(found, tiles, strict=True)])
    whole = sorted((-row["depth"], row["tile"], row["number"]) for row in rows if not row["open"])
    taken: list[tuple[int, int]] = []
    for _, tile, number in whole:
        record = found[tile][number]
        total, clash = 0, False
        for other_tile, other_number in taken:
            other = found[other_tile][other_number]
            shared = 0 if other_tile == tile else int((other.mask & record.mask).sum())
            total += shared
            clash |= 2 * shared >= other.area and 10 * shared >= record.area
        if not clash and 2 * total < record.area:
            taken.append((tile, number))
    in_front = np.unique(owners["rank"])[: len(taken)]
    firsts = [next((row["tile"], row["number"]) for row in owners if row["rank"] == rank) for rank in in_front]
    assert firsts == taken


def test_one_tile_is_as_untiled():
    rng = np.random.default_rng(0)
    shape = (60, 80)
    candidates = [
        MaskRecord.from_patch(
            rng.random((9, 12)) < 0.8,
            (int(rng.integers(0, 51)), int(rng.integers(0, 68))),
            image_shape=shape,
            predicted_iou=float(rng.random()),
        )
        for _ in range(30)
    ]
    labels, records = label_records(candidates, shape)
    np.testing.assert_array_equal(painted([records], plan_tiles(shape), shape), labels)
    owners = stitch([records], plan_tiles(shape), shape)
    assert owners["id"].tolist() == list(range(1, len(records) + 1))


def test_an_object_in_the_overlap_is_owned_by_the_deeper_view():
    labels = two(
        [(5, 31, 15, 36)], [(5, 31, 15, 37)]
    )  # middle at 33.5, 34: 6.5 from the left's edge, 4 from the right's
    assert boxes_of(labels) == {1: (5, 31, 15, 36)}
    labels = two([(5, 34, 15, 39)], [(5, 33, 15, 39)])
    assert boxes_of(labels) == {1: (5, 33, 15, 39)}


def test_a_clump_in_one_tile_and_its_cells_in_the_other():
    cells, clump = [(2, 31, 8, 35), (8, 31, 14, 35)], [(2, 31, 14, 35)]
    assert len(boxes_of(two(cells, clump))) == 2  # 7 from the left tile's edge, 3 from the right tile's
    assert len(boxes_of(two(clump, cells))) == 1
    right = [(2, 35, 8, 39), (8, 35, 14, 39)]
    assert len(boxes_of(two([(2, 35, 14, 39)], right))) == 2


def test_a_speck_does_not_remove_what_lies_around_it():
    big, speck = (5, 20, 25, 36), (10, 34, 13, 36)
    labels = two([big], [speck])
    assert boxes_of(labels)[1] == big
    assert (labels == 1).sum() == 20 * 16  # its middle is deeper, so it is in front
    labels = two([(5, 26, 25, 39)], [(10, 36, 13, 38)])  # here the speck has no half of its own left
    assert len(np.unique(labels)) == 2


def test_pieces_beside_an_owned_object_are_dropped():
    labels = two([(5, 26, 15, 34)], [(5, 30, 15, 34)])
    assert boxes_of(labels) == {1: (5, 26, 15, 34)}
    # three cells in one tile, their clump cut off in the other: none covers half of it, all together do
    cells = [(0, 27, 5, 35), (5, 27, 10, 35), (10, 27, 15, 35)]
    labels = two(cells, [(0, 30, 15, 35)])
    assert list(boxes_of(labels).values()) == cells


def test_a_piece_of_which_half_is_owned_is_dropped_wherever_it_goes():
    assert boxes_of(two([(5, 26, 15, 39)], [(5, 30, 15, 46)])) == {1: (5, 26, 15, 39)}
    assert len(boxes_of(two([(5, 26, 15, 39)], [(5, 30, 15, 50)]))) == 2  # 9 of 20 columns are not half


def test_what_could_vanish_behind_others_is_dropped():
    tiles = plan_tiles((64, 64), 40, 16)
    rows = np.zeros(4, OBJECTS)
    rows["tile"], rows["box"], rows["area"], rows["open"] = range(4), (0, 0, 64, 64), 100, True
    rows["depth"] = [9, 8, 7, 1]
    edges = np.zeros(3, EDGES)
    edges["first_tile"], edges["second_tile"] = range(3), 3
    edges["first_part"] = edges["second_part"] = 100
    edges["shared"] = 49  # too little to be one, enough in all to hide the last
    owners = resolve(rows, edges, tiles)
    assert owners["tile"].tolist() == [0, 1, 2]
    assert owners["id"].tolist() == [1, 2, 3]
    edges["shared"] = 33
    assert resolve(rows, edges, tiles)["id"].tolist() == [1, 2, 3, 4]


def test_a_cut_cell_is_completed_by_the_cut_clump():
    first, second = (0, 26, 30, 36), (30, 20, 36, 46)
    clump = np.zeros((40, 70), bool)
    for row0, col0, row1, col1 in (first, second):
        clump[row0:row1, max(col0, 30) : col1] = True  # more than half of it is the first cell's
    clump = MaskRecord.from_patch(clump, image_shape=(40, 70))
    found = [[rectangle(*first, (40, 70)), rectangle(30, 20, 36, 40, (40, 70))], [clump]]
    assert boxes_of(painted(found, TWO, (40, 70))) == {1: first, 2: second}


def test_what_the_edge_of_a_tile_made_up_is_dropped():
    assert not two([], [(5, 30, 9, 33)]).any()  # the left tile saw the place whole, and nothing there
    assert not two([(5, 38, 9, 40)], []).any()
    assert boxes_of(two([], [(5, 30, 9, 41)])) == {1: (5, 30, 9, 41)}  # leaves the left tile, so that could not tell


def test_a_cell_is_completed_by_the_clump_that_was_dropped_for_its_neighbour():
    first, second = (0, 31, 10, 39), (10, 24, 20, 36)
    # the left tile saw both as one; the right one saw the first whole and the second cut off at column 30
    clump = np.zeros((40, 70), bool)
    for row0, col0, row1, col1 in (first, second):
        clump[row0:row1, col0:col1] = True
    clump = MaskRecord.from_patch(clump, image_shape=(40, 70))
    found = [[clump], [rectangle(*first, (40, 70)), rectangle(10, 30, 20, 36, (40, 70))]]
    tables = [tile_objects(records, tile, (40, 70)) for records, tile in zip(found, TWO, strict=True)]
    assert tables[1]["open"].tolist() == [False, True]
    tables[1]["depth"][0] = tables[0]["depth"][0] + 1  # the first cell is seen deeper
    edges = pair_edges(found[0], TWO[0], found[1], TWO[1])
    labels = paint((0, 0, 40, 70), resolve(np.concatenate(tables), edges, TWO), found.__getitem__)
    assert sorted(boxes_of(labels).values()) == [first, second]


def test_of_a_fork_one_prong_is_the_object_and_the_other_one_of_its_own():
    """One tile alone sees that the prongs are one: so does a bad tile that takes two cells for one."""
    truth = np.zeros((40, 70), np.int32)
    truth[5:11, 0:60] = truth[20:24, 0:60] = truth[5:24, 56:60] = 1  # two prongs in the left tile
    pieces = ndimage.label(truth[:, :40])[0]
    found = [clip(np.pad(pieces, ((0, 0), (0, 30))).astype(np.int32), TWO[0]), clip(truth, TWO[1])]
    assert len(found[0]) == 2
    labels = painted(found, TWO, (40, 70))
    np.testing.assert_array_equal(labels > 0, truth > 0)
    assert len(np.unique(labels[truth > 0])) == 2
    assert len(np.unique(labels[5:11, 0:60])) == 1  # the thicker prong goes on


@pytest.mark.parametrize("bridge", [5, 20, 35])  # where the bad tile glues its cells: in the overlap or far from it
@pytest.mark.parametrize("bad", range(4))
def test_a_tile_that_sees_all_cells_as_one_glues_none_of_them(bad, bridge):
    shape = (154, 60)
    tiles = plan_tiles(shape, 60, 28)  # rows 0-60, 32-92, 64-124, 94-154
    truth = np.zeros(shape, np.int32)
    for number, col in enumerate(range(4, 54, 10), start=1):
        truth[3:151, col : col + 7] = number
    found = [clip(truth, tile) for tile in tiles]
    top, _, bottom, _ = tiles[bad].box
    clump = np.zeros(shape, bool)
    clump[top:bottom] = truth[top:bottom] > 0
    clump[top + bridge : top + bridge + 4, 4:51] = True
    found[bad] = [MaskRecord.from_patch(clump, image_shape=shape)]
    labels = painted(found, tiles, shape)
    elsewhere = np.ones(shape[0], bool)
    elsewhere[top:bottom] = False
    for number in range(1, 6):
        others = labels[(truth > 0) & (truth != number) & elsewhere[:, None]]
        mine = np.unique(labels[(truth == number) & elsewhere[:, None]])
        assert len(mine) <= 2  # above and below of the bad tile
        assert not np.isin(mine, others).any()
        assert (mine > 0).all()


@st.composite
def one_bad_tile(draw):
    """A scene that all tiles see as it is, but for one, which sees clumps, or what is not there at all."""
    truth = draw(scenes(draw(st.sampled_from([11, 70])), most=12))
    tiles = plan_tiles(SHAPE, draw(st.integers(20, 40)), draw(st.integers(4, 10)))
    found = [clip(truth, tile) for tile in tiles]
    bad = draw(st.sampled_from(tiles))
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    kind = draw(st.sampled_from(["clumps", "everything", "noise", "nothing"]))
    if kind == "clumps":
        seen = ndimage.label(ndimage.binary_closing(truth > 0, np.ones((5, 5))) | (truth > 0), np.ones((3, 3)))[0]
    elif kind == "everything":
        seen = np.ones(SHAPE, np.int32)
    else:
        noise = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
        seen = ndimage.label(noise > 0)[0] if kind == "noise" else np.zeros(SHAPE, np.int32)
    found[bad.number] = clip(seen.astype(np.int32), bad)
    return truth, tiles, found, bad


@settings(max_examples=80, deadline=None)
@given(case=one_bad_tile())
def test_one_bad_tile_changes_only_what_touches_it_and_merges_nothing(case):
    truth, tiles, found, bad = case
    labels = painted(found, tiles, SHAPE)
    right = painted([clip(truth, tile) for tile in tiles], tiles, SHAPE)
    row0, col0, row1, col1 = bad.box
    outside = np.ones(SHAPE, bool)
    outside[row0:row1, col0:col1] = False
    touching = np.unique(truth[~outside])
    for number in np.unique(right[right > 0]):  # objects that do not reach into the bad tile are as ever
        mine = right == number
        if not np.isin(truth[mine], touching).any():
            (new,) = np.unique(labels[mine])
            assert new > 0
            np.testing.assert_array_equal(labels == new, mine)
    for tile in tiles:  # what a good tile saw as two is two
        if tile is not bad:
            rows, cols = slice(tile.box[0], tile.box[2]), slice(tile.box[1], tile.box[3])
            free = outside[rows, cols] & (truth[rows, cols] > 0)
            pairs = np.unique(np.stack([truth[rows, cols][free], labels[rows, cols][free]]), axis=1)
            pairs = pairs[:, pairs[1] > 0]
            assert len(np.unique(pairs[1])) == pairs.shape[1]


@settings(max_examples=40, deadline=None)
@given(case=disagreements())
def test_what_a_tile_saw_as_two_is_never_one(case):
    tiles, found = case
    owners = stitch(found, tiles, SHAPE)
    assert len(np.unique(owners[["id", "tile"]])) == len(owners)


def test_no_objects_at_all():
    assert len(stitch([[], []], TWO, (40, 70))) == 0
    assert not two([], []).any()
    empty = MaskRecord.from_patch(np.zeros((0, 0), bool), image_shape=(40, 70))
    assert len(stitch([[empty], []], TWO, (40, 70))) == 0


def test_a_large_plane_is_dealt_with_in_tables():
    """A hundred thousand objects: no step may need a Python object for each of them."""
    shape = (400, 100_000)
    tiles = plan_tiles(shape, 400, 100)
    tables, edges = [], []
    for tile in tiles:
        left = tile.box[1]
        cols = np.repeat(np.arange(-(-left // 10), (left + 400) // 10) * 10, 8)
        row = np.tile(np.arange(8) * 50, len(cols) // 8)
        table = np.zeros(len(cols), OBJECTS)
        table["tile"], table["number"] = tile.number, np.arange(len(cols))
        table["box"] = np.stack([row, cols, row + 5, cols + 5], axis=1)
        table["area"] = 25
        table["open"] = (cols == left) & (left > 0)
        table["depth"] = np.minimum(cols - left, left + 395 - cols)
        tables.append(table)
    for one, other in itertools.pairwise(tables):
        _, i, j = np.intersect1d(
            one["box"][:, 1] * 400 + one["box"][:, 0],
            other["box"][:, 1] * 400 + other["box"][:, 0],
            return_indices=True,
        )
        edge = np.zeros(len(i), EDGES)
        edge["first_tile"], edge["first_number"] = one["tile"][i], i
        edge["second_tile"], edge["second_number"] = other["tile"][j], j
        edge["shared"] = edge["first_part"] = edge["second_part"] = 25
        edges.append(edge)
    owners = resolve(np.concatenate(tables), np.concatenate(edges), tiles)
    assert len(owners) == owners["id"].max() == 8 * 10_000
    assert len(np.unique(owners["box"], axis=0)) == len(owners)

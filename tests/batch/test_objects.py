"""Tables of objects, and of what two tiles share."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from napari_sam.batch.objects import EDGES, pair_edges, tile_objects
from napari_sam.batch.records_file import read_records, write_records
from napari_sam.batch.tiles import plan_tiles
from napari_sam.ops.mask_record import MaskRecord
from tiled_scenes import rectangle

SHAPE = (30, 40)


def blobs(rng, tile, count):
    """Masks anywhere in a tile; they may overlap."""
    row0, col0, row1, col1 = tile.box
    found = []
    for _ in range(count):
        patch = rng.random((rng.integers(1, row1 - row0 + 1), rng.integers(1, col1 - col0 + 1))) < 0.6
        patch[0, 0] = True
        origin = (
            int(rng.integers(row0, row1 - patch.shape[0] + 1)),
            int(rng.integers(col0, col1 - patch.shape[1] + 1)),
        )
        found.append(MaskRecord.from_patch(patch, origin, image_shape=SHAPE))
    return found


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), counts=st.tuples(st.integers(0, 6), st.integers(0, 6)), second=st.integers(1, 8))
def test_edges_count_the_shared_pixels(seed, counts, second):
    rng = np.random.default_rng(seed)
    tiles = plan_tiles(SHAPE, 18, 7)
    a, b = tiles[0], tiles[second % len(tiles)]
    first, other = blobs(rng, a, counts[0]), blobs(rng, b, counts[1])
    common = np.zeros(SHAPE, bool)
    common[max(a.box[0], b.box[0]) : min(a.box[2], b.box[2]), max(a.box[1], b.box[1]) : min(a.box[3], b.box[3])] = True
    wanted = [
        (a.number, i, b.number, j, shared, (x.mask & common).sum(), (y.mask & common).sum())
        for i, x in enumerate(first)
        for j, y in enumerate(other)
        if (shared := (x.mask & y.mask).sum())
    ]
    edges = pair_edges(first, a, other, b)
    assert edges.dtype == EDGES
    assert [tuple(edge) for edge in edges.tolist()] == wanted


def test_open_and_depth():
    tiles = plan_tiles((30, 40), 20, 6)  # 2 x 3 regions
    corner, middle = tiles[0], tiles[1]
    assert (corner.box, middle.box) == ((0, 0, 20, 20), (0, 14, 20, 34))
    found = [rectangle(0, 0, 4, 4, SHAPE), rectangle(2, 10, 6, 20, SHAPE), rectangle(18, 2, 20, 4, SHAPE)]
    table = tile_objects(found, corner, SHAPE)
    assert table["open"].tolist() == [False, True, True]  # the image's border does not cut
    assert table["depth"].tolist() == [36, 10, 2]
    assert table["area"].tolist() == [16, 40, 4]
    assert table["number"].tolist() == [0, 1, 2]
    (row,) = tile_objects([rectangle(8, 14, 10, 16, SHAPE)], middle, SHAPE)
    assert (row["tile"], row["open"], row["depth"]) == (1, True, 2)
    (alone,) = plan_tiles((30, 40), 64, 6)
    (whole,) = tile_objects([rectangle(0, 0, 30, 40, SHAPE)], alone, SHAPE)
    assert not whole["open"]
    assert len(tile_objects([], corner, SHAPE)) == 0


def test_stored_records_give_the_same_tables(tmp_path):
    tiles = plan_tiles(SHAPE, 18, 7)
    rng = np.random.default_rng(4)
    found = [blobs(rng, tile, 5) for tile in tiles[:2]]
    for number, records in enumerate(found):
        write_records(tmp_path / f"{number}.npz", records)
    stored = [read_records(tmp_path / f"{number}.npz") for number in range(2)]
    np.testing.assert_array_equal(tile_objects(stored[0], tiles[0], SHAPE), tile_objects(found[0], tiles[0], SHAPE))
    np.testing.assert_array_equal(pair_edges(*_zipped(stored, tiles)), pair_edges(*_zipped(found, tiles)))


def _zipped(found, tiles):
    return found[0], tiles[0], found[1], tiles[1]

"""Scenes whose tiles are segmented without a model, for the tests of batch/."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage

from napari_sam.batch.objects import EDGES, OBJECTS, pair_edges, tile_objects
from napari_sam.batch.paint import paint
from napari_sam.batch.stitch import resolve
from napari_sam.batch.tiles import tile_pairs
from napari_sam.ops.label_records import labels_to_records
from napari_sam.ops.mask_record import MaskRecord

SHAPE = (61, 73)


def clip(labels, tile):
    """What a perfect segmenter finds in a tile: the true objects, cut off at the edges of its region."""
    row0, col0, row1, col1 = tile.box
    return [moved(record, (row0, col0), labels.shape) for record in labels_to_records(labels[row0:row1, col0:col1])]


def moved(record, origin, shape):
    row, col = origin
    top, left, bottom, right = record.box
    return replace(record, box=(top + row, left + col, bottom + row, right + col), image_shape=shape)


def rectangle(row0, col0, row1, col1, shape=SHAPE):
    return MaskRecord.from_patch(np.ones((row1 - row0, col1 - col0), bool), (row0, col0), image_shape=shape)


def stitch(found, tiles, shape, rng=None):
    """Resolve the records of each tile; with a generator of chance, in another order of pairs and edges."""
    objects = [tile_objects(records, tile, shape) for records, tile in zip(found, tiles, strict=True)]
    edges = []
    for one, other in tile_pairs(tiles):
        if rng is not None and rng.random() < 0.5:
            one, other = other, one
        edges.append(pair_edges(found[one], tiles[one], found[other], tiles[other]))
    edges = np.concatenate([np.empty(0, EDGES), *edges])
    if rng is not None:
        edges = rng.permutation(edges)
    return resolve(np.concatenate([np.empty(0, OBJECTS), *objects]), edges, tiles)


def painted(found, tiles, shape):
    return paint((0, 0, *shape), stitch(found, tiles, shape), found.__getitem__)


def same_up_to_ids(one, other):
    """Whether two label images are the same but for the numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    background = (pairs == 0).any(axis=0) == (pairs == 0).all(axis=0)
    return bool(background.all() and all(len(np.unique(side)) == len(side) for side in pairs))


@st.composite
def scenes(draw, largest, shape=SHAPE, most=25):
    """Label images of rectangles and ellipses of at most `largest` pixels a side, each of one piece."""
    labels = np.zeros(shape, np.int32)
    rows, cols = np.indices(shape)
    for number in range(1, draw(st.integers(0, most)) + 1):
        height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
        row, col = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        inside = (rows >= row) & (rows < row + height) & (cols >= col) & (cols < col + width)
        if draw(st.booleans()):
            y, x = (rows - row + 0.5) / height * 2 - 1, (cols - col + 0.5) / width * 2 - 1
            inside &= y * y + x * x <= 1
        labels[inside] = number
    pieces, total = np.zeros(shape, np.int32), 0
    for number in np.unique(labels[labels > 0]):
        found, count = ndimage.label(labels == number, np.ones((3, 3)))
        pieces += np.where(found > 0, found + total, 0).astype(np.int32)
        total += count
    return pieces

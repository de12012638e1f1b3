"""Tables of the objects of tiles, and of what objects of two tiles share.

They are NumPy arrays of named columns: a slide has a million objects, and the tables of all of them are in memory at
once, their pixels never.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from napari_sam.batch.records_file import StoredRecords, record_boxes
from napari_sam.batch.tiles import Box, Tile
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["EDGES", "OBJECTS", "OWNERS", "Table", "pair_edges", "tile_objects"]

Table = npt.NDArray[np.void]

# one row for each object of a tile; depth is twice the distance in pixels from the middle of the box to the nearest
# edge along which the region was cut
OBJECTS = np.dtype(
    [("tile", "<i4"), ("number", "<i4"), ("box", "<i4", (4,)), ("area", "<i8"), ("open", "?"), ("depth", "<i8")]
)
# one row for each two objects of two tiles that share pixels; parts are the pixels of each inside both regions
EDGES = np.dtype(
    [
        ("first_tile", "<i4"),
        ("first_number", "<i4"),
        ("second_tile", "<i4"),
        ("second_number", "<i4"),
        ("shared", "<i8"),
        ("first_part", "<i8"),
        ("second_part", "<i8"),
    ]
)
# one row for each object of a tile that is kept; where several cover a pixel, the id of the lowest rank gets it
OWNERS = np.dtype([("tile", "<i4"), ("number", "<i4"), ("box", "<i4", (4,)), ("id", "<i4"), ("rank", "<i4")])

NO_EDGE = 1 << 40  # the depth where no edge is: nothing is deeper


def tile_objects(records: Sequence[MaskRecord], tile: Tile, shape: tuple[int, int]) -> Table:
    """Describe the objects of a tile as rows of `OBJECTS`, in the order of the records; their pixels are not read.

    Parameters
    ----------
    records
        In pixels of the plane, not empty, inside the tile.
    tile
        Where they were found.
    shape
        (H, W) of the plane.
    """
    boxes = record_boxes(records)
    areas = records.areas if isinstance(records, StoredRecords) else [record.area for record in records]
    region = np.array(tile.box, np.int64)
    inner = region != (0, 0, *shape)  # the edges that are not the plane's border
    middles = (boxes[:, :2] + boxes[:, 2:])[:, [0, 1, 0, 1]]  # doubled, so that they are whole numbers
    table = np.zeros(len(boxes), OBJECTS)
    table["tile"], table["number"] = tile.number, np.arange(len(boxes))
    table["box"], table["area"] = boxes, areas
    table["open"] = ((boxes == region) & inner).any(axis=1)
    table["depth"] = np.where(inner, np.abs(middles - 2 * region), NO_EDGE).min(axis=1)
    return table


def pair_edges(records_a: Sequence[MaskRecord], tile_a: Tile, records_b: Sequence[MaskRecord], tile_b: Tile) -> Table:
    """Count the pixels that objects of two tiles share, as rows of `EDGES` in order of first and second number.

    The records are in pixels of the plane; of one tile they may overlap.
    """
    region: Box = (
        max(tile_a.box[0], tile_b.box[0]),
        max(tile_a.box[1], tile_b.box[1]),
        min(tile_a.box[2], tile_b.box[2]),
        min(tile_a.box[3], tile_b.box[3]),
    )
    if region[0] >= region[2] or region[1] >= region[3]:
        return np.empty(0, EDGES)
    first, second = _members(records_a, region), _members(records_b, region)
    shared = (first @ second.T).tocoo()
    order = np.lexsort((shared.col, shared.row))
    edges = np.empty(len(order), EDGES)
    edges["first_tile"], edges["second_tile"] = tile_a.number, tile_b.number
    edges["first_number"], edges["second_number"] = shared.row[order], shared.col[order]
    edges["shared"] = shared.data[order]
    edges["first_part"] = np.diff(first.indptr)[edges["first_number"]]
    edges["second_part"] = np.diff(second.indptr)[edges["second_number"]]
    return edges


def _members(records: Sequence[MaskRecord], region: Box) -> sparse.csr_array:
    """Return the (records, pixels of the region) matrix that is 1 where a mask has a pixel."""
    boxes = record_boxes(records)
    reach = ((boxes[:, :2] < region[2:]) & (boxes[:, 2:] > region[:2])).all(axis=1)
    width = region[3] - region[1]
    counts = np.zeros(len(boxes), np.int64)
    pixels = [np.empty(0, np.int64)]
    for number in np.flatnonzero(reach):
        record = records[int(number)]
        top, left = max(record.box[0], region[0]), max(record.box[1], region[1])
        part = record.patch[
            top - record.box[0] : region[2] - record.box[0], left - record.box[1] : region[3] - record.box[1]
        ]
        rows, cols = np.nonzero(part)
        pixels.append((rows + (top - region[0])) * width + cols + (left - region[1]))
        counts[number] = len(rows)
    columns = np.concatenate(pixels)
    ends = np.concatenate([[0], np.cumsum(counts)])
    size = len(boxes), (region[2] - region[0]) * width
    return sparse.csr_array((np.ones(len(columns), np.int64), columns, ends), shape=size)

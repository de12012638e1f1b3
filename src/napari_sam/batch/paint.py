"""Label images of any region of a plane, from the objects of its tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from napari_sam.batch.objects import Table
from napari_sam.batch.tiles import Box
from napari_sam.ops.mask_record import MaskRecord

__all__ = ["paint"]


def paint(
    region: Box, owners: Table, read_tile_records: Callable[[int], Sequence[MaskRecord]]
) -> npt.NDArray[np.int32]:
    """Return the labels of a region; each pixel is the same however a plane is cut into regions.

    Parameters
    ----------
    region
        (row0, col0, row1, col1) in pixels of the plane.
    owners
        Rows of `batch.objects.OWNERS`. Of the objects that have a pixel the one of the lowest rank gets it; of equal
        rank, which may overlap only if they have the same id, any.
    read_tile_records
        Returns the records of a tile by its number, in pixels of the plane; called once for each tile that reaches into
        the region, so that one call holds the records of few tiles.

    Returns
    -------
    array
        (h, w) int32 ids, 0 background.
    """
    row0, col0, row1, col1 = region
    labels = np.zeros((row1 - row0, col1 - col0), np.int32)
    box = owners["box"]
    reach = (box[:, 0] < row1) & (box[:, 2] > row0) & (box[:, 1] < col1) & (box[:, 3] > col0)
    near = owners[reach]
    records = {int(tile): read_tile_records(int(tile)) for tile in np.unique(near["tile"])}
    for index in np.argsort(-near["rank"], kind="stable"):  # those in front last
        record = records[int(near["tile"][index])][int(near["number"][index])]
        top, left, bottom, right = record.box
        first, last = (max(top, row0), max(left, col0)), (min(bottom, row1), min(right, col1))
        part = record.patch[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
        labels[first[0] - row0 : last[0] - row0, first[1] - col0 : last[1] - col0][part] = near["id"][index]
    return labels

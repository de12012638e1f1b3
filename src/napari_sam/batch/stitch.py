"""Which tile owns an object that several tiles saw: from the objects of overlapping tiles to one list of objects.

The rule, for one plane; *shared* pixels are those that two objects of different tiles have in common:

1. An object is *open* if it touches an edge along which its tile's region was cut out of the plane, else *whole*. What
   is smaller than the overlap of the regions is whole in at least one tile.
2. Objects are taken in order of *depth*: the distance from the middle of the object's box to the nearest such edge of
   its region, the deepest first; of equals the one of the lower tile number, then the lower number in its tile.
   A tile that was not cut along an axis has no edges there.
3. A whole object is *owned* by its tile unless owned objects before it share half of its pixels or more in all, or one
   of them shares half or more of its own pixels that are a tenth or more of the object's. So of a clump in one tile and
   its two cells in the other, the view of the deepest of the three stands; a speck does not remove what lies around it.
4. An open object of which owned objects share half or more in all is the rest of something known, and is dropped.
5. The other open objects are pieces. Two pieces of different tiles *agree* on what both tiles see, less what is owned
   there, if they share half of what either or both have (intersection over union); or half of what the smaller one has,
   if in neither tile another object says so of the same piece.
6. An object that was dropped by 3 or 4 comes back as a piece where its absence would leave another object cut: if it
   agrees with a piece of which it covers half or more, and owned objects share no more than three quarters of it. (Say
   a tile saw a clump, the other one cell of it whole, deeper, and only a part of the other cell: the pixels of the
   clump that the first cell does not own complete the second.)
   Pieces that agree are one object, the best agreement first (of equals that of the lower numbers), *unless two pieces
   of one tile would then be one*: what a tile saw as two stays two. So an object of any size comes out as one if each
   tile sees one piece of it; and a tile that takes five cells for one object cannot glue together what its neighbours
   saw as five. (The price: of a fork whose prongs reach farther than the overlap into the neighbour, one is an object
   of its own. What one tile says of a fork cannot be told from what one bad tile says of two cells.)
7. Pieces that are one object by 5 and 6 are dropped together if the box around them lies inside a region without
   touching its cut edges, and none of them came back as a whole object by 6: that tile saw the place whole, and no
   such object, so what the others saw was made up by their edges. Thus nothing smaller than the overlap comes out
   cut.
8. Who is in front: owned objects by depth, then objects on which two tiles agree by their deepest piece, then pieces
   alone, the deepest first. A shared pixel goes to the foremost (`batch.paint`). An owned object keeps more than half
   of its pixels so; an object of pieces that might not keep a single one is dropped, which keeps ids dense.
9. Ids are 1 to n by the lowest (tile number, number in the tile) among an object's parts.

Nothing depends on the order in which tiles were segmented or pairs were counted. With a single tile each object is
owned, and the ids are those of `ops.label_image.masks_to_labels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from napari_sam.batch.objects import OWNERS, Table
from napari_sam.batch.tiles import Tile

__all__ = ["resolve"]

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

UNDECIDED, OWNED, DROPPED = 0, 1, 2
SPECK = 10  # what is smaller than the tenth of an object does not stand in its way


@dataclass(frozen=True)
class _Edges:
    """Edges with both directions listed: row k says what object `one` shares with `other`, and what it has there."""

    one: Counts
    other: Counts
    shared: Counts
    part: Counts

    def where(self, chosen: Flags) -> _Edges:
        return _Edges(self.one[chosen], self.other[chosen], self.shared[chosen], self.part[chosen])

    def covered(self, chosen: Flags, size: int) -> Counts:
        """Sum for each `one` what it shares on the chosen edges."""
        return _sums(self.one[chosen], self.shared[chosen], size)


def resolve(objects: Table, edges: Table, tiles: Sequence[Tile]) -> Table:
    """Decide which objects of the tiles of a plane are kept, and which of them are one; see the module for the rule.

    Parameters
    ----------
    objects
        Rows of `batch.objects.OBJECTS` of all tiles, in order of tile and number, none left out.
    edges
        Rows of `batch.objects.EDGES`, each pair of tiles once, in any order.
    tiles
        All tiles of the plane.

    Returns
    -------
    array
        Rows of `batch.objects.OWNERS`: the objects that are kept, in the order of `objects`, with their ids and ranks.
    """
    size = len(objects)
    depth_rank = np.empty(size, np.int64)
    depth_rank[np.argsort(-objects["depth"], kind="stable")] = np.arange(size)
    both = _directed(objects, edges)
    owned = _owned(objects, both, depth_rank)
    group, back = _pieces(objects, both, owned)
    group = _without_fragments(objects, group, back, tiles)
    rank = _ranks(group, owned, depth_rank)
    rank = _without_hidden(objects, both, owned, rank)
    return _numbered(objects, rank)


def _directed(objects: Table, edges: Table) -> _Edges:
    first = np.searchsorted(objects["tile"], edges["first_tile"]) + edges["first_number"]
    second = np.searchsorted(objects["tile"], edges["second_tile"]) + edges["second_number"]
    return _Edges(
        np.concatenate([first, second]),
        np.concatenate([second, first]),
        np.concatenate([edges["shared"], edges["shared"]]),
        np.concatenate([edges["first_part"], edges["second_part"]]),
    )


def _owned(objects: Table, both: _Edges, depth_rank: Counts) -> Flags:
    """Apply 3: decide in rounds, in each those objects before which all is decided."""
    area, whole = objects["area"], ~objects["open"] & (objects["area"] > 0)
    later = both.where(
        whole[both.one] & whole[both.other] & (depth_rank[both.other] < depth_rank[both.one])
    )  # `one` comes after `other`
    state = np.where(whole, OWNED, DROPPED)
    state[later.one] = UNDECIDED
    while len(later.one):
        waiting = np.zeros(len(area), bool)
        waiting[later.one[state[later.other] == UNDECIDED]] = True
        now = later.where(~waiting[later.one])
        against = state[now.other] == OWNED
        clash = np.zeros(len(area), bool)
        inside = (2 * now.shared >= area[now.other]) & (SPECK * now.shared >= area[now.one])
        clash[now.one[against & inside]] = True
        covered = now.covered(against, len(area))
        decided = np.unique(now.one)
        lost = clash[decided] | (2 * covered[decided] >= area[decided])
        state[decided] = np.where(lost, DROPPED, OWNED)
        later = later.where(waiting[later.one])
    return state == OWNED


def _pieces(objects: Table, both: _Edges, owned: Flags) -> tuple[Counts, Flags]:
    """Apply 4 to 6: return for each object the lowest of those it is one with, -1 if dropped; and which came back."""
    size, area = len(objects), objects["area"]
    covered = both.covered(owned[both.other], size)
    piece = objects["open"] & (2 * covered < area)
    rest = ~owned & ~piece & (4 * covered <= 3 * area) & (area > 0)
    one, other, agreement = _agreements(objects, both, owned, piece, rest)
    group = np.full(size, -1, np.int64)
    group[piece] = np.flatnonzero(piece)
    if len(one):
        graph = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
        part = connected_components(graph, directed=False)[1]
        joined = np.unique([one, other])
        _, first, place = np.unique(part[joined], return_index=True, return_inverse=True)
        in_tile = np.unique(np.stack([part[joined], objects["tile"][joined]]), axis=1, return_counts=True)
        torn = np.zeros(size, bool)  # by part: whether a tile saw several of it
        torn[in_tile[0][0][in_tile[1] > 1]] = True
        sound = ~torn[part[joined]]
        group[joined[sound]] = joined[first][place][sound]
        doubtful = torn[part[one]]
        _join(group, objects["tile"], one[doubtful], other[doubtful], agreement[doubtful])
    back = rest & (group >= 0)
    group[owned] = np.flatnonzero(owned)
    return group, back


def _agreements(
    objects: Table, both: _Edges, owned: Flags, piece: Flags, rest: Flags
) -> tuple[Counts, Counts, npt.NDArray[np.float64]]:
    """Return pairs of pieces, or a piece and what may come back, that agree, lower number first, and how well."""
    tile = objects["tile"]
    # what each `one` has in the region of the other's tile, less what objects owned by that tile have of it
    where = both.one * (int(tile.max(initial=0)) + 1) + tile[both.other]
    _, place = np.unique(where, return_inverse=True)
    free = both.part - _sums(place, both.shared * owned[both.other], int(place.max(initial=-1)) + 1)[place]
    half = len(both.one) // 2
    one, other, shared = both.one[:half], both.other[:half], both.shared[:half]
    free_one, free_other = np.maximum(free[:half], shared), np.maximum(free[half:], shared)
    comes_back = (piece[one] & rest[other] & (2 * shared >= both.part[:half])) | (
        piece[other] & rest[one] & (2 * shared >= both.part[half:])
    )
    said = ((piece[one] & piece[other]) | comes_back) & (2 * shared >= np.minimum(free_one, free_other))
    agreement = shared / np.maximum(free_one + free_other - shared, 1)
    rivals = np.bincount(place[np.tile(said, 2)], minlength=int(place.max(initial=-1)) + 1)[place]
    good = said & ((agreement >= 0.5) | ((rivals[:half] == 1) & (rivals[half:] == 1)))
    one, other = np.minimum(one, other)[good], np.maximum(one, other)[good]
    return one, other, agreement[good]


def _join(group: Counts, tile: Counts, one: Counts, other: Counts, agreement: npt.NDArray[np.float64]) -> None:
    """Join pairs in `group`, the best agreement first, but never two objects of one tile."""
    members: dict[int, list[int]] = {}
    head = {int(k): int(k) for k in np.unique([one, other])}
    for k in head:
        members[k] = [k]
    for pair in np.lexsort((other, one, -agreement)).tolist():
        low, high = sorted((head[int(one[pair])], head[int(other[pair])]))
        if low == high or {int(tile[k]) for k in members[low]} & {int(tile[k]) for k in members[high]}:
            continue
        for k in members[high]:
            head[k] = low
        members[low] += members.pop(high)
    for low, together in members.items():
        if len(together) > 1:
            group[together] = low


def _without_fragments(objects: Table, group: Counts, back: Flags, tiles: Sequence[Tile]) -> Counts:
    """Apply 7: drop pieces that some tile should have seen whole, but did not."""
    members = np.flatnonzero((group >= 0) & (objects["open"] | back))
    heads, place = np.unique(group[members], return_inverse=True)
    low = np.full((len(heads), 2), np.iinfo(np.int32).max, np.int32)
    high = np.zeros((len(heads), 2), np.int32)
    np.minimum.at(low, place, objects["box"][members, :2])
    np.maximum.at(high, place, objects["box"][members, 2:])
    regions = np.array([tile.box for tile in tiles], np.int64).reshape(-1, 4)
    shape = regions[:, 2:].max(axis=0)
    inside = np.ones(len(heads), bool)
    for axis in range(2):  # regions are a grid: what fits along both axes fits one of them
        fits = np.zeros(len(heads), bool)
        for begin, end in np.unique(regions[:, [axis, axis + 2]], axis=0):
            fits |= ((low[:, axis] > begin) | (begin == 0)) & ((high[:, axis] < end) | (end == shape[axis]))
        inside &= fits
    inside[place[back[members] & ~objects["open"][members]]] = False
    kept = group.copy()
    kept[members[inside[place]]] = -1
    return kept


def _ranks(group: Counts, owned: Flags, depth_rank: Counts) -> Counts:
    """Return for each object the rank of what it belongs to, lower in front; -1 if dropped."""
    members = np.flatnonzero(group >= 0)
    heads, place = np.unique(group[members], return_inverse=True)
    deepest = np.full(len(heads), np.iinfo(np.int64).max)
    np.minimum.at(deepest, place, depth_rank[members])
    order = np.empty(len(heads), np.int64)
    alone = np.bincount(place, minlength=len(heads)) == 1
    order[np.lexsort((deepest, alone, ~owned[heads]))] = np.arange(len(heads))
    rank = np.full(len(group), -1, np.int64)
    rank[members] = order[place]
    return rank


def _without_hidden(objects: Table, both: _Edges, owned: Flags, rank: Counts) -> Counts:
    """Apply the end of 8: keep what has a part that objects in front cannot hide."""
    in_front = (rank[both.other] >= 0) & (rank[both.other] < rank[both.one])
    seen = (rank >= 0) & (owned | (both.covered(in_front, len(rank)) < objects["area"]))
    visible = np.zeros(len(rank) + 1, bool)  # by rank; the last is for what is dropped
    visible[rank[seen]] = True
    return np.where(visible[rank] & (rank >= 0), rank, -1)


def _numbered(objects: Table, rank: Counts) -> Table:
    """Apply 9."""
    members = np.flatnonzero(rank >= 0)
    ranks, first, place = np.unique(rank[members], return_index=True, return_inverse=True)
    ids = np.empty(len(ranks), np.int64)
    ids[np.argsort(first)] = np.arange(1, len(ranks) + 1)
    owners = np.empty(len(members), OWNERS)
    for name in ("tile", "number", "box"):
        owners[name] = objects[name][members]
    owners["id"], owners["rank"] = ids[place], place
    return owners


def _sums(index: Counts, values: Counts, size: int) -> Counts:
    # sums of whole numbers below 2**53 are exact in floating point, in any order
    return np.bincount(index, values, minlength=size).astype(np.int64)
